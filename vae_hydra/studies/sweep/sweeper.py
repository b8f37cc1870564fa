"""A --multirun as a union of grids: what is planned, what is missing, and what came of it."""

from __future__ import annotations

import logging
import shlex
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vae_hydra.base import checks
from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.command.errors import one_line
from vae_hydra.base.command.words import quoted
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.runs.identity import identifying_options
from vae_hydra.runs.upgrade import filled
from vae_hydra.studies.sweep import config_loader
from vae_hydra.studies.sweep.composition import Composed, Composer
from vae_hydra.studies.sweep.names import sweep_id, sweep_name
from vae_hydra.studies.sweep.plan import KEPT, Cell, check_known, write_plan
from vae_hydra.studies.sweep.workers import ending_workers

log = logging.getLogger(__name__)


def resolve(config: DictConfig, overrides: Sequence[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, as plain values: its options and, with ``init_from``, those of the run it starts from.

    Args:
        config: as composed from ``overrides``.
        overrides: what was typed for this run.
        choices: group → option that ``config`` was composed from.

    Raises:
        ValueError: for an option that nothing reads.
    """
    options = filled(plain(config) if config.init_from is None else _inherited(config, overrides))
    cli.refuse_unread(config, "train", choices, overrides, options)
    return options


def _inherited(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    from vae_hydra.runs.warm_start import inherit

    return inherit(config, hydra.compose("train"), overrides)


def without_hydra(config: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """A configuration that was composed with Hydra's own node, without it, and the options of groups it was made of."""
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


class GridSweeper(Sweeper):
    """Hydra sweeper: train those runs of a union of grids that are not done yet.

    A grid maps options to values as one types them, ``sampler: normal,lognormal``. What is typed comes on top, and
    is swept over as well. The plan is in plan.json of the sweep's folder before the first run starts.

    Args:
        grids: whose union is run; none for the grid that is typed.
        params: options of every grid.
        max_batch_size: runs handed to the launcher at a time; None for all.

    Raises:
        ValueError: for a grid that is no mapping.
        SystemExit: with 1, after all others, if a run failed.
    """

    config: DictConfig

    def __init__(
        self,
        grids: Sequence[Mapping[str, Any]] = (),
        params: dict[str, str] | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        self.grids = [checks.group(f"hydra.sweeper.grids[{i}]", grid) for i, grid in enumerate(grids or [{}])]
        self.params = checks.group("hydra.sweeper.params", params or {})
        self.max_batch_size = max_batch_size
        if max_batch_size is not None:
            checks.positive_integer("hydra.sweeper.max_batch_size", max_batch_size)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.config_loader = config, hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Launch what is missing, and say what came of the whole."""
        folder, started = Path(self.config.hydra.sweep.dir), time.monotonic()
        self._log_as_jobs_do()
        with cli.user_errors(output="output_dir"):
            cells = self._cells(self._every(arguments))
            if not cells:
                raise ValueError("the sweep has no runs: an option is swept over no values, as in seed=range(0,0)")
            write_plan(folder, cells)
        missing = [cell for cell in cells if cell.folder and cell.outcome[0] != "done"]
        log.info("sweep    %s: %d runs, %d to go", folder, len(cells), len(missing))
        # Said for each job, which would make a name of its own from what is typed for it.
        here = f"hydra.sweep.dir={quoted(str(folder))}"
        with ending_workers() if "n_jobs" in self.config.hydra.launcher else nullcontext():
            errors = self._launch([[*cell.overrides, here] for cell in missing]) or []
        for cell, raised in zip(missing, errors, strict=False):
            cell.raised = raised
        self._log_as_jobs_do()
        conclude(folder, cells, time.monotonic() - started)

    def _log_as_jobs_do(self) -> None:
        # Hydra's launchers set up logging of their own.
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)

    def _every(self, arguments: list[str]) -> list[list[str]]:
        """What is typed for each run of each grid, without repetition."""
        # Imported by now, as a plugin; before Hydra does so it would come to be there twice.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self.config_loader)
        every: list[tuple[str, ...]] = []
        for grid in self.grids:
            options = [f"{key}={value}" for key, value in {**self.params, **grid}.items()]
            (cells,) = BasicSweeper.split_arguments(parser.parse_overrides([*options, *arguments]), max_batch_size=None)
            every += map(tuple, cells)
        return [list(overrides) for overrides in dict.fromkeys(every)]

    def _cells(self, every: Sequence[list[str]]) -> list[Cell]:
        """Runs by what is typed for each; what names no option of a run is left out of it, and said.

        Raises:
            ValueError: for an option that no run has.
        """
        cells: dict[int, Cell] = {}
        unknown: dict[str, list[int]] = defaultdict(list)
        lacking: dict[str, Any] = {}
        latest: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        for composed in Composer(self._composed, self._is_group).compose(every):
            # Runs of the same groups follow one another, and share most of what identifies them.
            if composed.base is not latest[0]:
                latest = composed.base, identifying_options(composed.base)
            cells[composed.number] = self._cell(composed, latest[1])
            for key in composed.unknown:
                unknown[key].append(composed.number)
                lacking.setdefault(key, composed.config)
        check_known(every, unknown, lacking)
        for key, numbers in unknown.items():
            log.info("sweep    %d of %d runs have no option %s: it is left out there", len(numbers), len(every), key)
        in_order = (cells[number] for number in range(len(every)))
        return list({tuple(cell.overrides): cell for cell in in_order}.values())

    def _cell(self, composed: Composed, shared: Mapping[str, Any]) -> Cell:
        from vae_hydra.runs.folder import Run

        try:
            if composed.error:
                raise composed.error
            config = composed.config
            if config["init_from"] is not None:
                raw, choices = self._with_choices(composed.overrides)
                config = resolve(raw, composed.overrides, choices)
            changed = {key: value for key, value in config.items() if value is not composed.base.get(key, ...)}
            same = {key: value for key, value in shared.items() if key in config and key not in changed}
            options = same | identifying_options(changed)
            nodes_to_test(config["noise"], config.get("test_noises"))
            kept = {key: config[key] for key in KEPT if key in config}
            return Cell(composed.overrides, kept, options, Run.of(config, options).folder)
        except (ValueError, OmegaConfBaseException) as error:
            return Cell(composed.overrides, error=one_line(error))

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        config, choices = self._with_choices(overrides)
        if config.init_from is None:
            # What the other run's options add is known to ``resolve`` alone.
            cli.refuse_unread(config, "train", choices, overrides, plain(config))
        return config

    def _with_choices(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        return without_hydra(self.config_loader.load_sweep_config(self.config, list(overrides)))

    def _is_group(self, key: str) -> bool:
        return bool(self.config_loader.get_group_options(key, results_filter=None))

    def _launch(self, missing: list[list[str]]) -> list[str | None]:
        """Run jobs; return the error of each, None for one that has none, or whose launcher broke."""
        errors: list[str | None] = []
        size = self.max_batch_size or max(1, len(missing))
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            try:
                errors += map(_raised, self.launcher.launch(batch, initial_job_idx=start))
            except Exception as error:
                # A worker that the system killed, say. What came of each run is in its folder.
                log.error("the launcher stopped: %s: %s", type(error).__name__, error)
                errors += [None] * len(batch)
        return errors


def _raised(job: JobReturn) -> str | None:
    if job.status != JobStatus.FAILED:
        return None
    # Not by its property, which would print the job's overrides, and raise.
    return f"{type(job._return_value).__name__}: {job._return_value}"


def conclude(folder: Path, cells: Sequence[Cell], seconds: float) -> None:
    """Say what came of the runs, and where to read more.

    Raises:
        SystemExit: with 1 if not all are done.
    """
    outcomes = [cell.outcome for cell in cells]
    counts = Counter(status for status, _ in outcomes)
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    log.info("sweep    %s: %s, in %s", folder, said, duration(seconds))
    for cell, (status, error) in zip(cells, outcomes, strict=True):
        if status in ("failed", "damaged"):
            log.error("%-8s %s: %s", status.upper(), cell.folder or " ".join(cell.overrides), error)
    _log_table(folder, cells)
    log.info("table    python -m vae_hydra.report %s", shlex.quote(str(folder.parent.parent)))
    if counts["done"] < len(cells):
        log.warning("start the same command again for the %d that are not done", len(cells) - counts["done"])
        raise SystemExit(1)


def _log_table(folder: Path, cells: Sequence[Cell]) -> None:
    """Log the table of all runs to W&B if that is where the runs are logged."""
    options = next(
        (cell.config["logger"]["wandb"] for cell in cells if cell.config.get("logger", {}).get("wandb")), None
    )
    runs = [cell.folder for cell in cells if cell.folder and (cell.folder / "run.json").is_file()]
    if options is None or not runs:
        return
    from vae_hydra.studies.sweep.wandb_table import log_table

    try:
        log_table(folder, runs, options)
    except Exception as error:
        # The runs are safe, and the report does not need W&B.
        log.error("the table could not be logged to W&B: %s: %s", type(error).__name__, error)
    else:
        log.info("W&B      %s-table, beside the runs of the group %s", folder.name, folder.name)


def duration(seconds: float) -> str:
    """Seconds as one says them: 3 min 20 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def register() -> None:
    """Make ``hydra/sweeper=grids``, the names of sweeps and our configuration loader known to Hydra."""
    # Hydra takes plugins from hydra_plugins alone. It finds those of a wheel itself, but not of an editable install.
    from hydra_plugins.vae_hydra import Grids

    Plugins.instance().register(Grids)
    OmegaConf.register_new_resolver("vae_hydra.sweep", sweep_name, replace=True)
    OmegaConf.register_new_resolver("vae_hydra.sweep_id", sweep_id, replace=True)
    config_loader.register()
