"""Torch and Lightning, prepared for a command."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig

from vae_hydra.base import checks
from vae_hydra.base.command.configuration import is_sweep

UNHELPFUL_WARNINGS = (
    # The data are in memory: worker processes would only slow their loading.
    ".*does not have many workers",
    # Metrics are logged once an epoch, whatever its number of batches.
    ".*smaller than the logging interval",
    # Means over examples are added up across devices before they are logged.
    ".*recommended to use `self.log",
    # Where SLURM is installed. Jobs of a sweep use it, a run that is started by hand need not.
    ".*`srun` command is available",
    # Lightning's own use of torch, which its users cannot change.
    ".*isinstance\\(treespec, LeafSpec\\)",
)

# Beyond any machine's cores; some libraries fail to start more.
MOST_THREADS = 1024

# Loggers whose INFO messages help only their authors.
CHATTY = ("lightning.pytorch", "lightning.fabric", "onnxscript", "onnx_ir")


def prepare_torch(threads: int | None) -> None:
    """Import torch and Lightning and make them quiet; ``threads`` of the CPU, or None for those of this job."""
    # Commands print their help before they import these.
    import torch
    from lightning.pytorch.utilities import rank_zero_only

    threads = _granted_threads() if threads is None else checks.integer("threads", threads, 1, MOST_THREADS)
    if threads is not None:
        torch.set_num_threads(threads)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not torch.cuda.is_available():
        # Lightning has torch ask NVML, and Adam asks before each step: 60 µs where the library of NVML is missing.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("vae_hydra").setLevel(logging.WARNING)
    for message in UNHELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def processes_side_by_side() -> int:
    """Processes of a sweep that share this machine's memory: those of joblib, else one."""
    return launched_together(HydraConfig.get().launcher) if is_sweep() else 1


def launched_together(launcher: Mapping[str, Any]) -> int:
    """Jobs that a launcher runs at a time on this machine; joblib's default of −1 stands for the number of cores.

    So does Ray's default. Jobs on a cluster of Ray are taken for jobs of other machines.
    """
    ray = (launcher.get("ray") or {}).get("init")
    if ray is None:
        jobs = launcher.get("n_jobs", 1)
    else:
        jobs = -1 if ray.get("address") is None else 1
        jobs = ray.get("num_cpus") or jobs
    return jobs if jobs > 0 else os.cpu_count() or 1


def _granted_threads() -> int | None:
    """Threads that a job was submitted with (hydra.launcher.cpus_per_task); None leaves torch's default.

    Of submitit's local jobs, and of SLURM's where the cluster does not limit the cores of a job. joblib limits those of
    its own workers.
    """
    return HydraConfig.get().launcher.get("cpus_per_task") if is_sweep() else None
