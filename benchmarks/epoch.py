"""What does the framework cost? An MNIST epoch of the reference MLP, three ways.

    make bench            (or: python benchmarks/epoch.py [rounds [cpu|gpu]])

1. bare: a plain torch loop of the same mathematics, on tensors in memory, with fused Adam;
2. products: the loop's matrix products alone, forward and backward, on random matrices;
3. ours: ``vae_hydra.train`` with the preset ``experiment=heavy_tailed/mnist``, seconds per epoch as it records them.

They take turns, so that a machine that changes speed changes all; each figure is the median over
the rounds, with its range.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise

from vae_hydra.base.command.configuration import config_folder
from vae_hydra.base.command.process import prepare_torch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import resource

import torch
from hydra import compose
from torch import Tensor, nn

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.build import build_data
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.history import read_epochs

EXAMPLES, BATCH, BETA = 60_000, 512, 0.01
ENCODER, DECODER = (784, 300, 300, 20), (10, 300, 300, 300, 784)
EPOCHS_OF_OURS = 3


def network(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers[:-1])


def bare_epoch(pixels: Tensor) -> Callable[[], None]:
    """A closure that trains one epoch with nothing but torch, on the device of the pixels."""
    encoder, decoder = (network(widths).to(pixels.device) for widths in (ENCODER, DECODER))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-4, fused=True)

    def epoch() -> None:
        order = torch.randperm(EXAMPLES, device=pixels.device)
        for start in range(0, EXAMPLES, BATCH):
            x = pixels[order[start : start + BATCH]].float() / 255
            mean, log_variance = encoder(x).chunk(2, dim=-1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            half_sse = 0.5 * (decoder(z) - x).square().sum(-1)
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            loss = ((half_sse + BETA * kl) / (1 + BETA)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def products_epoch(device: torch.device) -> None:
    """The matrix products of an epoch: output, weight gradient, and input gradient but for the first layer."""
    layers = [*pairwise(ENCODER), *pairwise(DECODER)]
    shapes = [((BATCH, a), (a, b), (BATCH, b)) for a, b in layers]
    matrices = [[torch.randn(shape, device=device) for shape in one] for one in shapes]
    for _ in range(0, EXAMPLES, BATCH):
        for number, (x, weight, gradient) in enumerate(matrices):
            x @ weight
            x.T @ gradient
            if number:
                gradient @ weight.T


def our_epochs(seed: int, accelerator: str, *overrides: str) -> list[float]:
    """Seconds of each epoch that ``train`` records."""
    with (
        tempfile.TemporaryDirectory() as folder,
        initialized(str(config_folder())),
    ):
        options = ["experiment=heavy_tailed/mnist", f"trainer.max_epochs={EPOCHS_OF_OURS}", f"output_dir={folder}"]
        config = plain(compose("train", [*options, f"trainer.accelerator={accelerator}", f"seed={seed}", *overrides]))
        train(config)
        rows = read_epochs(Run.of(config).folder / "metrics.csv")
    return [row["train/seconds_per_epoch"] for row in rows]


def timed(function: Callable[[], None]) -> float:
    wait_for_gpu()
    start = time.perf_counter()
    function()
    wait_for_gpu()
    return time.perf_counter() - start


def wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def real_pixels() -> Tensor:
    with initialized(str(config_folder())):
        config = plain(compose("train", ["experiment=heavy_tailed/mnist"]))
    return build_data(config).splits["train"].x.flatten(1)


def main(rounds: str = "5", accelerator: str = "cpu") -> None:
    cli.prepare()
    prepare_torch(None)
    device = torch.device("cuda" if accelerator == "gpu" else accelerator)
    bare = bare_epoch(real_pixels().to(device))
    seconds: dict[str, list[float]] = {"products": [], "bare": [], "ours": []}
    timed(bare), products_epoch(device), our_epochs(int(rounds), accelerator)  # warm up
    for seed in range(int(rounds)):
        seconds["products"] += [timed(lambda: products_epoch(device))]
        seconds["bare"] += [timed(bare) for _ in range(EPOCHS_OF_OURS)]
        seconds["ours"] += our_epochs(seed, accelerator)
    base = statistics.median(seconds["bare"])
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"seconds an epoch of {EXAMPLES:,} examples, batch {BATCH}, {where}, {rounds} rounds")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<9} {median:6.3f}  ({min(values):.3f}–{max(values):.3f})  {median / base:5.2f} × bare")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak resident memory of this process: {peak:.2f} GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
