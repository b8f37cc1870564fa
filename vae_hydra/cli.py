"""What every command shares: where the configuration is, its help, and how errors reach the user."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_hydra import known_options
from vae_hydra.arguments import flags_first
from vae_hydra.errors import explain_hydra_errors, in_words
from vae_hydra.errors import one_line as one_line
from vae_hydra.files import check_writable, is_temporary
from vae_hydra.system_errors import reason

UNHELPFUL_WARNINGS = (
    # The data are in memory: worker processes would only slow their loading.
    ".*does not have many workers",
    # Metrics are logged once an epoch, whatever its number of batches.
    ".*smaller than the logging interval",
    # Means over examples are added up across devices before they are logged.
    ".*recommended to use `self.log",
    # Lightning's own use of torch, which its users cannot change.
    ".*isinstance\\(treespec, LeafSpec\\)",
)

# Beyond any machine's cores; some libraries fail to start more.
MOST_THREADS = 1024

# Loggers that say at INFO what only their authors need.
CHATTY = ("lightning.pytorch", "lightning.fabric", "onnxscript", "onnx_ir")


def prepare() -> str:
    """Make the process ready for a command, before torch is imported; return the configuration's folder."""
    # With the default, active policy a second busy process makes torch's threads spin against it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    OmegaConf.register_new_resolver("vae_hydra.options", options_help, replace=True)
    OmegaConf.register_new_resolver("vae_hydra.sweep", sweep_name, replace=True)
    OmegaConf.register_new_resolver("vae_hydra.sweep_id", sweep_id, replace=True)
    known_options.explain_unknown_options()
    known_options.explain_unreadable_files()
    explain_hydra_errors()
    return str(config_folder())


def config_folder() -> Path:
    """``conf``: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(path for path in (package / "conf", package.parent / "conf") if path.is_dir())


@functools.cache
def options_help() -> str:
    """Every group and its options, with the first comment line of each option's file, the defaults marked."""
    root = config_folder()
    entries = [entry for entry in OmegaConf.load(root / "train.yaml").defaults if isinstance(entry, DictConfig)]
    defaults = {(str(group), option) for entry in entries for group, option in entry.items()}
    blocks = []
    groups = {str(group) for entry in entries for group in entry}
    for group in sorted(path for path in root.iterdir() if path.is_dir() and path.name in groups):
        # Files that begin with an underscore are parts of options.
        files = group.rglob("[!_]*.yaml")
        options = {file.relative_to(group).with_suffix("").as_posix(): _title(file) for file in files}
        marks = {option: " (default)" if (group.name, option) in defaults else "" for option in options}
        width = max(26, *(len(option) for option in options))
        lines = [f"  {option:<{width}} {title}{marks[option]}" for option, title in sorted(options.items())]
        blocks.append("\n".join([f"{group.name}=", *lines]))
    return "\n\n".join(blocks)


def option_names(group: str) -> list[str]:
    """The options of a group, those that --config-dir adds too."""
    with _hydra():
        names = GlobalHydra.instance().config_loader().get_group_options(group)
    # Files that begin with an underscore are parts of options.
    return [name for name in names if not name.startswith("_")]


def option(group: str, name: str) -> dict[str, Any]:
    """The values of one option of a group."""
    with _hydra():
        return plain(compose(None, [f"+{group}={name}"]))[group]


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra as the command line has set it up, or, where there is none, as it would for our own options."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            yield


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration with every interpolation resolved, as dicts, lists and plain values."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def settings(config: DictConfig) -> dict[str, Any]:
    """The plain configuration of the command that is running; ValueError for an option that nothing reads."""
    hydra, values = HydraConfig.get(), plain(config)
    refuse_unread(config, hydra.job.config_name, hydra.runtime.choices, hydra.overrides.task, values)
    return values


def refuse_unread(
    config: DictConfig, name: str | None, choices: Mapping[str, Any], overrides: Sequence[str], final: Mapping[str, Any]
) -> None:
    """``known_options.check_known`` with our own folder of configurations."""
    with _hydra():
        known_options.check_known(config, name or "train", choices, config_folder(), overrides, final)


