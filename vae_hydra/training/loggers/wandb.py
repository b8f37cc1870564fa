"""Weights & Biases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.training.loggers.run_logger import BINS, RunLogger, exit_code

NOT_IN_PROJECTS = "/\\#?%:"
LONGEST_TAG = 64


def wandb_logger(
    folder: Path,
    run_id: str,
    project: str,
    offline: bool,
    group: str | None = None,
    tags: Sequence[str] = (),
    entity: str | None = None,
    run_tags: Sequence[str] = (),
) -> WandbRun:
    """Weights & Biases, with one W&B run for a run's folder; resuming the run resumes it.

    Args:
        folder: folder of the run, for the files and the name of the W&B run.
        run_id: unique id of the run, by which W&B recognises it later.
        project, entity, group, tags: options of W&B.
        offline: whether to keep everything on disk until ``wandb sync``.
        run_tags: the option ``tags`` of the run, added to ``tags``.

    Raises:
        ValueError: for a name that W&B does not take.
    """
    checks.boolean("logger.wandb.offline", offline)
    if set(str(project)) & set(NOT_IN_PROJECTS):
        raise ValueError(f"logger.wandb.project must be a name without any of {NOT_IN_PROJECTS}, but got {project!r}")
    every = dict.fromkeys(
        [*checks.texts("logger.wandb.tags", list(tags) if isinstance(tags, tuple) else tags), *run_tags]
    )
    for tag in every:
        if len(tag) > LONGEST_TAG:
            raise ValueError(f"tags of W&B have at most {LONGEST_TAG} characters, but got {tag!r}")
    return WandbRun(
        folder,
        offline,
        name=folder.name,
        id=f"{folder.name}-{run_id}",
        project=_text(project),
        group=_text(group),
        tags=[*every],
        entity=_text(entity),
    )


def _text(value: Any) -> str | None:
    """A name as a text: one of digits alone is a number on the command line."""
    return None if value is None else str(value)


class WandbRun(RunLogger, WandbLogger):
    """A W&B run, which says where it is and nothing else."""

    title = "W&B"

    def __init__(self, folder: Path, offline: bool, **options: Any) -> None:
        WandbLogger.__init__(
            self,
            save_dir=folder.resolve(),  # W&B's process may have another working folder
            mode="offline" if offline else None,
            resume="allow",
            settings={"silent": True, "quiet": True},
            **options,
        )
        # Lightning always passes it, and W&B warns of it.
        self._wandb_init.pop("anonymous", None)
        self.record, self._is_offline = folder / "wandb" / "logged.json", offline
        self._destination = "/".join(str(options[key]) for key in ("entity", "project", "id"))

    @property
    def place(self) -> str:
        if not self._is_offline:
            return str(self.experiment.url)
        return f"offline; send it with: wandb sync {shlex.quote(str(Path(self.experiment.dir).parent))}"

    @property
    def destination(self) -> str:
        return self._destination

    def send(self, values: Mapping[str, Any], step: int) -> None:
        # W&B keeps a row a step. Its own count of rows would begin anew in an offline run that goes on.
        run = self.experiment
        run.log({**values, "trainer/global_step": step}, step=max(step, run.step))

    def send_figure(self, name: str, picture: Path, step: int) -> None:
        import wandb  # takes two seconds

        self.send({name: [wandb.Image(str(picture))]}, step)

    def send_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        import wandb

        counts = {name: np.histogram(value.numpy(), bins=BINS) for name, value in values.items()}
        self.send({name: wandb.Histogram(np_histogram=count) for name, count in counts.items()}, step)

    def end(self, error: BaseException | None) -> None:
        """Close the W&B run, so that the next run of a sweep starts a new one."""
        import wandb

        wandb.finish(exit_code=exit_code(error))
