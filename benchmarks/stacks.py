"""What does a run cost in a stack? An epoch of training, for stacks of several sizes.

    make bench            (or: python benchmarks/stacks.py [cpu|gpu])

Once for the default, digits, and once for the preset ``experiment=heavy_tailed/mnist``, with the real MNIST.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from hydra import compose

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import config_folder, plain
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.trainer import choose_device
from vae_hydra.training.stack import Stack

EPOCHS = 3
SIZES = {"cpu": (1, 4), "gpu": (1, 4, 16, 64, 256)}
CASES = {"digits": (), "MNIST": ("experiment=heavy_tailed/mnist",)}


def stacked_epoch(configs: Sequence[Mapping[str, Any]], epochs: int = 5) -> float:
    """Seconds of an epoch of training, a run, in a stack of runs."""
    first = build_experiment(configs[0])
    experiments = [first, *(build_experiment(one, first.data.with_order(one["seed"])) for one in configs[1:])]
    orders = [experiment.data.order_seed for experiment in experiments]
    modules = [experiment.module for experiment in experiments]
    device = choose_device(configs[0]["trainer"]["accelerator"])
    stack = Stack(modules, first.data, orders, epochs + 1, device=device)
    stack.train_epoch()
    start = time.perf_counter()
    for _ in range(epochs):
        # It returns means on the CPU, and so waits for a GPU.
        stack.train_epoch()
    return (time.perf_counter() - start) / epochs / len(configs)


def configured(*overrides: str) -> dict[str, Any]:
    with initialized(str(config_folder())):
        return plain(compose("train", list(overrides)))


def main(accelerator: str = "cpu") -> None:
    cli.prepare()
    prepare_torch(None)
    print(torch.cuda.get_device_name() if accelerator == "gpu" else f"{torch.get_num_threads()} threads of the CPU")
    for name, overrides in CASES.items():
        config = configured(f"trainer.accelerator={accelerator}", *overrides)
        alone = None
        for size in SIZES[accelerator]:
            seconds = stacked_epoch([{**config, "seed": seed} for seed in range(size)], EPOCHS)
            alone = alone or seconds
            print(
                f"{name}: stack of {size:<4}{1000 * seconds:10.2f} ms an epoch and run{alone / seconds:8.1f} ×",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