def typed_in_any_order(main: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a command: Hydra's flags may come after options; two sweeps are refused."""

    @functools.wraps(main)
    def ordered() -> Any:
        with user_errors():
            sys.argv = [sys.argv[0], *flags_first(sys.argv[1:])]
        return main()

    return ordered


def is_sweep() -> bool:
    """Whether this job is one of a --multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def sweep_name() -> str | None:
    """What the runs of a --multirun are grouped under: the name of its folder; None outside one."""
    return Path(HydraConfig.get().sweep.dir).name if is_sweep() else None


def sweep_id() -> str:
    """A name for a --multirun from what was typed, so that a sweep that is started again is the same one."""
    overrides = [argument for argument in sys.argv[1:] if argument.startswith("~") or "=" in argument]
    typed = sorted(override for override in overrides if not override.startswith("-") and is_about_runs(override))
    named = dict(argument.split("=", 1) for argument in typed if "=" in argument)
    title = named.get("sweep") or named.get("experiment") or "sweep"
    plain_title = "".join(c if c.isalnum() or c == "_" else "-" for c in title)[:80]
    return f"{plain_title}-{hashlib.sha256(json.dumps(typed).encode()).hexdigest()[:8]}"


def is_about_runs(override: str) -> bool:
    """Whether an override says what runs are, rather than where and how they are made."""
    from vae_hydra.identity import NOT_IDENTITY

    key = override.lstrip("+~").split("=")[0]
    if key.startswith(("hydra/", "hydra.")):
        return key.startswith(("hydra.sweeper.grids", "hydra.sweeper.params"))
    return key not in NOT_IDENTITY and not key.startswith(tuple(f"{name}." for name in NOT_IDENTITY))


class SweepFolder(Callback):
    """Hydra callback: refuse a --multirun whose folder cannot be written, before Hydra tries with a traceback."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        option = "output_dir" if "output_dir" in config else "hydra.sweep.dir"
        try:
            Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"error: {option} cannot be written: {reason(error, option)}", file=sys.stderr)
            raise SystemExit(2) from None


@contextmanager
def user_errors(output: str | None = "output") -> Iterator[None]:
    """Print an error that the user can mend in one line and exit with 2; in a sweep, let the others go on.

    HYDRA_FULL_ERROR=1 shows where it was raised.

    Args:
        output: the option that says where the command writes; None if it writes nothing.
    """
    # Output that is cut off (``| head``) is no error, and a traceback for each further line no help.
    logging.raiseExceptions = False
    try:
        yield
    except Exception as error:
        message = in_words(error, output)
        if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"error: {message}", file=sys.stderr)
        if is_sweep():
            raise ValueError(message) from None
        raise SystemExit(2) from None


def quoted(text: str) -> str:
    """``text`` as Hydra's grammar reads back: backslashes count only before a quote, ``${`` would be looked up."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", r"\'"), text)
    return "'" + escaped.replace("${", r"\${") + "'"


def named_folder(output: Any) -> Path:
    """The folder that the option output names; ValueError for what is no name."""
    if not isinstance(output, str) or not output:
        raise ValueError(f"output must be a folder, but got {output!r}")
    return Path(output).expanduser()


def is_taken(folder: Path) -> bool:
    """Whether there is something that a command must not write over or beside."""
    return folder.is_file() or (folder.is_dir() and not all(map(is_temporary, folder.iterdir())))


def output_folder(output: Any, default: Path, files: Sequence[str] | None = None) -> Path:
    """Where a command writes: a folder that was named, or a place in the run's own.

    Args:
        output: what was given for the option output; None for ``default``.
        default: a folder of the run, whose files may be replaced.
        files: names that the folder given must not have yet; None if it must be new or empty.

    Raises:
        ValueError: if the folder given has what stays as it is, or the folder cannot be made or written into.
    """
    folder = default if output is None else named_folder(output)
    if output is not None:
        _check_free(folder, files)
    check_output(folder, str(folder) if output is None else f"output={folder}")
    return folder


def check_output(folder: Path, name: str) -> None:
    """Raise ValueError, before work is done for it, if ``folder`` cannot be made or written into.

    ``name`` is what the error calls it.
    """
    try:
        check_writable(folder)
    except OSError as error:
        raise ValueError(f"{name} cannot be written: {reason(error, 'output')}") from error


def _check_free(folder: Path, files: Sequence[str] | None) -> None:
    if files is None and is_taken(folder):
        raise ValueError(f"output={folder} is there already and not empty; name a new folder")
    if folder.is_file():
        raise ValueError(f"output={folder} is a file; give a folder")
    present = [name for name in files or () if (folder / name).exists()]
    if present:
        raise ValueError(f"output={folder} holds {', '.join(present)} already; give another folder, or delete them")


def prepare_torch(threads: int | None) -> None:
    """Import torch and Lightning with ``threads`` CPU threads (None: as many as are this job's) and without chatter."""
    import torch
    from lightning.pytorch.utilities import rank_zero_only

    from vae_hydra import checks

    threads = _granted_threads() if threads is None else checks.integer("threads", threads, 1, MOST_THREADS)
    if threads is not None:
        torch.set_num_threads(threads)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("vae_hydra").setLevel(logging.WARNING)
    for message in UNHELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _granted_threads() -> int | None:
    """Threads that a job was submitted with (hydra.launcher.cpus_per_task); None leaves torch's default.

    joblib's workers have their share of the cores from joblib, and SLURM's from SLURM; submitit's local jobs from here.
    """
    return HydraConfig.get().launcher.get("cpus_per_task") if is_sweep() else None


def _title(file: Path) -> str:
    comments = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
    return next((line[2:] for line in comments if not line.startswith("# @package")), "")
