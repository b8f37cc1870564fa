"""What do images on disk cost? An epoch over a memory-mapped folder of images, beside the same images in memory.

    python benchmarks/image_folder.py [images] [rounds]

Random 64×64 colour images (50,000 if nothing else is asked for) are written into a temporary folder and converted once.
Then each round serves an epoch of training batches, scaled to floats, from memory and from the file. It also trains an
epoch from each with the smallest model there is, a linear autoencoder of ten codes. All take turns, so that a machine
that changes speed changes all; a ratio is that of medians. The peak is the resident memory (on Linux) of a process that
only serves mapped images; the pages of the file count, although the system may take them back at any time.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image
from torch import nn

from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.sources.image_folder import load_image_folder

IMAGES, ROUNDS, SIDE, BATCH = 50_000, 5, 64, 128


def write_images(folder: Path, count: int) -> None:
    """Random PNGs, without compression, in ten folders."""
    generator = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / str(number % 10) / f"{number:06}.png", compress_level=0)


def data_of(folder: Path, in_memory: bool) -> DataModule:
    cache = str(folder.parent / "cache")
    source = load_image_folder(str(folder), size=SIDE, test=0.02, cache=cache, in_memory=in_memory)
    return DataModule(source, BATCH, validation=0.02)


def seconds_of_epoch(data: DataModule, model: nn.Module | None = None) -> float:
    """Serve an epoch of training batches, and train ``model`` on them if there is one."""
    optimizer = None if model is None else torch.optim.Adam(model.parameters(), fused=True)
    start = time.perf_counter()
    for batch in data.train_dataloader():
        x, _ = data.on_after_batch_transfer(batch, 0)
        if model is not None and optimizer is not None:
            optimizer.zero_grad()
            (model(x.flatten(1)) - x.flatten(1)).square().sum(1).mean().backward()
            optimizer.step()
    return time.perf_counter() - start


def peak(folder: Path) -> float:
    """Greatest resident memory [GB] of a process that serves the mapped images for an epoch."""
    command = [sys.executable, __file__, "--peak", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def peak_of_this_process() -> float:
    """In GB; getrusage would count the memory of the parent at the start."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e9


def compare(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of the conversion, and medians of those of the epochs."""
    start = time.perf_counter()
    mapped = data_of(folder, in_memory=False)
    conversion = time.perf_counter() - start
    datasets = {"memory": data_of(folder, in_memory=True), "file": mapped}
    values = 3 * SIDE**2
    model = nn.Sequential(nn.Linear(values, 10), nn.Linear(10, values))
    seconds: dict[str, list[float]] = {f"{name} {use}": [] for use in ("served", "trained") for name in datasets}
    for number in range(rounds + 1):
        for case, spent in seconds.items():
            name, use = case.split()
            taken = seconds_of_epoch(datasets[name], model if use == "trained" else None)
            # The first round brings the file into the system's memory.
            spent += [taken] if number else []
    return {"conversion": conversion, **{case: statistics.median(spent) for case, spent in seconds.items()}}


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        seconds_of_epoch(data_of(Path(sys.argv[2]), in_memory=False))
        print(peak_of_this_process())
        return
    logging.basicConfig(format="%(message)s")
    given = [int(argument) for argument in sys.argv[1:]]
    count, rounds = (given + [IMAGES, ROUNDS][len(given) :])[:2]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        write_images(folder, count)
        found, resident = compare(folder, rounds), peak(folder)
    print(f"{count:,} images of {SIDE}×{SIDE} in colour, batches of {BATCH}, {rounds} rounds")
    print(f"conversion, once        {found['conversion']:8.1f} s")
    for use in ("served", "trained"):
        memory, file = found[f"memory {use}"], found[f"file {use}"]
        print(f"epoch {use:<8} from memory {memory:5.2f} s, from the file {file:5.2f} s: {file / memory:.2f} times")
    print(f"resident memory         {resident:8.2f} GB at most")


if __name__ == "__main__":
    main()
