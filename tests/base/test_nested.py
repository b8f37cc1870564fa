"""Dotted paths of nested mappings."""

from __future__ import annotations

import copy

import pytest

from vae_hydra.base.nested import MISSING, contains, delete, flat, get, has, merged, put, replaced, walk

TREE = {"seed": 0, "model": {"name": "mlp", "encoder": {"widths": [8, {"x": 1}, [2]]}}, "empty": {}, "none": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 0),
        ("model.name", "mlp"),
        ("model.encoder", TREE["model"]["encoder"]),
        ("none", None),
        ("nothing", MISSING),
        ("model.nothing.deep", MISSING),
        ("seed.deep", MISSING),
        ("none.deep", MISSING),
    ],
)
def test_a_value_is_found_or_missing(path, value):
    assert get(TREE, path, MISSING) == value
    assert has(TREE, path) == (value is not MISSING)


def test_a_value_is_put_and_deleted():
    tree = copy.deepcopy(TREE)
    put(tree, "a.b.c", 1)
    put(tree, "seed.own", 2)
    put(tree, "model.name", "conv")
    assert (tree["a"], tree["seed"], tree["model"]["name"]) == ({"b": {"c": 1}}, {"own": 2}, "conv")
    for path in ("a.b.c", "model.encoder", "seed", "none.deep", "nothing", "model.nothing.deep"):
        delete(tree, path)
    assert tree == {"a": {"b": {}}, "model": {"name": "conv"}, "empty": {}, "none": None}


def test_a_copy_with_another_value_shares_the_rest():
    tree = copy.deepcopy(TREE)
    changed = replaced(tree, "model.name", "conv")
    assert tree == TREE
    assert changed == {**TREE, "model": {**TREE["model"], "name": "conv"}}
    assert changed["model"]["encoder"] is tree["model"]["encoder"]


def test_leaves_and_paths():
    widths = TREE["model"]["encoder"]["widths"]
    assert flat(TREE) == {"seed": 0, "model.name": "mlp", "model.encoder.widths": widths, "empty": {}, "none": None}
    assert list(walk(TREE["model"], "model")) == [
        ("model.name", "mlp"),
        ("model.encoder", {"widths": widths}),
        ("model.encoder.widths", widths),
        ("model.encoder.widths", 8),
        ("model.encoder.widths.x", 1),
        ("model.encoder.widths", 2),
    ]


def test_trees_are_merged_key_by_key():
    other = {"model": {"name": "conv", "kernel": 3}, "empty": 1, "new": {"x": {}}}
    assert merged(TREE, other) == {
        **TREE,
        "model": {**TREE["model"], "name": "conv", "kernel": 3},
        "empty": 1,
        "new": {"x": {}},
    }


def test_a_path_contains_itself_and_what_is_within():
    assert contains("model", "model")
    assert contains("model", "model.name")
    assert not contains("model", "models.name")
    assert not contains("model.name", "model")
