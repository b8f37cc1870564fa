"""Mutated command lines: whatever is typed, no command ends in a traceback."""

from __future__ import annotations

import importlib
import random
import shlex
import signal
import sys

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tests.support.composing import CONF, composed
from tests.support.device import TRAINED_ON
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

# What a mutation must not undo: it is typed last, where the last value counts.
BUDGET = (
    *("trainer.max_epochs=1", TRAINED_ON, "trainer.devices=1", "callbacks.figures.enabled=false"),
    *("dataset.fraction=0.05", "dataset.batch_size=64", "output_dir=outputs"),
)
TYPED = {
    "train": (),
    "search": (),
    "evaluate": ("run=RUN",),
    "ood": ("run=RUN", "against=[pixels]", "limit=20"),
    "generate": ("run=RUN", "n=4"),
    "embed": ("run=RUN",),
    "figures": ("run=RUN", "show=[loss_curves]"),
    "export": ("run=RUN", "formats=safetensors"),
    "info": ("run=RUN",),
    "report": ("outputs",),
    "explore": ("run=RUN", "port=0", "open_browser=false"),
}
COMMANDS = (*TYPED, "train")
LAST = {
    "train": BUDGET,
    "search": (*BUDGET, "trials=1"),
    "figures": ("show=[loss_curves]",),
    "export": ("formats=safetensors",),
}
# Processes to start, downloads, and amounts of work that are meant as they are said, however large.
NOT_MUTATED = ("trainer.devices", "trainer.num_nodes", "download", "nll.samples", "generation", "trials", "hydra")
VALUES = (
    *("", "abc", "-1", "0", "1e400", "nan", "-inf", "1000000000000", "-9223372036854775809", "1_0", "0x10", "true"),
    *(
        "null",
        "[]",
        "{}",
        "[1,[2,[3]]]",
        "{a:{b:{c:1}}}",
        "{a:",
        "]",
        "'",
        '"',
        "''",
        "'a b'",
        "a b",
        "a=b",
        "=",
        "é漢🙂",
    ),
    *(
        "${seed}",
        "${nowhere}",
        "${oc.env:NOWHERE}",
        "${",
        "$(id)",
        "%s",
        "\\",
        "../up",
        "a/b",
        "\n",
        "x" * 300,
        "*",
        "?",
    ),
    *("nowhere/at/all", "/dev/null/x", "/proc/x", "/dev/full", "~", "~nobody/x", ".", "a,b", "[a", "1:2"),
    "!!python/x",
)
RANGES = (
    *(
        "range(0,0)",
        "range(2,0)",
        "range(0,2,0)",
        "range(0,2,-1)",
        "range(1)",
        "range()",
        "range(a,b)",
        "range(0,1,0.7)",
    ),
    *(
        "choice()",
        "choice(1,2",
        "interval(0,1)",
        "glob(*)",
        "glob(nothing*)",
        "1,1",
        ",",
        "1,",
        "[1,2]",
        "shuffle(1,2)",
    ),
    *("sort(2,a)", "tag(a,1,2)", "int(x),2", "float(1)", "1,two", "extend(1)"),
)
PATIENCE = 30  # seconds of processor time


class TooLong(BaseException):
    """A case took more than its time."""


def leaves(node: object, path: str = "") -> list[str]:
    """The options of a configuration, groups of options included."""
    children = node.items() if isinstance(node, dict) else ()
    below = [leaf for key, value in children for leaf in leaves(value, f"{path}.{key}" if path else str(key))]
    return [*([path] if path else []), *below]


def misspelled(word: str, draw: random.Random) -> str:
    place = draw.randrange(len(word))
    return draw.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word.upper(),
            word[::-1],
            f"{word}.",
        )
    )


def group_option(draw: random.Random) -> str:
    """A group with an option of another one, or with none that there is."""
    groups = sorted(path.name for path in config_folder().iterdir() if path.is_dir() and path.name != "__pycache__")
    other = config_folder() / draw.choice(groups)
    options = [*(file.stem for file in sorted(other.glob("[!_]*.yaml"))), "nothing", "_common", "none", "../train"]
    # W&B would want the network.
    return (
        f"{draw.choice(('', '', '+', '++', '~'))}{draw.choice(groups)}={draw.choice(options).replace('wandb', 'csv')}"
    )


