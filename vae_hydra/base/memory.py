"""Memory that a process may still use."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import torch

# Limit and use of a container or a job of a cluster.
_GROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Free memory of a device [bytes]; of the CPU at most what the limit of a container or a job leaves."""
    if device.type == "cuda":
        # What torch keeps of tensors that are gone is free for those to come.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    free = psutil.virtual_memory().available
    if granted := os.environ.get("SLURM_MEM_PER_NODE"):
        # In MB. A job's own group is not where a container's is, and not every cluster has one.
        free = min(free, int(granted) * 2**20 - psutil.Process().memory_info().rss)
    try:
        return min(free, int((_GROUP / "memory.max").read_text()) - _used())
    except (OSError, ValueError, KeyError):
        # No such files outside Linux; "max" stands for no limit.
        return free


def _used() -> int:
    """Bytes in use, without copies of files that the system gives up when memory is needed."""
    counts = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
    return int((_GROUP / "memory.current").read_text()) - int(counts["inactive_file"])
