"""A GPU computes what the CPU computes, and draws from the same distributions."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats

from tests.support.composing import QUICK, cases, composed
from tests.support.drawn_on_cpu import DrawnOnCPU
from tests.support.needs import POSITIVE, TOGETHER
from vae_hydra.runs.build import build_experiment, build_noise

GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CASES = [
    *(case for case in cases("sampler", "prior", "likelihood", "objective", "condition", "classifier", "noise")),
    *(case for case in cases("model") if "64" not in case),
    *(f"prior=mixture sampler={name}" for name in ("gamma", "beta", "multivariate_t")),
    *(f"prior=vamp sampler={name}" for name in ("student_t", "von_mises_fisher", "inverse_gaussian")),
    *(f"objective={name} sampler=gamma" for name in ("iwae", "dreg", "beta_divergence")),
    *("sampler=student_t sampler.learn_df=true", "sampler=inverse_gaussian sampler.gradient=pathwise"),
    *("likelihood=student_t likelihood.learn_scale=predicted", "noise=normal noise.mode=stacked"),
    *(f"sampler={name} sampler.kl=monte_carlo" for name in ("gamma", "beta", "weibull", "laplace")),
    *("dataset.binarise=dynamic likelihood=bernoulli", "dataset=lognormal_2d likelihood=student_t"),
]


def experiment(case: str):
    positive = ["dataset.transform=exp"] if case.removeprefix("likelihood=") in POSITIVE else []
    overrides = [*case.split(), *TOGETHER.get(case, ()), *positive]
    return build_experiment(composed(*QUICK, *dict.fromkeys(overrides)))


def on(device: torch.device, module, batch):
    """Terms of a training step of 16 examples, its latents and its gradients; all draws are those of the CPU."""
    module, x, y = copy.deepcopy(module).to(device), batch.x.double().to(device), batch.y.to(device)
    torch.manual_seed(3)
    with DrawnOnCPU():
        terms, output = module._step(module.noise(x), x, 0.5, y)
        terms["loss"].mean().backward()
    gradients = {name: value.grad.cpu() for name, value in module.named_parameters() if value.grad is not None}
    return {name: value.detach().cpu() for name, value in terms.items()}, output.z.detach().cpu(), gradients


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_is_the_same(case):
    module, data = experiment(case)
    batch = data.prepared("train", 16)
    (terms, z, gradients), (on_gpu, z_on_gpu, gradients_on_gpu) = (
        on(device, module.double(), batch) for device in (torch.device("cpu"), GPU)
    )
    close = {"rtol": 1e-6, "atol": 1e-8}
    torch.testing.assert_close(z_on_gpu, z, **close)
    torch.testing.assert_close(on_gpu, terms, **close)
    scale = max(value.abs().max().item() for value in gradients.values())
    torch.testing.assert_close(gradients_on_gpu, gradients, rtol=1e-6, atol=1e-8 * scale)


@pytest.mark.parametrize("case", [case for case in cases("sampler") if "deterministic" not in case])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_latents_are_drawn_from_the_same_distribution(case, dtype):
    module, data = experiment(case)
    x = data.prepared("train", 1).x
    with torch.no_grad():
        parts = []
        for seed, device in enumerate((torch.device("cpu"), GPU)):
            vae = copy.deepcopy(module.vae).to(device, dtype)
            torch.manual_seed(seed)
            q, prior = vae.encode(x.to(device, dtype)), vae.prior_sample(20_000)
            parts.append((q.sample((20_000,)).flatten(0, 1).cpu(), prior.cpu()))
    for ours, theirs in zip(*parts, strict=True):
        assert theirs.dtype == dtype
        for latent in range(0, ours.shape[1], 3):
            assert stats.ks_2samp(ours[:, latent], theirs[:, latent]).pvalue > 1e-5


@pytest.mark.parametrize("case", [case for case in cases("noise") if "none" not in case])
def test_noise_is_drawn_from_the_same_distribution(case):
    noise, x = build_noise(composed(case)), torch.zeros(200, 100)
    torch.manual_seed(0)
    ours = noise(x).flatten()
    assert stats.ks_2samp(ours, noise.to(GPU)(x.to(GPU)).flatten().cpu()).pvalue > 1e-4
