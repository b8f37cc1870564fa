"""How clear is the encoder's gradient of a bound from K draws? For each latent family, with IWAE and with DReG.

    python benchmarks/gradient_snr.py [repeats] [family ...]

Models of digits are trained for ten epochs on the ELBO, with three likelihoods and three seeds each. Then the gradient
of both bounds is taken many times for the same 16 examples. The signal-to-noise ratio of a parameter is
|mean|/standard deviation over these; the table has its mean over the encoder's parameters, as mean ± standard deviation
over the seeds. Where there is no signal, it is 0.8/√repeats.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hydra import compose

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import config_folder, plain
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.build import build_data
from vae_hydra.runs.folder import Run
from vae_hydra.runs.saved import open_run
from vae_hydra.runs.stack import train_together
from vae_hydra.training.importance import importance_weighted_loss
from vae_hydra.training.module import VAEModule

FAMILIES = (
    *("normal", "lognormal", "inverse_gaussian", "student_t", "laplace", "gamma", "weibull"),
    *("beta", "kumaraswamy", "multivariate_t", "normal_full", "von_mises_fisher"),
)
SEEDS, DRAWS, BATCH = (0, 1, 2), (1, 4, 16, 64), 16
# Of the Gaussian likelihood: the larger, the more alike are the weights of the draws.
SCALES = (0.1, 0.3, 1.0)


def trained(folder: str, family: str, scale: float) -> list[VAEModule]:
    """Models of a family, one for each seed."""
    options = ["trainer.max_epochs=10", "trainer.accelerator=cpu", "test_noises=null", f"output_dir={folder}"]
    options += ["callbacks.figures.enabled=false", f"likelihood.scale={scale}"]
    with initialized(str(config_folder())):
        configs = [plain(compose("train", [f"sampler={family}", f"seed={seed}", *options])) for seed in SEEDS]
    train_together(configs)
    return [open_run(Run.of(config).folder, accelerator="cpu").module.train() for config in configs]


def signal_to_noise(module: VAEModule, x: torch.Tensor, draws: int, doubly: bool, repeats: int) -> float:
    """Mean over the encoder's parameters of |mean|/standard deviation of their gradients."""
    vae = module.vae
    total = square = torch.zeros(())
    torch.manual_seed(0)
    for _ in range(repeats):
        vae.zero_grad()
        importance_weighted_loss(vae, vae.encode(x), x, None, draws, 1.0, doubly).mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in vae.encoder.parameters() if p.grad is not None]).double()
        total, square = total + gradient, square + gradient.square()
    mean = total / repeats
    deviation = (square / repeats - mean.square()).clamp(min=0).sqrt()
    moving = deviation > 0
    return (mean[moving].abs() / deviation[moving]).mean().item()


def main(repeats: int = 200, families: Sequence[str] = FAMILIES) -> None:
    cli.prepare()
    prepare_torch(1)
    print(f"signal-to-noise ratio of the encoder's gradient, {repeats} gradients; no signal: {0.8 / repeats**0.5:.3f}")
    print(f"{'scale':<7}{'family':<18}{'':<6}" + "".join(f"K = {draws:<12}" for draws in DRAWS))
    with tempfile.TemporaryDirectory() as folder:
        for scale, family in itertools.product(SCALES, families):
            modules = trained(folder, family, scale)
            data = build_data(modules[0].description["config"])
            x = data.prepared("train", BATCH).x
            for name, doubly in (("iwae", False), ("dreg", True)):
                cells = []
                for draws in DRAWS:
                    ratios = torch.tensor([signal_to_noise(one, x, draws, doubly, repeats) for one in modules])
                    cells.append(f"{ratios.mean():.3f} ± {ratios.std():.3f}")
                print(f"{scale:<7}{family:<18}{name:<6}" + "".join(f"{cell:<16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200, sys.argv[2:] or FAMILIES)
