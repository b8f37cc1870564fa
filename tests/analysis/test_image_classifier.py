"""FID and KID against their formulas; the classifier of images: its network, its training and its file."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.distributions import Independent, Normal

from tests.support.device import OPENED_ON
from vae_hydra.analysis import image_classifier, two_samples
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.analysis.image_classifier import (
    RECIPE,
    ImageClassifier,
    can_be_recognised,
    classifier_accuracy,
    features_of,
    labels_of,
    load_or_train,
    train_classifier,
)
from vae_hydra.analysis.measures import generation
from vae_hydra.analysis.two_samples import frechet_distance, kernel_distance
from vae_hydra.runs.build import build_data, build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def correlated(count: int, dimensions: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, dimensions) @ torch.randn(dimensions, dimensions) + shift


def test_frechet_distance_is_its_closed_form():
    x, y = correlated(200, 6), correlated(150, 6, shift=0.5)
    (mean_x, cov_x), (mean_y, cov_y) = ((s.double().numpy().mean(0), np.cov(s.double().numpy().T)) for s in (x, y))
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    expected = ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    # A feature that is always 0, as a ReLU's may be.
    silent = torch.cat([x, torch.zeros(200, 1)], 1)
    assert frechet_distance(silent, torch.cat([y, torch.zeros(150, 1)], 1)) == pytest.approx(expected, rel=1e-4)


def unbiased_kid(x: np.ndarray, y: np.ndarray) -> float:
    """Mean of (u·v/D + 1)³ over pairs of different examples within each sample, less twice that between samples."""
    within = [
        np.mean([(a @ b / len(a) + 1) ** 3 for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)
    ]
    return sum(within) - 2 * np.mean([(a @ b / len(a) + 1) ** 3 for a in x for b in y])


def test_kernel_distance_is_the_unbiased_formula_of_its_subsets(monkeypatch):
    x, y = correlated(24, 5), correlated(30, 5, shift=0.3)
    monkeypatch.setattr(two_samples, "KID_SUBSETS", 1)
    monkeypatch.setattr(torch, "randperm", torch.arange)
    mean, deviation = kernel_distance(x, y, generator())
    # Half of the smaller sample.
    assert mean == pytest.approx(unbiased_kid(x[:12].double().numpy(), y[:12].double().numpy()), rel=1e-9)
    assert deviation == 0


def test_kernel_distance_is_unbiased_and_uses_only_its_generator():
    values = [kernel_distance(torch.randn(40, 4), torch.randn(40, 4), generator())[0] for _ in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 60**0.5
    x, y = torch.randn(50, 4), torch.randn(50, 4) + 1
    state = torch.get_rng_state()
    first = kernel_distance(x, y, generator(3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert kernel_distance(x, y, generator(3)) == first
    assert kernel_distance(x, y, generator(4)) != first
    assert first[0] > 0.5


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (2, 5, 3), (1, 12, 40)])
def test_classifier_takes_images_of_any_shape(shape):
    classifier = ImageClassifier(shape, 7, (0.0, 1.0)).eval()
    x = torch.rand(5, *shape)
    assert classifier(x).shape == (5, 7)
    assert features_of(classifier, x).shape == (5, 64)
    assert labels_of(classifier, x).tolist() == classifier(x).argmax(1).tolist()


def test_classifier_sees_values_relative_to_the_range_of_the_data():
    classifier, other = (ImageClassifier((1, 8, 8), 3, span).eval() for span in ((0.0, 1.0), (-1.0, 3.0)))
    weights = {name: value for name, value in classifier.state_dict().items() if name not in ("low", "high")}
    other.load_state_dict(weights, strict=False)
    x = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(other(4 * x - 1), classifier(x))


@pytest.mark.parametrize("options", [(), ("dataset.transform=exp",)])
def test_classifier_recognises_digits(options, configure, monkeypatch):
    # A twelfth of the real number of steps.
    monkeypatch.setitem(RECIPE, "steps", 100)
    data = build_data(configure(*options))
    classifier = train_classifier(data, CPU)
    assert classifier_accuracy(classifier, data) >= 0.95
    assert not classifier.training


def test_classifier_is_a_function_of_the_data(quick_recipe, configure):
    data = build_data(configure())
    first = train_classifier(data, CPU).state_dict()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    second = train_classifier(build_data(configure("seed=3", "dataset.batch_size=7")), CPU).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_only_images_of_several_classes_can_be_recognised(configure):
    assert can_be_recognised(build_data(configure()))
    assert not can_be_recognised(build_data(configure("dataset=lognormal_2d")))


def untrained(data, device) -> ImageClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ImageClassifier(data.x_shape, data.classes, data.value_range()).eval()


def kept_files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_classifier_is_trained_once_and_kept_with_a_record_of_its_data(quick_recipe, configure, tmp_path, monkeypatch):
    config = configure()
    data = build_data(config)
    first = load_or_train(config, data, tmp_path / "classifiers", CPU)
    assert first.name.startswith("digits-")
    assert kept_files(tmp_path / "classifiers") == [f"{first.name}.json", f"{first.name}.pt"]
    record = json.loads((tmp_path / "classifiers" / f"{first.name}.json").read_text())
    assert record == first.record
    assert record["test_accuracy"] == classifier_accuracy(first.model, data)
    assert (record["dataset"]["name"], record["recipe"]["steps"], record["seconds"] > 0) == (
        "digits",
        RECIPE["steps"],
        True,
    )
    assert "batch_size" not in record["dataset"]
    monkeypatch.setattr(image_classifier, "train_classifier", None)
    # Another model, noise, seed or batch size, and a run without a newer option, share it.
    other = configure("model=conv", "noise=normal", "seed=4", "dataset.batch_size=16")
    del other["dataset"]["fold"]
    again = load_or_train(other, data, tmp_path / "classifiers", CPU)
    assert (again.name, again.record["sha256"]) == (first.name, first.record["sha256"])
    x = data.prepared("test").x
    assert torch.equal(features_of(again.model, x), features_of(first.model, x))


def test_other_images_or_another_recipe_make_another_classifier(configure, tmp_path, monkeypatch):
    options = [(), ("dataset.binarise=static",), ("dataset.validation=0",), ("dataset.seed=1",), ("dataset.fold=1",)]
    monkeypatch.setattr(image_classifier, "train_classifier", untrained)
    configs = [configure(*each) for each in options]
    names = [load_or_train(config, build_data(config), tmp_path, CPU).name for config in configs]
    monkeypatch.setitem(RECIPE, "steps", 11)
    names.append(load_or_train(configs[0], build_data(configs[0]), tmp_path, CPU).name)
    assert len(set(names)) == 6
    # The place of the files does not matter.
    mnist = [{**configure("dataset=mnist", f"dataset.root={root}")["dataset"]} for root in ("a", "b")]
    assert image_classifier._learnt(mnist[0]) == image_classifier._learnt(mnist[1])


@pytest.mark.parametrize("ending", ["pt", "json"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"sha256": "0"}', None])
def test_a_damaged_classifier_is_trained_again(ending, content, configure, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(image_classifier, "train_classifier", untrained)
    config = configure()
    data = build_data(config)
    kept = load_or_train(config, data, tmp_path, CPU)
    path = tmp_path / f"{kept.name}.{ending}"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    again = load_or_train(config, data, tmp_path, CPU)
    assert ("is damaged" in caplog.text) == (content is not None)
    assert again.record["sha256"] == kept.record["sha256"]
    assert load_or_train(config, data, tmp_path, CPU).record == again.record


def test_requests_at_once_train_it_once(configure, tmp_path, monkeypatch):
    config = configure()
    data = build_data(config)
    trained = []

    def slow(data, device):
        trained.append(1)
        time.sleep(0.3)
        return untrained(data, device)

    monkeypatch.setattr(image_classifier, "train_classifier", slow)
    with ThreadPoolExecutor(3) as pool:
        kept = list(pool.map(lambda _: load_or_train(config, data, tmp_path, CPU), range(3)))
    assert len(trained) == 1
    assert len({each.record["sha256"] for each in kept}) == 1


def test_impossible_names_and_folders_are_refused(quick_recipe, configure, tmp_path):
    config = configure()
    data = build_data(config)
    with pytest.raises(ValueError, match="dataset.name must be made of letters"):
        load_or_train({**config, "dataset": {**config["dataset"], "name": "../../x"}}, data, tmp_path, CPU)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be kept: .*do without it"):
        load_or_train(config, data, tmp_path / "file", CPU)


def test_evaluate_measures_features_and_records_the_classifier(quick_recipe, configure, tmp_path):
    config = configure("condition=both")
    train(config)
    run = Run.of(config)

    def again(*overrides):
        options = (OPENED_ON, "generation.samples=200", "generation.permutations=10", *overrides)
        return evaluate(configure(f"run={run.folder}", *options, name="evaluate"))

    scores = again()
    assert {name for name in scores if "fid" in name or "kid" in name} == {
        f"generation/{name}" for name in ("fid", "fid_floor", "kid", "kid_floor", "kid_sd")
    }
    # Two epochs of training are far too few.
    assert scores["generation/fid"] > 2 * scores["generation/fid_floor"] > 0
    assert scores["generation/kid"] > 2 * abs(scores["generation/kid_floor"])
    folder = tmp_path / "outputs" / "classifiers"
    record = json.loads(next(folder.glob("digits-*.json")).read_text())
    assert scores["generation/classifier_accuracy"] == record["test_accuracy"] > 0.5
    written = json.loads((run.folder / "evaluations" / "best-test-generation200x10.json").read_text())
    assert written["classifier"] == {"name": next(folder.glob("*.pt")).stem, "sha256": record["sha256"]}
    assert again() == scores
    without = again("generation.features=false")
    assert without == {name: value for name, value in scores.items() if name in without}
    assert not any("fid" in name or "kid" in name or "classifier" in name for name in without)
    # A moved run gets a classifier beside its new place, and the same scores.
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    run = Run(run.folder.rename(moved))
    assert again() == scores
    assert len(kept_files(tmp_path / "elsewhere" / "classifiers")) == 2


def test_vectors_have_no_features(configure, tmp_path):
    config = configure("dataset=lognormal_2d", "+trainer.limit_train_batches=2", "trainer.max_epochs=1")
    train(config)
    options = (OPENED_ON, "generation.samples=200", "generation.permutations=5")
    scores = evaluate(configure(f"run={Run.of(config).folder}", *options, name="evaluate"))
    assert not any("fid" in name for name in scores)
    assert not (tmp_path / "outputs" / "classifiers").exists()


def test_a_perfect_generator_reaches_the_floor_with_as_many_examples(quick_recipe, configure, monkeypatch):
    """At most as many examples are compared as there are training examples, however many are requested."""
    module, data = build_experiment(configure("dataset.fraction=0.5"))
    classifier = train_classifier(data, CPU)
    real = build_data(configure()).prepared("train").x
    cursor = iter(real.split(1000))

    def perfect(z, y=None):
        return Independent(Normal(next(cursor)[: len(z)], 1.0), 3)

    monkeypatch.setattr(module.vae, "decode", perfect)
    monkeypatch.setattr(module.vae, "prior_sample", lambda count: torch.zeros(count, 1))
    scores = generation(module, data, "test", 700, 5, classifier)
    count = len(data.splits["train"])
    assert count < 700
    features, test = features_of(classifier, real[:count]), features_of(classifier, data.prepared("test").x)
    assert scores["generation/fid"] == pytest.approx(frechet_distance(features, test), rel=1e-4)
    assert 0.25 < scores["generation/fid"] / scores["generation/fid_floor"] < 4
    assert abs(scores["generation/kid"]) < 5 * scores["generation/kid_sd"]


def test_a_read_only_place_is_read_and_a_spare_one_written(configure, tmp_path, monkeypatch):
    config = configure()
    data = build_data(config)
    monkeypatch.setattr(image_classifier, "train_classifier", untrained)
    (tmp_path / "file").write_text("no folder can be here")
    kept = load_or_train(config, data, tmp_path / "file" / "classifiers", CPU, tmp_path / "spare")
    assert kept_files(tmp_path / "spare") == [f"{kept.name}.json", f"{kept.name}.pt"]
    # Reading needs no lock file, which a read-only folder could not hold.
    for lock in (tmp_path / "spare").glob(".*"):
        lock.unlink()
    monkeypatch.setattr(image_classifier, "train_classifier", None)
    again = load_or_train(config, data, tmp_path / "spare", CPU, tmp_path / "nowhere")
    assert again.record == kept.record
    assert not (tmp_path / "nowhere").exists()
    assert not list((tmp_path / "spare").glob(".*"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("dataset", "accuracy"), [("mnist", 0.985), ("mnist_exp", 0.985), ("fashion_mnist", 0.9)])
def test_classifier_recognises_what_it_is_shown(dataset, accuracy, configure, mnist_root):
    data = build_data(configure(f"dataset={dataset}", f"dataset.root={mnist_root}"))
    assert classifier_accuracy(train_classifier(data, torch.device("cpu")), data) >= accuracy
