"""Data: what is in the splits, in which order, in which range, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.loaders import InMemoryDataset, ResumableLoader, ResumableSampler
from vae_hydra.data.preparation import TRANSFORMS
from vae_hydra.data.sources.digits import load_digits


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
    data = DataModule(digits, 64, labelled=0.01)
    for split in ("test", "train"):
        shown = data.one_of_each_class(split)
        assert shown.x.shape == (10, 1, 8, 8)
        assert shown.x.max() <= 1
        # Also where most examples have no label.
        assert shown.y.tolist() == list(range(10))
    assert data.one_of_each_class("test", limit=3).y.tolist() == [0, 1, 2]


def test_prepared_is_what_the_model_sees(digits):
    data = DataModule(digits, 64, transform="exp")
    first = data.prepared("test", 5)
    assert torch.equal(first.x, (digits.test.x[:5] / 16).exp())
    assert torch.equal(first.y, digits.test.y[:5])
    assert len(data.prepared("validation")) == 143


@pytest.mark.parametrize(("validation", "seed"), [(0.1, 0), (0.25, 7), (0.0, 1)])
def test_by_default_the_splits_are_what_they_always_were(digits, validation, seed):
    """Published numbers rest on the seeded split: a permutation, its first part for validation."""
    data = DataModule(digits, 64, validation=validation, seed=seed)
    order = torch.randperm(1437, generator=torch.Generator().manual_seed(seed))
    count = int(1437 * validation)
    if not count:
        order = torch.arange(1437)
    for split, index in (("train", order[count:]), ("validation", order[:count])):
        assert torch.equal(data.splits[split].x, digits.train.x[index])
        assert torch.equal(data.splits[split].y, digits.train.y[index])
    assert torch.equal(data.splits["test"].x, digits.test.x)


def numbered(size: int, classes: int = 1) -> Source:
    """Examples that are their own number, those of the test set negative."""
    x = torch.arange(float(size))[:, None]
    return Source(Examples(x, torch.arange(size) % classes), Examples(-1 - x, torch.arange(size) % classes))


def numbers(examples: Examples) -> set[int]:
    return set(examples.x[:, 0].int().tolist())


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_folds_are_a_partition(fraction):
    options = {"batch_size": 10, "fraction": fraction, "folds": 4, "seed": 3}
    folds = [DataModule(numbered(206), fold=fold, **options) for fold in range(4)]
    held_out = [numbers(data.splits["test"]) for data in folds]
    everything = set.union(*held_out)
    assert sum(map(len, held_out)) == len(everything) == 206 * fraction
    assert min(everything) >= 0, "the official test set is not touched"
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    for data, left_out in zip(folds, held_out, strict=True):
        train, validation = numbers(data.splits["train"]), numbers(data.splits["validation"])
        assert train.isdisjoint(validation)
        assert train | validation == everything - left_out
        assert len(validation) == int(0.1 * len(everything - left_out))
    again, other = (DataModule(numbered(206), fold=0, **{**options, "seed": seed}) for seed in (3, 4))
    assert numbers(again.splits["test"]) == held_out[0] != numbers(other.splits["test"])


def test_as_many_folds_as_examples_and_no_more():
    assert len(DataModule(numbered(7), 2, folds=7, fold=6).splits["test"]) == 1
    with pytest.raises(ValueError, match="dataset.folds=8 needs as many training examples, but there are 7; use fewer"):
        DataModule(numbered(7), 2, folds=8, fold=0)


def test_fraction_thins_the_training_examples_only_and_is_nested():
    small, large = (DataModule(numbered(1000), 10, fraction=f, validation=0.0) for f in (0.29, 0.5))
    few, many = (numbers(data.splits["train"]) for data in (small, large))
    assert (len(few), len(many)) == (290, 500)
    assert few < many
    assert numbers(small.splits["test"]) == set(range(-1000, 0))
    assert len(DataModule(numbered(10), 1, fraction=0.01).splits["train"]) == 1
    halved = DataModule(numbered(1000), 10, fraction=0.5)
    assert [len(part) for part in halved.splits.values()] == [450, 50, 1000]


@pytest.mark.parametrize(("resize", "shape"), [(12, (12, 12)), ([4, 6], (4, 6))])
def test_resize_is_torchvisions(digits, resize, shape):
    from torchvision.transforms.functional import InterpolationMode
    from torchvision.transforms.functional import resize as torchvisions

    data = DataModule(digits, 64, resize=resize)
    assert data.x_shape == (1, *shape)
    assert data.splits["train"].x.dtype == torch.uint8
    alone = torchvisions(digits.test.x[3], list(shape), InterpolationMode.BILINEAR, antialias=True)
    assert torch.equal(data.splits["test"].x[3], alone)
    assert torch.equal(data.splits["test"].y, digits.test.y)
    floats = Source(Examples(torch.rand(9, 1, 8, 8), digits.test.y[:9]), digits.test)
    assert DataModule(floats, 64, resize=resize).splits["train"].x.dtype == torch.float32


@pytest.mark.parametrize("resize", ["large", [4], [4, 5, 6], True, 0])
def test_resize_wants_a_side_or_two(digits, resize):
    with pytest.raises(ValueError, match=r"dataset\.resize"):
        DataModule(digits, 64, resize=resize)


def grey(values: list[float], size: int) -> Source:
    """Examples that all have the same few pixels."""
    examples = Examples(torch.tensor(values).expand(size, -1), torch.zeros(size, dtype=torch.long))
    return Source(examples, examples)


PIXELS = [0.0, 0.1, 0.5, 0.9, 1.0]


def assert_drawn_with(probabilities: torch.Tensor, x: torch.Tensor) -> None:
    """The mean of draws x [N, D] is their probability within five standard errors, exactly where it is 0 or 1."""
    error = (probabilities * (1 - probabilities) / len(x)).sqrt()
    assert ((x.mean(0) - probabilities).abs() <= 5 * error).all()


@pytest.mark.parametrize("binarise", ["static", "dynamic"])
def test_binarised_pixels_are_ones_as_often_as_they_are_bright(binarise):
    data = DataModule(grey(PIXELS, 40_000), 10_000, binarise=binarise)
    for split in data.splits:
        x = data.prepared(split).x
        assert x.unique().tolist() == [0, 1]
        assert_drawn_with(torch.tensor(PIXELS), x)
    assert (data.is_binary, data.value_range()) == (True, (0, 1))
    # What a training step sees.
    batches = [data.draw(data.on_after_batch_transfer(batch, 0)[0]) for batch in data.train_dataloader()]
    assert_drawn_with(torch.tensor(PIXELS), torch.cat(batches))
    assert not DataModule(grey(PIXELS, 10), 5).is_binary


@pytest.mark.parametrize("scale", [1 / 3, 1 / 49, 1 / 16])
def test_binarised_values_are_exact_whatever_the_scale(scale):
    x = torch.full((100, 4), round(1 / scale), dtype=torch.uint8)
    examples = Examples(x, torch.zeros(100, dtype=torch.long))
    data = DataModule(Source(examples, examples, scale), 10, binarise="static", validation=0.0)
    assert set(data.prepared("train").x.unique().tolist()) <= {0.0, 1.0}


def test_dynamic_binarisation_draws_anew_and_is_scored_on_the_static_draws(digits):
    static, again, dynamic, other = (
        DataModule(digits, 64, binarise=how, seed=seed)
        for how, seed in (("static", 0), ("static", 0), ("dynamic", 0), ("static", 1))
    )
    for split in static.splits:
        x = static.prepared(split).x
        assert torch.equal(x, again.prepared(split).x)
        assert torch.equal(x, dynamic.prepared(split).x)
    assert not torch.equal(static.prepared("test").x, other.prepared("test").x)
    # Neither the share of the training examples nor that of validation has a part in the test set.
    fewer = DataModule(digits, 64, binarise="static", fraction=0.5, validation=0.0)
    assert torch.equal(static.prepared("test").x, fewer.prepared("test").x)
    batch = next(iter(dynamic.train_dataloader()))
    x, _ = dynamic.on_after_batch_transfer(batch, 0)
    first, second = dynamic.draw(x), dynamic.draw(x)
    assert not torch.equal(first, second)
    x, _ = static.on_after_batch_transfer(next(iter(static.train_dataloader())), 0)
    assert static.draw(x) is x


def test_a_black_and_white_dataset_is_binary_and_log1p_tames_a_tail():
    source = grey([0.0, 1.0], 10)
    assert DataModule(source, 5).is_binary
    assert not DataModule(source, 5, transform="exp").is_binary
    data = DataModule(grey([-0.5, 1e6], 10), 5, transform="log1p")
    assert data.value_range() == pytest.approx((np.log(0.5), np.log1p(1e6)))


@pytest.mark.parametrize("labelled", [1.0, 0.3, 0.001])
def test_labels_are_kept_evenly_in_training_and_its_validation(digits, labelled):
    options = {"batch_size": 64, "fraction": 0.9, "labelled": labelled}
    full, data, again = (DataModule(digits, **{**options, **extra}) for extra in ({"labelled": 1.0}, {}, {}))
    y, whole = data.served.y, full.served.y
    counts = torch.bincount(whole).tolist()
    assert torch.bincount(y[y >= 0]).tolist() == [max(1, round(n * labelled)) for n in counts]
    assert torch.equal(y[y >= 0], whole[y >= 0])
    assert set(y[y < 0].tolist()) <= {-1}
    assert torch.equal(y, again.served.y)
    assert data.train_labelled == pytest.approx((y >= 0).float().mean().item())
    (validating, again_validating, whole) = (
        torch.cat([y for _, y in module.val_dataloader()]) for module in (data, again, full)
    )
    counts = torch.bincount(whole).tolist()
    assert torch.bincount(validating[validating >= 0]).tolist() == [max(1, round(n * labelled)) for n in counts]
    assert torch.equal(validating[validating >= 0], whole[validating >= 0])
    assert torch.equal(validating, again_validating)
    assert data.validation_labelled == pytest.approx((validating >= 0).float().mean().item())
    # What is evaluated on request keeps its labels.
    for split in ("train", "validation", "test"):
        served = torch.cat([y for _, y in data.evaluation_loader(split)])
        assert torch.equal(served, data.splits[split].y)
        assert torch.equal(served, full.splits[split].y)
    assert data.classes == 10
    # The examples and their order do not depend on it.
    assert torch.equal(data.splits["train"].x, full.splits["train"].x)


def test_labels_hidden_are_drawn_from_the_seed(digits):
    hidden = [(DataModule(digits, 64, validation=0.0, labelled=0.5, seed=s).served.y < 0) for s in (0, 1)]
    assert not torch.equal(*hidden)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "dataset.batch_size must be an integer ≥ 1, but got 0"),
        ({"validation": 1.0}, r"dataset.validation must be a number in \[0, 1\), but got 1.0"),
        ({"validation": "some"}, "dataset.validation"),
        ({"transform": "log"}, "dataset.transform must be one of none, exp, log1p"),
        ({"seed": -1}, "dataset.seed must be an integer ≥ 0, but got -1"),
        ({"fraction": 0.0}, r"dataset.fraction must be a number in \(0, 1\], but got 0.0"),
        ({"fraction": 1.5}, r"dataset.fraction must be a number in \(0, 1\], but got 1.5"),
        ({"labelled": 0}, r"classifier.labelled must be a number in \(0, 1\], but got 0"),
        ({"folds": 1}, "dataset.folds must be an integer ≥ 2, but got 1"),
        ({"fold": 5}, "dataset.fold must be an integer from 0 to 4, but got 5"),
        ({"fold": -1}, "dataset.fold must be an integer from 0 to 4, but got -1"),
        ({"binarise": "often"}, "dataset.binarise must be one of none, static, dynamic, but got 'often'"),
        (
            {"binarise": "static", "transform": "exp"},
            "dataset.binarise=static needs dataset.transform=none, but got 'exp'",
        ),
        ({"order_seed": -1}, "seed must be an integer ≥ 0"),
        ({"eval_batch_size": 2.5}, "dataset.eval_batch_size must be an integer ≥ 1, but got 2.5"),
    ],
)
def test_bad_options_are_refused(digits, options, message):
    with pytest.raises(ValueError, match=message):
        DataModule(digits, **{"batch_size": 64, **options})


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ((-1.0, 3.0), {"transform": "log1p"}, r"dataset.transform=log1p needs values > −1, .* spans \[-1, 3\]; use"),
        ((-2.0, 3.0), {"transform": "log1p"}, r"dataset.transform=log1p needs values > −1, .* spans \[-2, 3\]; use"),
        ((0.0, 100.0), {"transform": "exp"}, r"dataset.transform=exp needs values < 88, .* spans \[0, 100\]; use"),
        ((0.0, 1.5), {"binarise": "dynamic"}, r"dataset.binarise=dynamic needs values in \[0, 1\], .* \[0, 1.5\]; use"),
        ((0.0, 1.0), {"resize": 4}, r"dataset.resize needs images .* shape \[2\]; use dataset.resize=null"),
    ],
)
def test_options_that_do_not_fit_the_values_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        DataModule(grey(list(values), 10), 5, **options)


@pytest.mark.parametrize("transform", ["none", "exp", "log1p"])
def test_transforms_are_undone_and_their_slope_is_known(digits, transform):
    data = DataModule(digits, 64, transform=transform)
    raw = torch.linspace(0.0, 1.0, 9, dtype=torch.float64, requires_grad=True)
    seen = TRANSFORMS[transform](raw)
    torch.testing.assert_close(data.restore(seen), raw)
    (slope,) = torch.autograd.grad(seen.sum(), raw)
    torch.testing.assert_close(data.log_slope(seen.detach()), slope.log())
