"""Hydra's sweeper for a ``--multirun``: plan the runs of a union of grids and train the missing ones."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_hydra.base import checks
from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.command.errors import one_line
from vae_hydra.base.command.process import launched_together
from vae_hydra.base.command.words import quoted
from vae_hydra.base.files import write_text
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identifying_options
from vae_hydra.runs.partial import is_trial
from vae_hydra.runs.resolve import resolve, without_hydra
from vae_hydra.studies.sweep.assembly import Assembler
from vae_hydra.studies.sweep.composition import Composed, Composer
from vae_hydra.studies.sweep.config_loader import files_read_once
from vae_hydra.studies.sweep.outcome import conclude
from vae_hydra.studies.sweep.plan import KEPT, Cell, check_known, write_plan
from vae_hydra.studies.sweep.progress import SweepProgress
from vae_hydra.studies.sweep.stacks import stacks
from vae_hydra.studies.sweep.submitit_launcher import SubmititLauncher
from vae_hydra.studies.sweep.workers import ending_workers

log = logging.getLogger(__name__)


class GridSweeper(Sweeper):
    """Hydra sweeper: train the runs of a union of grids that are not done yet.

    A grid maps options to values in Hydra's notation, ``sampler: normal,lognormal``. Options on the command line
    apply to every grid, and may be swept over too. The sweep's folder has the plan, plan.json, before the first run
    starts.

    Args:
        grids: the grids; without one, the command line is the only grid.
        params: options of every grid.
        max_batch_size: the number of runs handed to the launcher at a time; None for all.

    Raises:
        ValueError: for a grid that is not a mapping.
        SystemExit: with 1 if a run failed, once all others have ended.
    """

    config: DictConfig

    def __init__(
        self,
        grids: Sequence[Mapping[str, Any]] = (),
        params: dict[str, str] | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        self.grids = [checks.group(f"hydra.sweeper.grids[{i}]", grid) for i, grid in enumerate(grids or [{}])]
        # The most runs that are trained as one model; ``sweep`` reads it.
        self.most_together = 1
        self.params = checks.group("hydra.sweeper.params", params or {})
        self.max_batch_size = max_batch_size
        if max_batch_size is not None:
            checks.positive_integer("hydra.sweeper.max_batch_size", max_batch_size)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        if config.hydra.launcher.get("n_jobs") == 0:
            raise ValueError("hydra.launcher.n_jobs must be an integer ≥ 1, or −1 for all cores, but got 0")
        self.config, self.config_loader = config, hydra_context.config_loader
        self._assembled = Assembler(self._with_choices, self.config_loader)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Write the plan, launch the missing runs and log how the sweep ended."""
        folder, started = Path(self.config.hydra.sweep.dir), time.monotonic()
        self._configure_log()
        with cli.user_errors(output="output_dir"):
            self.most_together = checks.positive_integer("stack", self.config.stack)
            cells = self._cells(self._overrides_of_runs(arguments))
            if not cells:
                raise ValueError("the sweep has no runs: an option is swept over no values, as in seed=range(0,0)")
            write_plan(folder, cells)
            if isinstance(self.launcher, SubmititLauncher):
                self.launcher.wait_for_earlier_jobs()
        missing = [
            cell for cell in cells if cell.folder and (is_trial(cell.options or {}) or cell.outcome[0] != "done")
        ]
        log.info("sweep    %s: %d runs, %d to go", folder, len(cells), len(missing))
        # Without this, each job would derive another folder from its own overrides.
        folder_override = f"hydra.sweep.dir={quoted(str(folder))}"
        guard = ending_workers() if "n_jobs" in self.config.hydra.launcher else nullcontext()
        with guard, SweepProgress([cell.folder for cell in missing if cell.folder]):
            jobs = self._jobs(folder, missing)
            errors = self._launch([[*overrides, folder_override] for overrides, _ in jobs]) or []
        for (_, cells_of_job), raised in zip(jobs, errors, strict=False):
            for cell in cells_of_job:
                cell.raised = raised
        self._configure_log()
        conclude(folder, cells, time.monotonic() - started)

    def _jobs(self, folder: Path, missing: Sequence[Cell]) -> list[tuple[list[str], list[Cell]]]:
        """Overrides and cells of each job: a run alone, or a stack of runs."""
        if self.most_together == 1:
            return [(cell.overrides, [cell]) for cell in missing]
        configs = [cell.config for cell in missing]
        found = stacks(configs, min(self.most_together, self._share(configs)))
        for reason, numbers in found.reasons().items():
            log.info("sweep    %d runs are trained alone: %s", len(numbers), reason)
        jobs = []
        for count, numbers in enumerate(found.together):
            cells = [missing[number] for number in numbers]
            path = folder / "stacks" / f"{count:04d}.json"
            path.parent.mkdir(exist_ok=True)
            write_text(path, json.dumps([cell.config for cell in cells], ensure_ascii=False))
            jobs.append(([*cells[0].overrides, f"cells={quoted(str(path))}"], cells))
        return [*jobs, *((missing[number].overrides, [missing[number]]) for number in found.alone)]

    def _share(self, configs: Sequence[Mapping[str, Any]]) -> int:
        """The most runs of a stack, so that every process has one. Processes that share a GPU gain nothing by it."""
        together = launched_together(self.config.hydra.launcher)
        if together > 1:
            from vae_hydra.runs.devices import uses_gpu  # other launchers do not wait for torch

            if not uses_gpu(configs):
                return max(1, -(-len(configs) // together))
        return self.most_together

    def _configure_log(self) -> None:
        # Hydra's launchers set up logging of their own.
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)

    def _overrides_of_runs(self, arguments: list[str]) -> list[list[str]]:
        """The overrides of each run of each grid, without repetition."""
        # Hydra imports this plugin itself when it starts; an earlier import would make a second copy of it.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self.config_loader)
        runs: list[tuple[str, ...]] = []
        for grid in self.grids:
            options = [f"{key}={value}" for key, value in {**self.params, **grid}.items()]
            parsed = parser.parse_overrides([*options, *arguments])
            (cells,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
            # Hydra writes a deletion as ~KEY=null, which Hydra 1.4 applies to null alone.
            typed = {
                f"{one.get_key_element()}={one.get_value_element_as_str()}": str(one.input_line)
                for one in parsed
                if one.is_delete() and one.value() is None
            }
            runs += (tuple(typed.get(text, text) for text in cell) for cell in cells)
        return [list(overrides) for overrides in dict.fromkeys(runs)]

    def _cells(self, runs: Sequence[list[str]]) -> list[Cell]:
        """The cells of ``runs``, given by their overrides. An override of an option that a run lacks is left out there.

        Raises:
            ValueError: for an option that no run has.
        """
        cells: dict[int, Cell] = {}
        unknown: dict[str, list[int]] = defaultdict(list)
        lacking: dict[str, Any] = {}
        latest: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        with files_read_once(self.config_loader):
            for composed in Composer(self._composed, self._is_group).compose(runs):
                # Runs of the same groups follow one another, and share most of what identifies them.
                if composed.base is not latest[0]:
                    latest = composed.base, identifying_options(composed.base)
                cells[composed.number] = self._cell(composed, latest[1])
                for key in composed.unknown:
                    unknown[key].append(composed.number)
                    lacking.setdefault(key, composed.config)
        check_known(runs, unknown, lacking)
        for key, numbers in unknown.items():
            log.info("sweep    %d of %d runs have no option %s: it is left out there", len(numbers), len(runs), key)
        in_order = (cells[number] for number in range(len(runs)))
        # Different overrides may be one run, as beta.value=1 and beta.value=1.0 are.
        return list({cell.folder or tuple(cell.overrides): cell for cell in in_order}.values())

    def _cell(self, composed: Composed, shared: Mapping[str, Any]) -> Cell:
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
            kept = {key: config[key] for key in KEPT if key in config} if self.most_together == 1 else dict(config)
            return Cell(composed.overrides, kept, options, Run.of(config, options).folder)
        except (ValueError, OmegaConfBaseException) as error:
            return Cell(composed.overrides, error=one_line(error))

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        config, choices = self._assembled(overrides)
        if config.init_from is None:
            # With init_from, ``resolve`` checks this: only it knows the other run's options.
            cli.refuse_unread(config, "train", choices, overrides, plain(config))
        return config

    def _with_choices(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        return without_hydra(self.config_loader.load_sweep_config(self.config, list(overrides)))

    def _is_group(self, key: str) -> bool:
        return bool(self.config_loader.get_group_options(key, results_filter=None))

    def _launch(self, missing: list[list[str]]) -> list[str | None]:
        """Run jobs; return the error of each, None for a job without one or whose launcher broke."""
        errors: list[str | None] = []
        size = self.max_batch_size or max(1, len(missing))
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            try:
                errors += map(_raised, self.launcher.launch(batch, initial_job_idx=start))
            except Exception as error:
                # For example, the system killed a worker. The folders hold the outcome of each run.
                log.error("the launcher stopped: %s: %s", type(error).__name__, error)
                errors += [None] * len(batch)
        return errors


def _raised(job: JobReturn) -> str | None:
    if job.status != JobStatus.FAILED:
        return None
    # The property return_value would print the job's overrides, and raise.
    return f"{type(job._return_value).__name__}: {job._return_value}"