def mutation(keys: list[str], draw: random.Random) -> list[str]:
    """What is typed for one case, beside what its command wants."""
    key, value = draw.choice(keys), draw.choice(VALUES)
    kinds = {
        "value": lambda: [f"{key}={value}"],
        "key": lambda: [f"{misspelled(key, draw)}={value}"],
        "prefix": lambda: [f"{draw.choice(('+', '++', '~', '+~', '@', '+++'))}{key}={value}"],
        "deleted": lambda: [f"~{key}"],
        "no value": lambda: [key],
        "twice": lambda: [f"{key}={value}", f"{key}={draw.choice(VALUES)}"],
        "group": lambda: [group_option(draw)],
        "two": lambda: [f"{key}={value}", f"{draw.choice(keys)}={draw.choice(VALUES)}"],
        "swept": lambda: ["-m", f"{draw.choice((key, 'seed'))}={draw.choice(RANGES)}"],
        "path": lambda: [f"{draw.choice(('output', 'run', 'dataset_root', 'init_from', 'output_dir'))}={value}"],
        "flag": lambda: [draw.choice(("--cfg", "--config-dir", "--config-name", "-x", "--multirun", "--info")), value],
    }
    return kinds[draw.choice(sorted(kinds))]()


def is_left_out(word: str) -> bool:
    return any(name in word for name in NOT_MUTATED)


def unresolved(command: str) -> dict:
    with initialized(CONF):
        return OmegaConf.to_container(compose(command), resolve=False)


def typed(command: str, run: str, case: int) -> list[str]:
    """The command line of a case: mutated options between what the command needs and what keeps it small."""
    draw = random.Random(f"{command} {case}")
    keys = leaves(unresolved(command))
    mutated = mutation(keys, draw)
    while any(name in word for word in mutated for name in NOT_MUTATED):
        mutated = mutation(keys, draw)
    needed = [word.replace("RUN", run) for word in TYPED[command]]
    return (
        [*mutated, *needed, *LAST.get(command, ())]
        if mutated[0].startswith("-")
        else [*needed, *mutated, *LAST.get(command, ())]
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with one trained run."""
    folder = tmp_path_factory.mktemp("fuzz")
    config = composed(*BUDGET, f"output_dir={folder / 'outputs'}")
    train(config)
    return folder, Run.of(config).folder


@pytest.fixture
def fuzz(runs, capfd, monkeypatch):
    """Run a command in the folder of the run: fuzz(command, arguments) → (exit code, printed text)."""
    folder, _ = runs
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    # For what is typed with a ~.
    monkeypatch.setenv("HOME", str(folder / "home"))

    def too_long(*_):
        raise TooLong

    def call(command: str, arguments: list[str]) -> tuple[int, str]:
        module = importlib.import_module(f"vae_hydra.{command}")
        if command == "explore":
            # Else it would serve until it is told to end.
            monkeypatch.setattr("vae_hydra.drawing.page.app.serve", lambda *_, **__: None)
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *arguments])
        before = signal.signal(signal.SIGPROF, too_long)
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        try:
            module.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
            GlobalHydra.instance().clear()
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    return call


def check(case: int, runs, fuzz) -> None:
    command = COMMANDS[case % len(COMMANDS)]
    arguments = typed(command, str(runs[1]), case)
    code, text = fuzz(command, arguments)
    line = shlex.join(["python", "-m", f"vae_hydra.{command}", *arguments])
    assert "Traceback" not in text, f"{line}\n{text}"
    assert code in (None, 0, 1, 2), f"{line}\n{code}\n{text}"
    assert code in (None, 0) or "error:" in text, f"{line}\n{text}"


@pytest.mark.parametrize("case", range(25))
def test_a_mutated_command_line_has_no_traceback(case, runs, fuzz):
    check(case, runs, fuzz)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(25, 225))
def test_more_mutated_command_lines_have_no_traceback(case, runs, fuzz):
    check(case, runs, fuzz)
