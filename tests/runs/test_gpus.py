"""What a GPU changes in the plan of a sweep, and in what is said; the GPU itself is made up."""

from __future__ import annotations

import math

import pytest
import torch

from vae_hydra.base.memory import free_memory
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.devices import uses_gpu, visible_gpus
from vae_hydra.studies.sweep.submitit_launcher import LocalLauncher, SubmititLauncher
from vae_hydra.training.callbacks.guards import NonFiniteLossError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize(("named", "expected"), [(None, [0, 1]), ("3", [3]), ("1,0", [1, 0]), ("GPU-5ebe9f43", [0, 1])])
@pytest.mark.usefixtures("two_gpus")
def test_a_process_sees_the_gpus_that_are_named_or_all(named, expected, monkeypatch):
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_a_machine_without_gpus_has_none(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("accelerators", "available", "expected"),
    [(["cpu"], True, False), (["auto"], True, True), (["auto"], False, False), (["cpu", "gpu"], False, True)],
)
def test_a_sweep_uses_a_gpu_if_one_of_its_runs_does(accelerators, available, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert uses_gpu({"trainer": {"accelerator": name}} for name in accelerators) == expected


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, {"gpus_per_node": 2, "visible_gpus": [0, 1]}), ({"gpus_per_node": 0}, {"gpus_per_node": 0})],
)
def test_local_processes_see_the_gpus_that_the_sweep_sees(given, expected, tmp_path, monkeypatch):
    """Without a number submitit hides all of them."""
    launcher = LocalLauncher(str(tmp_path), 3, timeout_min=60, **given)
    monkeypatch.setattr(SubmititLauncher, "_executor", lambda self: self.parameters)
    assert launcher._executor() == {"timeout_min": 60, **expected}


def test_memory_that_torch_keeps_of_ended_stacks_is_free(monkeypatch):
    cuda = {"mem_get_info": (10, 80), "memory_reserved": 50, "memory_allocated": 20}
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_memory(torch.device("cuda", 0)) == 40


def test_advice_for_float16_comes_first():
    assert "Try a smaller" in str(NonFiniteLossError.of(0, math.nan))
    assert "Try trainer.precision=bf16-mixed or 32-true" in str(NonFiniteLossError.of(0, math.nan, "16-mixed"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_latents_beyond_half_precision_are_decoded_to_numbers_in_evaluation(dtype, configure):
    vae = build_experiment(configure("sampler=student_t")).module.vae.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype):
        assert vae.decode(torch.full((4, 10), 1e6)).mean.isfinite().all()
