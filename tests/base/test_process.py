"""Torch, prepared for a command."""

import pytest
import torch

from vae_hydra.base.command.process import prepare_torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_the_library_of_nvml_is_looked_for_once(monkeypatch):
    """Adam asks before each step whether there is a GPU."""
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    looked = []
    monkeypatch.setattr(torch.cuda, "_device_count_nvml", lambda: looked.append(1) or -1)
    prepare_torch(None)
    assert len(looked) == 1
    assert not torch.cuda.is_available()
    assert len(looked) == 1
