"""Rows of a file as a tensor: the same values as in memory, whatever is done with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vae_hydra.data import lazy
from vae_hydra.data.lazy import LazyRows, MappedArray, extremes, read


@pytest.fixture
def both(tmp_path):
    """Thirty rows of a file of fifty in random order, lazy and in memory."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=generator)
    np.save(tmp_path / "rows.npy", values.numpy())
    positions = torch.randperm(50, generator=generator)[:30]
    return LazyRows(MappedArray(tmp_path / "rows.npy"), positions), values[positions]


KEYS = {
    "a slice": slice(3, 20, 2),
    "positions": torch.tensor([7, 0, 7, 29]),
    "a mask": torch.arange(30) % 3 == 0,
    "none": torch.empty(0, dtype=torch.long),
    "two axes": torch.tensor([[1, 2], [29, 0]]),
    "one": 4,
    "the last": -1,
    "a tensor of one": torch.tensor(4),
    "several keys": (slice(2, 9), 0),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_indices_select_the_same_rows(both, key):
    rows, values = both
    assert torch.equal(rows[key], values[key])


@pytest.mark.parametrize("key", ["a slice", "positions", "a mask", "none"])
def test_rows_of_rows_are_not_read(both, key):
    rows, values = both
    chosen = rows[KEYS[key]]
    assert isinstance(chosen, LazyRows)
    assert (chosen.shape, chosen.dtype, chosen.dim(), len(chosen)) == (
        values[KEYS[key]].shape,
        torch.uint8,
        4,
        len(chosen),
    )
    parts = rows.split(7)
    assert all(isinstance(part, LazyRows) for part in parts)
    assert [len(part) for part in parts] == [len(part) for part in values.split(7)]


def test_every_operation_gives_an_ordinary_tensor(both):
    rows, values = both
    for made, expected in (
        (rows.float().mean(), values.float().mean()),
        (rows + 1, values + 1),
        (rows == 3, values == 3),
        (torch.cat([rows, values]), torch.cat([values, values])),
        (rows.to("cpu", torch.float64), values.double()),
        (torch.nn.functional.pad(input=rows, pad=(1, 1)), torch.nn.functional.pad(values, (1, 1))),
        (read(rows), values),
    ):
        assert type(made) is torch.Tensor
        assert torch.equal(made, expected)
    np.testing.assert_array_equal(rows.numpy(), values.numpy())


def test_a_function_is_applied_to_what_is_read(both):
    rows, values = both
    scaled = rows.then(lambda x: x.float() / 255).then(torch.exp)
    assert (scaled.dtype, scaled[2:5].shape) == (torch.float32, (3, 3, 4, 5))
    assert torch.equal(scaled[2:5], (values[2:5].float() / 255).exp())


def test_replaced_rows_are_in_their_places_and_may_be_replaced_again(both):
    rows, values = both
    ones, twos = torch.ones(2, 3, 4, 5, dtype=torch.uint8), torch.full((1, 3, 4, 5), 2, dtype=torch.uint8)
    once = rows.replaced(torch.tensor([8, 1]), ones)
    twice = once.replaced(torch.tensor([1]), twos)
    expected = values.clone()
    expected[[8, 1]] = 1
    assert torch.equal(once, expected)
    expected[1] = 2
    assert torch.equal(twice, expected)
    assert torch.equal(rows, values)
    assert torch.equal(extremes(twice, 4), torch.stack([expected.amin(0), expected.amax(0)]))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_extremes_are_those_of_all_rows(both, size):
    rows, values = both
    assert torch.equal(extremes(rows, size), torch.stack([values.amin(0), values.amax(0)]))


def test_pages_that_are_given_back_are_read_again(both, monkeypatch):
    rows, values = both
    monkeypatch.setattr(lazy, "RESIDENT", 100)
    for _ in range(3):
        assert torch.equal(torch.cat([read(part) for part in rows.split(4)]), values)
