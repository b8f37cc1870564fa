"""The shared step: what is fed, what it is compared with, how it is weighed, and what is logged."""

from __future__ import annotations

import math

import pytest
import torch

from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.history import read_epochs
from vae_hydra.training.module import VAEModule

SAMPLERS = ["normal", "laplace", "student_t", "lognormal", "gamma", "weibull", "inverse_gaussian", "deterministic"]
LIKELIHOODS = ["gaussian", "laplace", "student_t", "huber", "log_cosh", "bernoulli", "continuous_bernoulli"]
# Only a loss that is ten times smaller would count as an improvement.
PLATEAU = ("scheduler=plateau", "+scheduler.threshold=0.9", "optimizer.lr=1e-6")


def logged(configure, *overrides):
    config = configure(*overrides)
    train(config)
    return read_epochs(Run.of(config).folder / "metrics.csv")


def column(rows, name):
    return [row[name] for row in rows]


def test_beta_follows_its_schedule_by_epoch(configure):
    rows = logged(configure, "beta=linear", "beta.duration=2", "trainer.max_epochs=4")
    assert column(rows, "train/beta") == pytest.approx([0, 0.5, 1, 1])


def test_beta_follows_its_schedule_by_step(configure):
    # 21 batches an epoch; the value logged is that of the last of them.
    rows = logged(configure, "beta=linear", "beta.duration=80", "beta.unit=step", "trainer.max_epochs=4")
    assert column(rows, "train/beta") == pytest.approx([20 / 80, 41 / 80, 62 / 80, 1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("trainer.max_epochs=3",), [0, 0.5, 1]),
        (("trainer.max_epochs=9", "+trainer.max_steps=42"), [0, 1]),
        (
            ("trainer.max_epochs=2", "beta.unit=step", "beta.duration=90", "+trainer.accumulate_grad_batches=3"),
            [6 / 13, 1],
        ),
        (("beta=cyclical", "beta.duration=3", "trainer.max_epochs=5"), [0, 2 / 3, 1, 0, 1]),
    ],
)
def test_beta_reaches_its_end_in_the_last_epoch_at_the_latest(options, expected, configure):
    rows = logged(configure, "beta=linear", *options)
    assert column(rows, "train/beta") == pytest.approx(expected)


def test_validation_is_judged_with_the_final_beta(configure):
    rows = logged(configure, "beta=linear", "beta.duration=100", "trainer.max_epochs=3")
    for row in rows:
        assert row["val/loss"] == pytest.approx(-row["val/elbo"], rel=1e-5)
    for row in rows[:-1]:
        assert row["train/loss"] != pytest.approx(-row["train/elbo"], rel=1e-5)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (("scheduler=none",), [1e-3] * 4),
        (("scheduler=step", "scheduler.step_size=2"), [1e-3, 1e-3, 1e-4, 1e-4]),
        (("scheduler=cosine",), [1e-3 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]),
    ],
)
def test_learning_rate_follows_its_schedule(scheduler, expected, configure):
    rows = logged(configure, *scheduler, "trainer.max_epochs=4")
    assert column(rows, "train/learning_rate") == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_plateau_lowers_the_rate_when_nothing_improves(configure):
    rows = logged(configure, *PLATEAU, "scheduler.patience=1", "trainer.max_epochs=6")
    assert column(rows, "train/learning_rate") == pytest.approx([1e-6, 1e-6, 1e-6, 5e-7, 5e-7, 2.5e-7])


def test_plateau_watches_the_training_loss_without_validation(configure):
    rows = logged(configure, *PLATEAU, "scheduler.patience=0", "dataset.validation=0", "trainer.max_epochs=3")
    assert column(rows, "train/learning_rate") == pytest.approx([1e-6, 1e-6, 5e-7])


