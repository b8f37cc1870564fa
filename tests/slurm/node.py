"""SLURM on one machine, for a test or a try: set up in a temporary folder, and taken down without traces.

It installs nothing; Debian has SLURM in the packages slurm-wlm and munge. As root,

    python -m tests.slurm.node sinfo

runs a command, ``sinfo`` or ``bash``, with such a SLURM around it.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")

# More CPUs than the machine may have, so that jobs run side by side. A requeued job waits for as long as a credential
# is valid.
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=1,sched_interval=2
ReturnToService=2
KillWait=30
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=one Default=YES MaxTime=INFINITE State=UP
"""


def reason_against() -> str | None:
    """Why SLURM cannot be set up here; None if it can."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"SLURM is not installed: there is no {', '.join(missing)} (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "SLURM's daemons need root here"
    return None


@contextmanager
def one_node(cpus: int = 4) -> Iterator[dict[str, str]]:
    """The environment of a SLURM of one node while it runs.

    Args:
        cpus: jobs of one CPU that run at a time.

    Raises:
        RuntimeError: if a daemon does not start, with the end of its log.
    """
    # Not pytest's folder: the path of a socket may have 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = {**_without_slurm(), "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        _configure(folder, cpus)
        with ExitStack() as daemons:
            daemons.callback(_end_remaining, environment)
            daemons.enter_context(_munge(folder))
            daemons.enter_context(_daemon(["slurmctld", "-D"], environment, folder))
            _wait_for(lambda: "UP" in _printed(["scontrol", "ping"], environment), folder, "slurmctld")
            daemons.enter_context(_daemon(["slurmd", "-D", "-N", "one"], environment, folder))
            _wait_for(lambda: _printed(["sinfo", "-h", "-o", "%T"], environment) == "idle", folder, "slurmd")
            daemons.callback(_cancel_all, environment)
            yield environment
    finally:
        shutil.rmtree(folder)


def _without_slurm() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}


def _configure(folder: Path, cpus: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    memory = psutil.virtual_memory().total // 2**20
    text = CONFIGURATION.format(
        host=socket.gethostname(), folder=folder, ports=_free_ports(2), cpus=cpus, memory=memory
    )
    (folder / "slurm.conf").write_text(text)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in bound]


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder}/munge.{name}" for option, name in places.items()]
    with _daemon(["munged", "--foreground", "--force", *options], dict(os.environ), folder):
        _wait_for((folder / "munge.socket").exists, folder, "munged")
        yield


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _printed(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()


def _wait_for(condition, folder: Path, daemon: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            logs = [path.read_text()[-2000:] for path in folder.glob(f"{daemon}.*") if path.suffix in (".out", ".log")]
            raise RuntimeError(f"{daemon} did not start within {seconds:g} s\n" + "\n".join(logs))
        time.sleep(0.2)


def _cancel_all(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, check=False)
    until = time.monotonic() + 40
    while _printed(["squeue", "-h"], environment) and time.monotonic() < until:
        time.sleep(0.5)


def _end_remaining(environment: dict[str, str]) -> None:
    """End what outlives the daemons: the process of a job, and SLURM's own beside it."""
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("SLURM_CONF") == environment["SLURM_CONF"]
            if ours and process.pid not in (os.getpid(), os.getppid()):
                process.kill()
        except psutil.Error:
            continue


def main(command: list[str]) -> int:
    """Run ``command`` with a SLURM around it, and return its exit code."""
    if reason := reason_against():
        sys.exit(reason)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with one_node() as environment:
        return subprocess.run(command or ["sinfo"], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
