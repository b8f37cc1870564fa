"""Hydra's launchers for submitit: a sweep's jobs on a SLURM cluster, or as local processes.

hydra-submitit-launcher runs a job; this starts the jobs and waits for them. That package's own launcher stops at the
first job that fails, while others still run, and without SLURM's database it waits for a killed job for ever.
"""

from __future__ import annotations

import functools
import logging
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vae_hydra.base import checks
from vae_hydra.base.hydra_versions import store_option
from vae_hydra.studies.sweep import slurm_queue
from vae_hydra.studies.sweep.submitit_job import Resumable, hydra_job
from vae_hydra.studies.sweep.workers import ending_when_stopped

log = logging.getLogger(__name__)

# Seconds between two looks for the results of jobs, and for which a result may reach a shared disk late.
POLL, LATE = 1.0, 45.0
# Options of every kind of job; submitit wants others with the kind before their name.
# Options that are numbers ≥ 1.
COUNTS = {"cpus_per_task", "nodes", "tasks_per_node", "array_parallelism"}
SHARED = (
    *("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"),
    "stderr_to_stdout",
)


def register_options() -> None:
    """Let ``hydra/launcher=submitit_slurm`` and ``submitit_local`` stand for our launchers and our defaults.

    A file of that name in conf/ would be checked against the options of hydra-submitit-launcher, with a warning.
    """
    for name in ("submitit_slurm", "submitit_local"):
        store_option("hydra/launcher", name, {"defaults": [f"_{name}"]})