def test_noise_is_on_the_input_and_the_target_is_clean(configure):
    module, data = build_experiment(configure("noise=uniform"))
    seen = {}
    module.vae.encoder.register_forward_hook(lambda layer, inputs, out: seen.update(input=inputs[0]))
    module.vae.likelihood.register_forward_hook(lambda layer, inputs, p: seen.update(p=p))
    x = data.prepare(data.splits["train"].x[:8])
    noisy = module.noise(x)
    terms, _ = module._step(noisy, x, beta=1.0)
    assert torch.equal(seen["input"], noisy)
    assert not torch.equal(noisy, x)
    torch.testing.assert_close(terms["log_likelihood"], seen["p"].log_prob(x).flatten(1).sum(1))


def test_training_sees_pixels_drawn_anew_and_scores_see_the_same(configure, monkeypatch):
    seen = {"training_step": [], "validation_step": []}
    original = VAEModule._step

    def spy(self, inputs, x, *rest):
        if not self.trainer.sanity_checking and not self.trainer.testing:
            seen["training_step" if self.training else "validation_step"].append(x)
        return original(self, inputs, x, *rest)

    monkeypatch.setattr(VAEModule, "_step", spy)
    # One batch an epoch, in an order of its own.
    train(configure("dataset.binarise=dynamic", "likelihood=bernoulli", "dataset.batch_size=1294"))
    for batches in seen.values():
        assert len(batches) == 2
        assert all(x.unique().tolist() == [0, 1] for x in batches)
    ones = [x.sum() for x in seen["training_step"]]
    assert ones[0] != ones[1]
    assert torch.equal(*seen["validation_step"])


def test_published_loss_is_the_published_formula(configure):
    module, data = build_experiment(
        configure("experiment=heavy_tailed/lognormal_2d", "sampler=inverse_gaussian", "trainer.max_epochs=1")
    )
    x = data.prepare(data.splits["train"].x[:50])
    terms, output = module._step(x, x, module.beta)
    half_sse = 0.5 * (output.p.mean - x).square().sum(-1)
    published = (half_sse + 0.01 * terms["kl_per_latent"].mean(-1)) / 1.01
    constant = 0.5 * 2 * math.log(2 * math.pi) / 1.01
    torch.testing.assert_close(terms["loss"], published + constant)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_the_whole_step_takes_any_leading_dimensions(sampler, model, configure):
    module, _ = build_experiment(configure(f"sampler={sampler}", f"model={model}", "noise=normal"))
    x = torch.rand(2, 3, 1, 8, 8)
    results = []
    for given in (x, x.flatten(0, 1)):
        torch.manual_seed(6)
        terms, _ = module._step(module.noise(given), given, beta=0.5)
        results.append({name: value.reshape(6, -1) for name, value in terms.items()})
    torch.testing.assert_close(results[0], results[1])


def test_the_model_is_a_function_of_the_seed(configure):
    weights = [build_experiment(configure(f"seed={seed}")).module.vae.encoder.layers[0].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


STEPS = [
    *((f"sampler={sampler}", f"likelihood={likelihood}") for sampler in SAMPLERS for likelihood in LIKELIHOODS),
    *((f"noise={noise}",) for noise in ("normal", "lognormal", "uniform", "inverse_gaussian")),
    *((f"likelihood.learn_scale={learned}",) for learned in ("true", "per_pixel", "predicted")),
    ("sampler=student_t", "sampler.learn_df=true"),
    ("sampler.prior={_target_:torch.distributions.Laplace,loc:0.0,scale:1.0}",),
    ("objective.free_bits=0.5",),
]


# Not gamma: torch has no meta kernel for the gradient of its draws, aten::_standard_gamma_grad.
@pytest.mark.parametrize("options", [options for options in STEPS if "sampler=gamma" not in options], ids=" ".join)
def test_a_training_step_does_not_look_at_its_numbers(options, configure):
    """No branch on values and no wait for the device: on the meta device, which has shapes alone, a step still runs."""
    module, _ = build_experiment(configure(*options))
    module = module.to("meta")
    x = torch.rand(4, 1, 8, 8, device="meta")
    terms, _ = module._step(module.noise(x), x, beta=1.0)
    module.train_means.to("meta").update(terms)
    terms["loss"].mean().backward()
