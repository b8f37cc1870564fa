"""Shares of a batch: together, two devices compute what one computes, with the same random numbers."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from tests.support.composing import composed, options
from tests.support.device import TRAINED_ON
from vae_hydra.base.shares import DrawsOfShare, Share
from vae_hydra.data.datamodule import DataModule
from vae_hydra.runs.build import build_data, build_experiment
from vae_hydra.training.batch_seeds import TRAIN

SMALL = ("model.encoder.widths=[8]", "model.decoder.widths=[8]", "model.latent_dim=4", "noise=uniform")
# Its data must be positive and its network radial; it draws as gamma and normal do.
SAMPLERS = [name for name in options("sampler") if name != "radius_angle"]
CASES = {
    **{name: (f"sampler={name}",) for name in SAMPLERS},
    "monte carlo": ("sampler=laplace", "sampler.kl=monte_carlo"),
    "iwae": ("objective=iwae", "objective.draws=5"),
    "dreg": ("objective=dreg", "sampler=gamma", "objective.draws=5"),
    "mixture": ("prior=mixture",),
    "labels": ("condition=both",),
    **{f"{bits} free bits": (f"objective.free_bits={bits}",) for bits in (0.03, 0.2)},
}
# Odd, so that shares are unequal.
BATCH = 13


@pytest.mark.parametrize(("batch", "ranks"), [(13, 2), (1, 2), (0, 2), (64, 3), (5, 8)])
def test_shares_are_the_batch_cut_into_parts(batch, ranks):
    shares = [Share(rank, ranks, batch) for rank in range(ranks)]
    parts = [np.arange(batch)[share.rows].tolist() for share in shares]
    assert parts == [part.tolist() for part in np.array_split(np.arange(batch), ranks)]
    assert [share.size for share in shares] == [len(part) for part in parts]


@functools.cache
def digits() -> DataModule:
    return build_data(composed(*SMALL))


def terms_and_gradient(config: dict, share: Share) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row of a share, and the gradient that DDP would average."""
    # In double precision: rejection samplers repeat a draw or not by the last digits of their parameters.
    module = build_experiment(config, digits()).module.double()
    examples = digits().prepared("train", BATCH)
    module.seed_batch(TRAIN, 0, 0)
    x = examples.x.double()
    inputs, rows = module.noise(x)[share.rows], share.rows
    with share.draws():
        terms, _ = module._step(inputs, x[rows], 1.0, examples.y[rows])
    (terms["loss"].sum() * (share.ranks / share.batch)).backward()
    return terms["loss"].detach(), torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def device(rank: int, ranks: int, folder: str, configs: dict[str, dict]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = {case: terms_and_gradient(config, Share(rank, ranks, BATCH)) for case, config in configs.items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def configs() -> dict[str, dict]:
    return {case: composed(*options, *SMALL, TRAINED_ON) for case, options in CASES.items()}


@pytest.fixture(scope="module")
def on_two(configs, tmp_path_factory) -> list[dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """The results of two devices for all cases."""
    folder = tmp_path_factory.mktemp("devices")
    # Where it can, a process begins as a copy of this one, which has imported everything.
    method = "fork" if sys.platform == "linux" else "spawn"
    torch.multiprocessing.start_processes(device, (2, str(folder), configs), nprocs=2, start_method=method)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_devices_compute_what_one_computes(case, configs, on_two):
    loss, gradient = terms_and_gradient(configs[case], Share(0, 1, BATCH))
    torch.testing.assert_close(torch.cat([found[case][0] for found in on_two]), loss)
    torch.testing.assert_close(sum(found[case][1] for found in on_two) / 2, gradient)


def test_a_device_without_rows_takes_part():
    share = Share(1, 2, 1)
    torch.manual_seed(0)
    with DrawsOfShare(share):
        empty, after = torch.randn(0, 3), torch.randn(4)
    torch.manual_seed(0)
    assert empty.shape == (0, 3)
    torch.randn(1, 3)
    torch.testing.assert_close(after, torch.randn(4))


def test_an_unknown_draw_is_refused():
    with DrawsOfShare(Share(0, 2, 8)), pytest.raises(NotImplementedError, match="use one device"):
        torch.randperm(4)