class SubmititLauncher(Launcher):
    """Start the jobs of a sweep with submitit and wait until each has ended, whatever became of it.

    A job that runs out of time saves its run and starts again. SIGINT and SIGTERM end the jobs.

    Args:
        submitit_folder: for submitit's files; ``%j`` stands for the job.
        max_num_timeout: how often a job may start again after running out of time.
        parameters: of the jobs, see ``conf/hydra/launcher``.
    """

    kind: ClassVar[str]
    # Seconds between two questions which jobs still run.
    interval: ClassVar[float]

    def __init__(self, submitit_folder: str, max_num_timeout: int, **parameters: Any) -> None:
        self.folder, self.max_num_timeout = submitit_folder, max_num_timeout
        given = {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in parameters.items()}
        self.parameters: dict[str, Any] = {key: value for key, value in given.items() if value is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._check()
        self.job = hydra_job(f"hydra/launcher=submitit_{self.kind}")
        self.job.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def _check(self) -> None:
        checks.non_negative_integer("hydra.launcher.max_num_timeout", self.max_num_timeout)
        seconds = 60 * checks.positive_integer("hydra.launcher.timeout_min", self.parameters.get("timeout_min"))
        for name in COUNTS & self.parameters.keys():
            checks.positive_integer(f"hydra.launcher.{name}", self.parameters[name])
        if "gpus_per_node" in self.parameters:
            checks.non_negative_integer("hydra.launcher.gpus_per_node", self.parameters["gpus_per_node"])
        if "setup" in self.parameters:
            checks.texts("hydra.launcher.setup", self.parameters["setup"])
        if "%" in str(Path(self.folder).parent):
            raise ValueError(
                f"output_dir: submitit writes a job's files below it and replaces what follows a %, but got "
                f"{str(Path(self.folder).parent)!r}; use a folder without %"
            )
        if "mem_gb" in self.parameters:
            checks.positive("hydra.launcher.mem_gb", self.parameters["mem_gb"])
        if "signal_delay_s" in self.parameters:
            checks.non_negative_integer("hydra.launcher.signal_delay_s", self.parameters["signal_delay_s"])
        if self._signal_delay >= seconds:
            raise ValueError(
                f"hydra.launcher.signal_delay_s must be less than the {seconds} s of hydra.launcher.timeout_min, but "
                f"is {self._signal_delay}: every job would be told at its start to save itself and start again"
            )

    @property
    def _signal_delay(self) -> int:
        # submitit's own for local processes.
        return int(self.parameters.get("signal_delay_s", 30))

    def wait_for_earlier_jobs(self) -> None:
        """Wait for jobs of an earlier start of this sweep: they train the runs that this start would train too."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        arguments = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs = self._submitted(Resumable(self.job, self._signal_delay), arguments)
        log.info("%-8s %s", self.kind, self._remark(jobs))
        with ending_when_stopped(lambda: self._end(jobs)):
            _wait(jobs, functools.partial(self._unfinished, jobs), self.interval)
        return [_outcome(job) for job in jobs]

    def _submitted(self, job: Resumable, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._executor().map_array(job, *zip(*arguments, strict=True))

    def _executor(self) -> Any:
        import submitit  # help does not wait for it

        executor = submitit.AutoExecutor(
            self.folder, cluster=self.kind, **{f"{self.kind}_max_num_timeout": self.max_num_timeout}
        )
        named = {key if key in SHARED else f"{self.kind}_{key}": value for key, value in self.parameters.items()}
        executor.update_parameters(**named)
        return executor

    def _remark(self, jobs: Sequence[Any]) -> str:
        raise NotImplementedError

    def _unfinished(self, jobs: Sequence[Any]) -> set[str] | None:
        raise NotImplementedError

    def _end(self, jobs: Sequence[Any]) -> None:
        raise NotImplementedError


class SlurmLauncher(SubmititLauncher):
    """Jobs of a SLURM cluster, submitted as one array."""

    kind, interval = "slurm", 30.0

    def __init__(self, submitit_folder: str, max_num_timeout: int, **parameters: Any) -> None:
        super().__init__(submitit_folder, max_num_timeout, **parameters)
        if "cpus_per_task" in self.parameters:
            # Since SLURM 22.05 srun does not read this of sbatch, and may bind the process to one CPU.
            self.parameters["srun_args"] = [f"--cpus-per-task={self.parameters['cpus_per_task']}"]

    def wait_for_earlier_jobs(self) -> None:
        jobs = self._earlier()
        if jobs is None:
            raise ValueError(
                "squeue does not answer, so jobs of an earlier start of this sweep may still train its runs; "
                "start the sweep again once SLURM answers"
            )
        if not jobs:
            return
        log.info("slurm    %d jobs of an earlier start of this sweep: waiting for them; Ctrl-C ends them", len(jobs))
        with ending_when_stopped(lambda: slurm_queue.cancel(jobs)):
            # SLURM may be out of reach for a while.
            while (left := self._earlier()) is None or left:
                time.sleep(self.interval)

    def _earlier(self) -> set[str] | None:
        """Jobs of this sweep that wait or run: submitit made a folder for each. None if SLURM does not answer."""
        folder = Path(self.folder).parent
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        unfinished = slurm_queue.unfinished() if names else set()
        return None if unfinished is None else unfinished & names

    def _remark(self, jobs: Sequence[Any]) -> str:
        array = jobs[0].job_id.partition("_")[0]
        return (
            f"job {array} with {len(jobs)} parts: squeue --job={array} shows them, Ctrl-C ends them. If this command "
            "ends otherwise they go on, and the same command waits for them"
        )

    def _unfinished(self, jobs: Sequence[Any]) -> set[str] | None:
        return slurm_queue.unfinished()

    def _end(self, jobs: Sequence[Any]) -> None:
        slurm_queue.cancel([job.job_id for job in jobs if not job.paths.result_pickle.exists()])


class LocalLauncher(SubmititLauncher):
    """Local processes that start as jobs of a cluster do."""

    kind, interval = "local", POLL

    def _executor(self) -> Any:
        from vae_hydra.runs.devices import visible_gpus  # help does not wait for torch

        # Without a number submitit hides every GPU from the processes.
        if "gpus_per_node" not in self.parameters and (gpus := visible_gpus()):
            self.parameters |= {"gpus_per_node": len(gpus), "visible_gpus": gpus}
        return super()._executor()

    def _submitted(self, job: Resumable, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        # The terminal sends Ctrl-C to every process, and submitit would kill a run a second later.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super()._submitted(job, arguments)
        finally:
            signal.signal(signal.SIGINT, before)

    def _remark(self, jobs: Sequence[Any]) -> str:
        return f"{len(jobs)} processes; Ctrl-C ends them"

    def _unfinished(self, jobs: Sequence[Any]) -> set[str]:
        return {job.job_id for job in jobs if not job.done()}

    def _end(self, jobs: Sequence[Any]) -> None:
        for job in jobs:
            # submitit's own end of a job kills it after a second.
            job._process.terminate()


def _wait(jobs: Sequence[Any], unfinished: Callable[[], Collection[str] | None], interval: float) -> None:
    """Wait until every job has a result, or has been over for some time without one.

    Args:
        jobs: of submitit.
        unfinished: returns the names of jobs that wait or run, among others; None for not known.
        interval: seconds between two calls of it.
    """
    pending, over, asked = list(jobs), dict[str, float](), time.monotonic()
    while pending:
        time.sleep(POLL)
        now = time.monotonic()
        if now - asked >= interval:
            asked, names = now, unfinished()
            # A job that starts again is not over.
            over = (
                over if names is None else {j.job_id: over.get(j.job_id, now) for j in pending if j.job_id not in names}
            )
        pending = [job for job in pending if not _has_result(job) and now - over.get(job.job_id, now) < LATE]


def _has_result(job: Any) -> bool:
    return job.paths.result_pickle.exists()


def _outcome(job: Any) -> JobReturn:
    """What a job returned; for a job that broke, a failure with the place of its log."""
    try:
        if not _has_result(job):
            raise RuntimeError("it was killed or cancelled, or ran out of time or memory")
        outcome: JobReturn = job.results()[0]
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        message = f"job {job.job_id} ended without a result: {reason}; its log is {job.paths.stderr}"
        log.warning("%s", message)
        return JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError(message))
    if type(outcome._return_value).__name__ == "UncompletedJobError":
        log.warning("job %s: %s", job.job_id, outcome._return_value)
    return outcome
