"""Data: what is in the splits, in which order, in which range, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from vae_hydra.data import (
    DataModule,
    Examples,
    InMemoryDataset,
    ResumableLoader,
    ResumableSampler,
    Source,
    draw_lognormal_2d,
    load_digits,
    load_torchvision,
)


def rows(examples: Examples) -> set[bytes]:
    return {x.numpy().tobytes() for x in examples.x}


@pytest.fixture(scope="module")
def digits() -> Source:
    return load_digits(seed=0)


def test_digits_are_all_there_and_apart(digits):
    data = DataModule(digits, batch_size=64)
    assert [len(part) for part in data.splits.values()] == [1294, 143, 360]
    assert data.x_shape == (1, 8, 8)
    assert data.value_range() == (0, 1)
    # Classes are shared out evenly between training and test.
    assert torch.bincount(digits.test.y).tolist() == pytest.approx([36] * 10, abs=2)
    train, validation, test = (rows(part) for part in data.splits.values())
    assert not (train & validation)
    assert not (train & test)


def test_splits_are_a_function_of_the_seed(digits):
    same, again, other = (DataModule(digits, 64, seed=seed).splits["validation"].x for seed in (1, 1, 2))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_validation_of_zero_trains_on_everything(digits):
    data = DataModule(digits, 64, validation=0.0)
    assert len(data.splits["train"]) == 1437
    assert not data.has_validation
    assert data.val_dataloader() == []
    with pytest.raises(ValueError, match="split=validation is empty"):
        data.evaluation_loader("validation")


def test_one_of_each_class(digits):
    x = DataModule(digits, 64).one_of_each_class("test")
    assert x.shape == (10, 1, 8, 8)
    assert x.max() <= 1


def test_exp_transform_comes_after_scaling(digits):
    data = DataModule(digits, 64, transform="exp")
    low, high = data.value_range()
    assert (low, high) == pytest.approx((1, np.e))


def test_batches_are_gathered_and_cover_an_epoch_once(digits):
    data = DataModule(digits, 100)
    batches = list(data.train_dataloader())
    assert [len(x) for x, _ in batches] == [100] * 12 + [94]
    assert batches[0][0].dtype == torch.uint8
    assert rows(Examples(torch.cat([x for x, _ in batches]), torch.zeros(1))) == rows(data.splits["train"])
    x, _ = data.on_after_batch_transfer(batches[0], 0)
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


def test_dataset_item_and_items_agree(digits):
    dataset = InMemoryDataset(digits.train)
    x, y = dataset.__getitems__([3, 5])
    assert torch.equal(x[1], dataset[5][0])
    assert y[0] == dataset[3][1]


def order(sampler: ResumableSampler, epoch: int, skip: int = 0) -> list[int]:
    sampler.set_epoch(epoch)
    sampler.skip = skip
    return list(sampler)


def test_order_is_a_function_of_seed_and_epoch_and_resumes_within_it(digits):
    dataset = InMemoryDataset(digits.train)
    sampler, other = (ResumableSampler(dataset, 1, 0, shuffle=True, seed=seed) for seed in (0, 1))
    assert order(sampler, 3) == order(sampler, 3)
    assert order(sampler, 3) != order(sampler, 4)
    assert order(sampler, 3) != order(other, 3)
    assert order(sampler, 3, skip=128) == order(sampler, 3)[128:]
    # The skip is for one epoch only.
    assert len(order(sampler, 3)) == len(dataset)


def test_seeds_do_not_share_their_orders(digits):
    orders = {}
    for seed in (0, 1, 2):
        loader = DataModule(digits, 64, order_seed=seed).train_dataloader()
        orders |= {(seed, epoch): tuple(order(loader.sampler, epoch)) for epoch in range(4)}
    assert len(set(orders.values())) == len(orders)


def test_loader_says_it_can_resume(digits):
    loader = DataModule(digits, 64).train_dataloader()
    assert isinstance(loader, ResumableLoader)
    loader.load_state_dict(loader.state_dict())


@pytest.mark.parametrize(("variant", "far"), [("raw", 2.0), ("overlapping", 1.0)])
def test_lognormal_2d_has_the_published_marginals(variant, far):
    source = draw_lognormal_2d(variant, seed=0)
    assert (len(source.train), len(source.test)) == (40_000, 10_000)
    for label, centre in enumerate(([0.0, far], [far, 0.0])):
        points = source.train.x[source.train.y == label].numpy()
        for axis in (0, 1):
            exact = scipy.stats.lognorm(0.4, scale=np.exp(centre[axis]))
            assert scipy.stats.kstest(points[:, axis], exact.cdf).pvalue > 1e-3


def test_rescaled_fills_the_unit_square_and_seeds_differ():
    data = DataModule(draw_lognormal_2d("rescaled", seed=0), 100)
    assert data.value_range() == (0, 1)
    raw = [draw_lognormal_2d("raw", seed).train.x for seed in (0, 0, 1)]
    assert torch.equal(raw[0], raw[1])
    assert not torch.equal(raw[0], raw[2])


def test_real_mnist(mnist_root):
    source = load_torchvision("MNIST", mnist_root, download=False)
    assert (source.train.x.shape, source.test.x.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert source.train.x.dtype == torch.uint8
    assert source.train.x.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert torch.bincount(source.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_real_fashion_mnist(mnist_root):
    source = load_torchvision("FashionMNIST", mnist_root, download=False)
    pixels = source.train.x.float() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(ValueError, match=r"dataset.download=true.*idx files into .*/MNIST/raw.*dataset.root=FOLDER"):
        load_torchvision("MNIST", str(tmp_path / "nowhere"), download=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    def no_network(self):
        Path(self.raw_folder).mkdir(parents=True)
        raise RuntimeError("Name or service not known")

    monkeypatch.setattr(MNIST, "download", no_network)
    with pytest.raises(ValueError, match=r"MNIST could not be downloaded\. Without a network, put .*/MNIST/raw"):
        load_torchvision("MNIST", str(tmp_path / "new"), download=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "dataset.batch_size must be an integer ≥ 1, but got 0"),
        ({"validation": 1.0}, r"dataset.validation must be a number in \[0, 1\), but got 1.0"),
        ({"validation": "some"}, "dataset.validation"),
        ({"transform": "log"}, "dataset.transform must be one of none, exp"),
        ({"order_seed": -1}, "seed must be an integer ≥ 0"),
        ({"eval_batch_size": 2.5}, "dataset.eval_batch_size must be an integer ≥ 1, but got 2.5"),
    ],
)
def test_bad_options_are_refused(digits, options, message):
    with pytest.raises(ValueError, match=message):
        DataModule(digits, **{"batch_size": 64, **options})


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="dataset.variant must be one of raw, rescaled, overlapping"):
        draw_lognormal_2d("far", seed=0)
