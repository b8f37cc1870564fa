"""Long tails of classes and outliers among the training examples: exact, seeded, nested, and gone from the test set."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from vae_hydra.analysis.codes import latent_measures
from vae_hydra.analysis.image_classifier import RECIPE, train_classifier
from vae_hydra.data.contamination import KINDS
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.splits import long_tailed
from vae_hydra.runs.build import build_data
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import run_name
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.train import train
from vae_hydra.runs.trust import check_config


def vectors(size: int, classes: int = 10) -> Source:
    """Normal vectors with columns of mean 0 and 10 and of standard deviation 1 and 3."""
    x = torch.randn(size, 2, generator=torch.Generator().manual_seed(size)) * torch.tensor([1.0, 3.0])
    x += torch.tensor([0.0, 10.0])
    y = torch.arange(size) % classes
    return Source(Examples(x, y), Examples(x[: size // 5] + 100, y[: size // 5]))


def pictures(size: int, channels: int = 1) -> Source:
    generator = torch.Generator().manual_seed(size)
    x = torch.randint(20, 200, (size, channels, 6, 6), dtype=torch.uint8, generator=generator)
    return Source(Examples(x, torch.arange(size) % 5), Examples(x[:10], torch.arange(10) % 5), 1 / 255)


@pytest.mark.parametrize(("classes", "size", "ratio", "total"), [(10, 5000, 100, 12_406), (100, 500, 100, 10_847)])
def test_imbalance_is_the_published_long_tail(classes, size, ratio, total):
    """CIFAR-10-LT and CIFAR-100-LT with ρ = 100 have 12,406 and 10,847 training images (Cao et al., 2019)."""
    y = torch.arange(classes).repeat(size)
    kept = long_tailed(Examples(torch.arange(len(y)), y), ratio, 0)
    counts = kept.y.bincount()
    assert (len(kept), counts[0], counts[-1]) == (total, size, size // ratio)
    assert counts.tolist() == [int(size * (1 / ratio) ** (label / (classes - 1)) + 1e-6) for label in range(classes)]


def test_imbalance_is_seeded_and_nested_and_leaves_the_test_set():
    datasets = [
        DataModule(vectors(1000), 10, imbalance=rho, validation=0.0, seed=seed)
        for rho, seed in ((10, 0), (10, 0), (10, 1), (50, 0), (1, 0))
    ]
    kept = [set(data.splits["train"].x[:, 0].tolist()) for data in datasets]
    assert kept[0] == kept[1] != kept[2]
    assert kept[3] < kept[0] < kept[4]
    assert all(len(data.splits["test"]) == 200 for data in datasets)
    with_validation = DataModule(vectors(1000), 10, imbalance=10, validation=0.25)
    sizes = [len(with_validation.splits[split]) for split in ("train", "validation")]
    assert sizes == [len(kept[0]) - len(kept[0]) // 4, len(kept[0]) // 4]


def test_imbalance_of_unequal_classes_keeps_the_ratio():
    """Eighty and thirty examples with ρ = 4: the rarer class allows all of its thirty only for 120 of the other."""
    y = torch.tensor([0] * 80 + [1] * 30)
    assert long_tailed(Examples(torch.arange(110), y), 4, 0).y.bincount().tolist() == [80, 20]
    assert long_tailed(Examples(torch.arange(110), 1 - y), 4, 0).y.bincount().tolist() == [30, 7]


@pytest.mark.parametrize(
    ("imbalance", "classes", "message"),
    [
        (0.5, 10, "dataset.imbalance must be a number ≥ 1"),
        ("much", 10, "dataset.imbalance must be a number > 0"),
        (2, 1, "needs training examples of two classes or more"),
    ],
)
def test_imbalance_that_cannot_be_is_refused(imbalance, classes, message):
    with pytest.raises(ValueError, match=message):
        DataModule(vectors(100, classes), 10, imbalance=imbalance)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.37])
@pytest.mark.parametrize("contaminant", [*KINDS, "source"])
@pytest.mark.parametrize("make", [vectors, pictures])
def test_the_share_is_exact_and_the_test_set_stays(make, contaminant, share):
    source = make(2300)
    other = pictures(1000) if make is pictures else vectors(1000)
    given = other if contaminant == "source" else contaminant
    data = DataModule(source, 10, validation=0.2, contamination=share, contaminant=given)
    pool = [data.splits[split] for split in ("train", "validation")]
    assert sum(int((part.y == -1).sum()) for part in pool) == round(2300 * share)
    assert torch.equal(data.splits["test"].x, source.test.x)
    assert data.classes == int(source.train.y.max()) + 1
    clean = DataModule(source, 10, validation=0.2)
    for part, before in zip(pool, (clean.splits[split] for split in ("train", "validation")), strict=True):
        kept = part.y >= 0
        assert torch.equal(part.x[kept], before.x[kept])
        assert torch.equal(part.y[kept], before.y[kept])
        assert part.x.dtype == before.x.dtype
        # Two values in random order may be in their own.
        if make is pictures or contaminant != "shuffled":
            assert bool((part.x[~kept] != before.x[~kept]).flatten(1).any(1).all())
    assert data.train_labelled == pytest.approx((pool[0].y >= 0).double().mean().item())


@pytest.mark.parametrize("contaminant", [*KINDS, "source"])
def test_a_larger_share_has_the_outliers_of_a_smaller_one(contaminant):
    given = pictures(2000) if contaminant == "source" else contaminant
    options = {"batch_size": 10, "validation": 0.0, "contaminant": given}
    few, many = (DataModule(pictures(2500), contamination=share, **options).splits["train"] for share in (0.1, 0.6))
    outliers = few.y == -1
    assert bool((many.y[outliers] == -1).all())
    assert torch.equal(many.x[outliers], few.x[outliers])
    other = DataModule(pictures(2500), contamination=0.1, seed=1, **options).splits["train"]
    assert not torch.equal(other.y, few.y)


def outliers_of(source: Source, contaminant: str) -> torch.Tensor:
    data = DataModule(source, 10, validation=0.0, contamination=0.5, contaminant=contaminant).splits["train"]
    return data.x[data.y == -1]


def test_noise_has_the_distribution_of_its_name():
    source = vectors(4000)
    x = source.train.x
    uniform, normal = outliers_of(source, "uniform"), outliers_of(source, "normal")
    for column in range(2):
        values = x[:, column].double()
        low, span = values.min().item(), (values.max() - values.min()).item()
        assert scipy.stats.kstest(uniform[:, column].numpy(), scipy.stats.uniform(low, span).cdf).pvalue > 1e-3
        exact = scipy.stats.norm(values.mean().item(), values.std(correction=0).item())
        assert scipy.stats.kstest(normal[:, column].numpy(), exact.cdf).pvalue > 1e-3


def test_noise_of_bytes_reaches_every_byte_alike():
    bytes_drawn = outliers_of(pictures(2000), "uniform").flatten()
    counts = bytes_drawn.bincount()[20:]
    assert (int(bytes_drawn.min()), int(bytes_drawn.max())) == (20, 199)
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-3
    normal = outliers_of(pictures(2000), "normal")
    assert (int(normal.min()), int(normal.max())) == (20, 199)


def test_shuffled_images_keep_their_pixels():
    source = pictures(100, channels=3)
    clean = DataModule(source, 10, validation=0.0).splits["train"]
    mixed = DataModule(source, 10, validation=0.0, contamination=0.5, contaminant="shuffled").splits["train"]
    for before, after, y in zip(clean.x, mixed.x, mixed.y, strict=True):
        assert torch.equal(before, after) == (y >= 0)
        # Pixels as numbers of three digits: the channels of a pixel stay together.
        pixels, others = ((x.long() * torch.tensor([1, 256, 65536])[:, None, None]).sum(0) for x in (before, after))
        assert torch.equal(pixels.flatten().sort().values, others.flatten().sort().values)


def test_images_of_another_source_are_resized_and_in_its_units():
    """Eight-pixel images of the stored values 0..16 with the factor 1/16 become bytes of 6×6."""
    x = torch.full((50, 1, 8, 8), 4, dtype=torch.uint8)
    other = Source(
        Examples(x, torch.zeros(50, dtype=torch.long)), Examples(x, torch.zeros(50, dtype=torch.long)), 1 / 16
    )
    data = DataModule(pictures(200), 10, validation=0.0, contamination=0.25, contaminant=other)
    found = data.splits["train"].x[data.splits["train"].y == -1]
    assert found.shape == (50, 1, 6, 6)
    assert found.unique().tolist() == [round(4 / 16 * 255)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contamination": 1.0}, r"dataset.contamination must be a number in \[0, 1\)"),
        ({"contamination": 0.1, "contaminant": "salt"}, "dataset.contaminant must be one of uniform, normal, shuffled"),
        ({"contamination": 0.5, "contaminant": pictures(20)}, "needs 50 outliers, but dataset.contaminant has 20"),
        (
            {"contamination": 0.1, "contaminant": pictures(50, 3)},
            r"has examples of shape \[3, 6, 6\].*shape \[1, 6, 6\]",
        ),
        ({"contamination": 0.1, "contaminant": vectors(50)}, r"has examples of shape \[2\]"),
    ],
)
def test_contamination_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DataModule(pictures(100), 10, **options)


def test_outliers_have_no_class():
    data = DataModule(pictures(200), 10, contamination=0.3, labelled=0.5)
    assert data.one_of_each_class("train").y.tolist() == list(range(5))
    labelled = data.served.y >= 0
    assert bool((data.splits["train"].y[labelled] == data.served.y[labelled]).all())
    codes, y = torch.randn(40, 2), torch.arange(40) % 2
    y[:10] = -1
    outlying = torch.where((y < 0)[:, None], 1e6, codes)
    assert latent_measures(outlying, y, codes, y.clamp(min=0)) == latent_measures(
        codes[10:], y[10:], codes, y.clamp(min=0)
    )


def test_the_classifier_of_images_learns_from_examples_with_a_class(monkeypatch):
    monkeypatch.setitem(RECIPE, "steps", 3)
    data = DataModule(pictures(200), 10, validation=0.0, contamination=0.3)
    clean = DataModule(
        Source(Examples(data.splits["train"].x, data.splits["train"].y), pictures(200).test, 1 / 255),
        10,
        validation=0.0,
    )
    for one, other in zip(*(train_classifier(d, torch.device("cpu")).parameters() for d in (data, clean)), strict=True):
        assert torch.equal(one, other)


CONTAMINATED = ("dataset.contamination=0.1", "dataset.contaminant=shuffled")


@pytest.mark.parametrize("case", ["condition=both", "classifier=mlp", "condition=encoder condition.encoding=scalar"])
def test_runs_with_labels_train_on_contaminated_data_and_are_opened_again(case, configure):
    short = ("trainer.max_epochs=1", "test_noises=null", "dataset.fraction=0.2")
    config = configure(*case.split(), *CONTAMINATED, "dataset.imbalance=3", *short)
    scores = train(config)
    assert all(torch.tensor(value).isfinite() for value in scores.values())
    data, built = data_of(open_run(Run.of(config).folder)), build_data(config)
    assert torch.equal(data.splits["train"].x, built.splits["train"].x)
    assert int((built.splits["train"].y == -1).sum()) > 0


def test_names_of_runs(configure):
    names = [
        run_name(configure(*options))
        for options in ((), ("dataset.contamination=0.1",), CONTAMINATED, ("dataset.imbalance=3",))
    ]
    assert len(set(names)) == 4
    older = configure()
    for option in ("imbalance", "contamination", "contaminant"):
        del older["dataset"][option]
    assert run_name(older) == names[0]


def test_another_dataset_contaminates_by_its_name_or_its_options(configure, image_files):
    root = f"dataset.root={image_files}"
    base = ("dataset=kmnist", root, "dataset.contamination=0.1", "dataset.validation=0")
    data = build_data(configure(*base, "dataset.contaminant=emnist"))
    found = data.splits["train"].x[data.splits["train"].y == -1]
    emnist = build_data(configure("dataset=emnist", root, "dataset.validation=0")).splits["train"].x
    known = {x.numpy().tobytes() for x in emnist}
    assert len(found) == 20
    assert all(x.numpy().tobytes() in known for x in found)
    node = "dataset.contaminant={_target_:vae_hydra.data.sources.digits.load_digits,seed:0}"
    config = configure(*base, node)
    assert int((build_data(config).splits["train"].y == -1).sum()) == 20
    check_config(config["dataset"]["contaminant"], path="dataset.contaminant")
    with pytest.raises(ValueError, match="names the target"):
        check_config({"_target_": "os.system"}, path="dataset.contaminant")
    with pytest.raises(
        ValueError, match=r"dataset.contaminant must be one of uniform, normal, shuffled, .*, but got 'x'"
    ):
        build_data(configure(*base, "dataset.contaminant=x"))
