"""Which scores a run has, which it lacks, and the table they are printed as."""

from __future__ import annotations

import math

import pytest
import torch

from vae_hydra.runs.checkpoint import read_checkpoint, rebuild
from vae_hydra.runs.folder import Run
from vae_hydra.runs.score_table import table
from vae_hydra.runs.train import train
from vae_hydra.training.metrics import MeanOverExamples
from vae_hydra.training.protocols import expected_scores, missing_protocols

OTHERS = ["normal", "lognormal", "uniform", "inverse_gaussian"]
EVERY = ["reconstruct/clean", *(f"denoise/{name}" for name in OTHERS)]


def protocols(metrics) -> list[str]:
    return list(dict.fromkeys(name.rpartition("/")[0] for name in metrics))


@pytest.mark.parametrize(
    "options",
    [
        ("noise=uniform", "dataset.binarise=dynamic", "likelihood=bernoulli"),
        ("noise=normal", "noise.distribution.scale=3", "trainer.precision=64-true"),
        ("dataset=lognormal_2d", "noise=inverse_gaussian", "+trainer.limit_train_batches=2"),
        ("classifier=mlp", "trainer.precision=bf16-mixed"),
    ],
)
def test_further_noises_change_no_other_score_and_no_name(options, configure, tmp_path):
    options = (*options, "trainer.max_epochs=1", "dataset.fraction=0.2")
    alone = configure(*options, "test_noises=null", f"output_dir={tmp_path / 'alone'}")
    config = configure(*options)
    assert Run.of(alone).name == Run.of(config).name
    few, all_of_them = train(alone), train(config)
    own = [] if config["noise"]["name"] == "none" else [f"denoise/{config['noise']['name']}"]
    assert protocols(few) == ["reconstruct/clean", *own]
    assert protocols(all_of_them) == ["reconstruct/clean", *own, *(p for p in EVERY[1:] if p not in own)]
    # To the bit: every protocol has random numbers of its own.
    assert {name: value for name, value in all_of_them.items() if name in few} == few
    assert all(isinstance(value, float) and value == value for value in all_of_them.values())
    shape = () if config["dataset"]["name"] == "lognormal_2d" else (1, 8, 8)
    assert not missing_protocols(config, all_of_them, shape)
    assert missing_protocols(config, few, shape) == [p for p in EVERY if p not in protocols(few)]
    expected = {name for names in expected_scores(config, shape).values() for name in names}
    assert set(all_of_them) - expected == {f"{protocol}/elbo" for protocol in EVERY}


def test_scores_from_before_there_was_psnr_are_incomplete_for_images_alone(configure):
    config = configure("noise=uniform")
    metrics = dict.fromkeys((name for names in expected_scores(config).values() for name in names), 0.0)
    assert missing_protocols(config, metrics) == []
    assert missing_protocols(config, metrics, [1, 8, 8]) == [
        "reconstruct/clean",
        "denoise/uniform",
        *(p for p in EVERY[1:] if "uniform" not in p),
    ]
    del config["test_noises"]
    assert list(expected_scores(config)) == ["reconstruct/clean", "denoise/uniform"]
    assert missing_protocols({**config, "classifier": {"weight": 1.0}}, metrics) == [
        "reconstruct/clean",
        "denoise/uniform",
    ]


def test_missing_protocols_can_be_scored_by_themselves(configure, tmp_path):
    """What a run that was finished before lacks, scored again, is what it would have had."""
    old, new = (configure("noise=uniform", f"output_dir={tmp_path / name}") for name in ("old", "new"))
    del old["test_noises"]
    train(old)
    checkpoint = read_checkpoint(Run.of(old).checkpoint_path())
    module = rebuild(checkpoint, others=new["test_noises"])
    assert module.protocols == ["reconstruct/clean", "denoise/uniform", *(p for p in EVERY[1:] if "uniform" not in p)]
    assert rebuild(checkpoint).protocols == ["reconstruct/clean", "denoise/uniform"]


def test_scores_of_images_agree_with_one_another(configure):
    metrics = train(configure("trainer.max_epochs=1"))
    # By Jensen, the mean of −log of the errors is at least −log of their mean; not by much for digits.
    bound = -10 * torch.tensor(metrics["reconstruct/clean/mse_per_pixel"]).log10().item()
    assert bound <= metrics["reconstruct/clean/psnr"] < bound + 2
    assert 0 < metrics["reconstruct/clean/ssim"] < 1


def test_a_checkpoint_with_the_sums_of_a_test_goes_on(configure, cut_off):
    """As they were written before what a run is tested with could change from one start to the next."""
    config = configure("noise=uniform")
    cut_off(config, epoch=1, batch=2)
    path = Run.of(config).folder / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name, value in MeanOverExamples({"loss": 1, "kl": 10}).state_dict().items():
        checkpoint["state_dict"][f"test_means.denoise/uniform.{name}"] = value
    checkpoint["state_dict"]["test_means.denoise/uniform.total"] = torch.zeros(11)
    del checkpoint["vae_hydra"]["config"]["test_noises"]
    torch.save(checkpoint, path)
    assert protocols(train(config))[:3] == ["reconstruct/clean", "denoise/uniform", "denoise/normal"]


def test_table_begins_with_clean_input_and_keeps_the_order_of_protocols():
    metrics = {"denoise/uniform/half_sse": 2.0, "denoise/normal/half_sse": 3.0, "reconstruct/clean/half_sse": 1.0}
    lines = table({**metrics, "reconstruct/clean/psnr": 20.0, "generation/fid": 0.5}).splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["reconstruct/clean", "1.0000", "20.0000"],
        ["denoise/uniform", "2.0000", "—"],
        ["denoise/normal", "3.0000", "—"],
    ]
    assert lines[-1].split() == ["generation/fid", "0.5000"]


@pytest.mark.parametrize("likelihood", ["continuous_bernoulli", "gaussian"])
def test_scores_of_latents_beyond_single_precision_are_infinite_and_said(likelihood, configure, caplog):
    """Noise so strong that exp of a predicted location and the square of a predicted scale overflow."""
    config = configure(
        "sampler=lognormal",
        f"likelihood={likelihood}",
        "trainer.max_epochs=1",
        "test_noises.normal.distribution.scale=1e5",
    )
    scores = train(config)
    assert not any(math.isnan(value) for value in scores.values())
    assert scores["denoise/normal/elbo"] == -math.inf
    assert all(math.isfinite(value) for name, value in scores.items() if name.startswith("reconstruct/clean"))
    assert "infinite scores under denoise/normal: " in caplog.text
    assert "nan" not in table(scores)
    if likelihood == "continuous_bernoulli":
        assert scores["denoise/normal/kl"] == math.inf
        # Its means are 0 or 1 in the limit.
        assert 0 < scores["denoise/normal/half_sse"] < 32
        assert scores["denoise/normal/log_likelihood"] < -1e20


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("sampler", "published"), [("normal", 5.638), ("lognormal", 6.024), ("inverse_gaussian", 6.309)]
)
def test_published_half_sse_on_mnist_is_reached_within_four_percent(sampler, published, configure, mnist_root):
    overrides = ("experiment=heavy_tailed/mnist", f"sampler={sampler}", "trainer.max_epochs=100")
    metrics = train(configure(*overrides, f"dataset.root={mnist_root}"))
    assert metrics["reconstruct/clean/half_sse"] == pytest.approx(published, rel=0.04)
