"""A run's folder: its files, its status, and the process that writes to it."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import platform
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vae_hydra.base import checks
from vae_hydra.base.files import json_text, remove_leftovers, write_json, write_text
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.runs import scoring
from vae_hydra.runs.identity import run_name
from vae_hydra.runs.ownership import LOCK_WAIT, explaining_a_full_disk, locked, logging_to, overwrite
from vae_hydra.runs.reading import read_config, read_record, read_scores
from vae_hydra.training.protocols import DENOISE, missing_protocols

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

CHECKPOINTS = ("best", "last")
PACKAGES = ("torch", "lightning", "hydra-core", "numpy", "vae_hydra")


class Run:
    """A folder that holds one training run. It is a path: ``Path(run)`` is the folder.

    Reading a file that is damaged raises ValueError with the remedy.

    Args:
        folder: its place; ``Run.of(config)`` and ``Run.open(folder)`` are the usual constructors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    @classmethod
    def of(cls, config: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Run:
        """The run of ``config``, whether it exists yet or not; ``options`` as in ``run_name``."""
        return cls(_folder("output_dir", config["output_dir"]) / run_name(config, options))

    @classmethod
    def open(cls, folder: str | Path, key: str = "run") -> Run:
        """An existing run; ValueError for any other folder, with the name of the option, ``key``, that gave it."""
        run = cls(_folder(key, folder))
        if not run.record_path.is_file():
            if run.folder.is_file():
                raise ValueError(f"{key}={folder} is a file; give its folder, and checkpoint=best or last")
            if str(folder).startswith("hf:"):
                raise ValueError(f"{key}={folder}: commands take a run's folder; vae_hydra.load in Python opens hf://")
            raise ValueError(f"{key}={folder} is not a run: there is no {run.record_path}{_runs_beside(run.folder)}")
        return run

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.record.get('status', 'not started')})"

    @property
    def record_path(self) -> Path:
        return self.folder / "run.json"

    @property
    def record(self) -> dict[str, Any]:
        """Status, error, times and versions; empty before the run was ever started."""
        return self._read("run.json", read_record) if self.record_path.is_file() else {}

    @cached_property
    def id(self) -> str:
        """Eight digits that differ between runs of one name, in two folders or one after the other."""
        return self.record.get("id") or secrets.token_hex(4)

    @property
    def is_done(self) -> bool:
        return self.record.get("status") == "done" and (self.folder / "metrics.json").is_file()

    @property
    def metrics(self) -> dict[str, float]:
        """The test scores at the end of training."""
        return self._read("metrics.json", read_scores)

    @property
    def epochs(self) -> pd.DataFrame:
        """metrics.csv as a table: a row an epoch, with the losses, log p(x|z) and KL [nats per example]."""
        import pandas as pd  # here: training does not need it

        return pd.read_csv(self.folder / "metrics.csv")

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration in today's terms."""
        return self._read("config.yaml", read_config)

    def _read(self, name: str, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        try:
            return read(self.folder / name)
        except ValueError as error:
            raise ValueError(f"{self.folder}/{error}; {self._anew}") from error

    @property
    def _anew(self) -> str:
        return (
            f"delete {self.record_path} and start the run's command again: it goes on from its checkpoint, and is "
            "tested and written down anew"
        )

    def untested(self, config: Mapping[str, Any]) -> list[str]:
        """Test protocols of ``config`` that the finished run still needs: missing ones, and those whose noise has
        changed."""
        now, then = (nodes_to_test(c["noise"], c.get("test_noises")) for c in (config, self.config))
        changed = [f"{DENOISE}/{name}" for name, node in now.items() if then.get(name, node) != node]
        return [*missing_protocols(config, self.metrics), *changed]

    def checkpoint_path(self, which: str | None = None) -> Path:
        """best.ckpt or last.ckpt; by default the best if validation chose one.

        Raises:
            ValueError: for another word, or a checkpoint that was never written.
        """
        if which is None:
            which = "best" if (self.folder / "best.ckpt").is_file() else "last"
        path = self.folder / f"{checks.one_of('checkpoint', which, CHECKPOINTS)}.ckpt"
        if not path.is_file():
            raise ValueError(f"the run {self.folder} has no {path.name} (status: {self.record.get('status')})")
        return path

    def checkpoints(self) -> list[Path]:
        """The existing ones of best.ckpt and last.ckpt."""
        paths = [self.folder / f"{which}.ckpt" for which in CHECKPOINTS]
        return [path for path in paths if path.is_file()]

    def resume_path(self) -> Path | None:
        """last.ckpt; None before training has written one."""
        path = self.folder / "last.ckpt"
        return path if path.is_file() else None

    @contextmanager
    def writing(self, config: Mapping[str, Any], wait: float | None = None, **notes: Any) -> Iterator[None]:
        """Own the folder while training: lock it, keep its record, and write its log.

        Only the first of several processes that train one run together does so.

        Args:
            config: resolved configuration, to be written to the folder.
            wait: seconds to wait for another process that owns the folder; None for ``LOCK_WAIT``.
            notes: further entries of the record.

        Raises:
            ValueError: if the folder cannot be written, or another process is training this run.
        """
        if not is_first_process():
            yield
            return
        with locked(self.folder, LOCK_WAIT if wait is None else wait), explaining_a_full_disk(self.folder):
            remove_leftovers(self.folder, deep=True)
            with logging_to(self.folder / "train.log", self.name), self._recorded(config, notes):
                yield

    @contextmanager
    def _recorded(self, config: Mapping[str, Any], notes: Mapping[str, Any]) -> Iterator[None]:
        path = self.folder / "config.yaml"
        done = (self.record, path.read_text(encoding="utf-8")) if self.is_done else None
        version = scoring.version_of(self.record, goes_on=self.resume_path() is not None)
        begun = {"id": self.id, "started": self.record.get("started", _now()), scoring.KEY: version}
        tags = {"tags": config["tags"]} if config.get("tags") else {}
        started = {**begun, **tags, **_environment(), **notes}
        write_text(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        write_json(self.record_path, {"status": "running", **started})
        try:
            with explaining_a_full_disk(self.folder):
                yield
        except BaseException as error:
            if isinstance(error, Exception):
                log.debug("stopped by an error", exc_info=True)  # for the run's own log
                ended = {"status": "failed", "error": _described(error), **started}
            else:
                # A search that gives a run up sets the status itself.
                status = getattr(error, "run_status", "interrupted")
                ended = {"status": status, "error": repr(error), **started}
            if done is not None:
                # A finished run that was only to be tested again stays finished.
                ended = done[0]
                overwrite(path, done[1])
            overwrite(self.record_path, json_text(ended))
            raise

    def forget(self) -> None:
        """Delete the files by which training would go on, or count as done."""
        if not (is_first_process() and self.record_path.is_file()):
            return
        with locked(self.folder, LOCK_WAIT):
            for name in ("run.json", "metrics.json", "metrics.csv", *(f"{which}.ckpt" for which in CHECKPOINTS)):
                (self.folder / name).unlink(missing_ok=True)

    def fail(self, config: Mapping[str, Any], error: Exception) -> None:
        """Write ``error`` to the folder, unless it is there already, the run is done, or another process owns it."""
        if self.is_done or self.record.get("error") == _described(error):
            return
        with contextlib.suppress(Exception), self.writing(config, wait=0):
            raise error

    def finish(
        self,
        metrics: Mapping[str, float],
        checkpoint: str,
        seconds_per_epoch: float | None,
        partial: str | None = None,
    ) -> None:
        """Write the test scores, then the record; ``partial`` are the options that cut the run short."""
        write_json(self.folder / "metrics.json", dict(metrics))
        done = {"status": "done", "finished": _now(), "checkpoint": checkpoint, "seconds_per_epoch": seconds_per_epoch}
        write_json(self.record_path, {**self.record, **done, **({"partial": partial} if partial else {})})


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first; Lightning starts one for each further device."""
    from lightning.pytorch.utilities import rank_zero_only  # here: planning a sweep does not wait for torch

    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def _folder(key: str, value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError(f"{key} must be a folder, but got {value!r}")
    return Path(value).expanduser()


def finished_runs(folder: str | Path) -> list[Path]:
    """The folders of finished runs in a folder, by name; none if it is a run itself."""
    folder = Path(folder).expanduser()
    if (folder / "run.json").is_file():
        return []
    return [path.parent for path in sorted(folder.glob("*/run.json")) if Run(path.parent).is_done]


def _runs_beside(folder: Path) -> str:
    # In the folder, if it is one of runs, else beside it.
    found = [sorted(path.parent for path in place.glob("*/run.json")) for place in (folder, folder.parent)]
    beside = found[0] or found[1]
    return "" if not beside else "; runs there: " + ", ".join(str(path) for path in beside[:5])


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _environment() -> dict[str, Any]:
    import torch  # here: planning a sweep does not wait for it

    return {"versions": dict(_versions()), "git_commit": _git_commit(), "threads": torch.get_num_threads()}


# Once a process: many runs of a sweep ask.
@functools.cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


@functools.cache
def _git_commit() -> str | None:
    """The commit of the source checkout; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
