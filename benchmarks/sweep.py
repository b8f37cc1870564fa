"""What does a sweep cost? A third of sweep=coffee_break, run by run, under joblib, and in stacks.

    make bench            (or: python benchmarks/sweep.py [epochs])

1. basic: the runs one after the other, one thread;
2. joblib: two at a time, one thread each;
3. stacked: runs of one sampler as one model, ``stack=32``, one thread;
4. stacked under joblib: two stacks at a time.

Each is a process of its own, with its start, its tests and its files. The peak is the resident memory of
the largest process. Then a run alone, and the training of an epoch in stacks of 1, 4, 16 and 64 runs, beside a bare
torch loop.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"

import resource
import subprocess

import torch
from stacks import configured, stacked_epoch

from vae_hydra.base.command import cli
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.train import train

GRID = ("-m", "sampler=normal,lognormal,laplace,weibull", "noise=glob(*)", "seed=0,1")
COMMON = ("threads=1", "trainer.accelerator=cpu")
RUNS = 40
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
WAYS = {"basic": (), "joblib": JOBLIB, "stacked": ("stack=32",), "stacked under joblib": ("stack=32", *JOBLIB)}
SIZES = (1, 4, 16, 64)


def swept(epochs: int, *options: str) -> tuple[float, float]:
    """Seconds of the sweep, and the peak memory of its largest process so far [GiB]."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vae_hydra.train", *GRID, *COMMON, f"trainer.max_epochs={epochs}"]
        command.append(f"output_dir={folder}")
        start = time.perf_counter()
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2


def run_alone(epochs: int) -> float:
    """Seconds of a run of a sweep that Lightning trains, with its tests and files; the better of two."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in (0, 1, 2):
            own = (f"seed={seed}", f"trainer.max_epochs={epochs}", f"output_dir={folder}")
            config = configured(*COMMON, *own, "callbacks.figures.enabled=false")
            start = time.perf_counter()
            train(config, quiet=True)
            times.append(time.perf_counter() - start)
    # The first one imports what the others find imported.
    return min(times[1:])


def bare_epoch(epochs: int = 5) -> float:
    """Seconds of an epoch of the same mathematics in a plain torch loop."""
    module, data = build_experiment(configured(*COMMON))
    vae = module.vae
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)
    x = data.prepare(data.splits["train"].x)

    def epoch() -> None:
        order = torch.randperm(len(x))
        for start in range(0, len(x), data.batch_size):
            batch = x[order[start : start + data.batch_size]]
            mean, log_variance = vae.encoder(batch).chunk(2, dim=-1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            half_sse = 0.5 * (vae.decoder(z) - batch).square().flatten(1).sum(1) / 0.01
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
            optimizer.zero_grad()
            (half_sse + kl).mean().backward()
            optimizer.step()

    epoch()
    start = time.perf_counter()
    for _ in range(epochs):
        epoch()
    return (time.perf_counter() - start) / epochs


def main(epochs: int = 50) -> None:
    cli.prepare()
    prepare_torch(1)
    print(f"{RUNS} runs of {epochs} epochs on digits: seconds in all, seconds a run, times as fast as basic, peak GiB")
    base = None
    for way, options in WAYS.items():
        seconds, peak = swept(epochs, *options)
        base = base or seconds
        print(f"{way:<22}{seconds:8.1f}{seconds / RUNS:8.2f}{base / seconds:8.2f} ×{peak:8.2f}", flush=True)
    bare = bare_epoch()
    alone = run_alone(epochs)
    print(f"a run alone, {epochs} epochs: {alone:.2f} s, {alone / epochs / bare:.2f} × the bare loop")
    print(f"milliseconds of an epoch of training, a run; a bare loop: {1000 * bare:.1f}")
    for size in SIZES:
        seconds = stacked_epoch([configured(*COMMON, f"seed={seed}") for seed in range(size)])
        print(f"stack of {size:<4}{1000 * seconds:16.1f}{seconds / bare:8.2f} × bare", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
