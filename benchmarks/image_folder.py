"""What do images on disk cost? An epoch over a memory-mapped folder of images, beside the same images in memory.

    python benchmarks/image_folder.py [images] [rounds]

Random 64×64 colour images (50,000 if nothing else is asked for) are written into a temporary folder and converted once.
Then each round serves an epoch of training batches twice, from memory and mapped, scaled to floats, so that a machine
that changes speed changes both; the ratio is that of the medians. The peak is the resident memory of a process that
only serves the mapped images; the pages of the file count, although the system may take them back at any time.
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

import resource

import numpy as np
from PIL import Image

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


def seconds_of_epoch(data: DataModule) -> float:
    start = time.perf_counter()
    for batch in data.train_dataloader():
        data.on_after_batch_transfer(batch, 0)
    return time.perf_counter() - start


def peak(folder: Path) -> float:
    """Greatest resident memory [GB] of a process that serves the mapped images for an epoch."""
    command = [sys.executable, __file__, "--peak", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def compare(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of the conversion, and medians of those of the epochs from memory and from the file."""
    start = time.perf_counter()
    mapped = data_of(folder, in_memory=False)
    conversion = time.perf_counter() - start
    datasets = {"memory": data_of(folder, in_memory=True), "mapped": mapped}
    seconds: dict[str, list[float]] = {name: [] for name in datasets}
    for number in range(rounds + 1):
        for name, data in datasets.items():
            spent = seconds_of_epoch(data)
            # The first round brings the file into the system's memory.
            seconds[name] += [spent] if number else []
    return {"conversion": conversion, **{name: statistics.median(values) for name, values in seconds.items()}}


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        seconds_of_epoch(data_of(Path(sys.argv[2]), in_memory=False))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
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
    print(f"epoch from memory       {found['memory']:8.2f} s")
    print(f"epoch from the file     {found['mapped']:8.2f} s, {found['mapped'] / found['memory']:.2f} times as long")
    print(f"resident memory         {resident:8.2f} GB at most")


if __name__ == "__main__":
    main()
