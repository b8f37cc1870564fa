"""Whatever a document tells a reader to type is a command that runs: planned here, really run in the slow suite."""

from __future__ import annotations

import importlib
import json
import logging
import pickle
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib.externals.loky import get_reusable_executor

from tests.support.composing import REPOSITORY
from tests.support.documents import FENCE, Line, documents, every_line, python_blocks, shell_lines
from tests.support.image_files import write_pictures
from vae_hydra._moved import TAKEN
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.studies.sweep import submitit_launcher
from vae_hydra.studies.sweep.sweeper import GridSweeper

# Lines that are no command of ours → why they are not run.
NOT_OURS = {
    r"make (train|test|test-slow|test-slurm|bench|notebooks|docs|dist)\b": "sets up an environment from the network",
    r"python -m venv ": "sets up an environment from the network",
    r"source \.venv/bin/activate": "changes the reader's shell",
    r"eval ": "changes the reader's shell",
    r"python -m http\.server ": "serves the site until Ctrl-C",
    r"python -m tests\.slurm\.node ": "needs root, and SLURM on this machine",
    r"hydra/launcher=ray": "needs a launcher of an extra",
    r"wandb sweep ": "asks W&B's server",
    r"pip install ": "needs the network",
    r"docker (build|run) ": "needs Docker, and the network",
    r"hf auth login": "asks for a token",
    r"TRACKIO_DIR=\S+ trackio show": "serves a page until Ctrl-C, with a package of an extra",
    r"mlflow ui ": "serves a page until Ctrl-C, with a package of an extra",
    r"\.venv/bin/pre-commit install": "changes the git hooks of the checkout",
    r"python benchmarks/\w+\.py": "measures for minutes",
    r"(batch: uint8|input|one pass \(x, y, q, z, p, log-likelihood, KL\)) →": "a diagram",
    r"sampler=laplace model\.latent_dim=16 |optimizer\.lr=0\.005889": "options that a search found",
}
# Commands that are planned only → why.
PLANNED_ONLY = {
    r"hydra/launcher=submitit": "needs a cluster, and a plugin that is not installed",
    r"vae_hydra\.explore ": "serves a page until Ctrl-C",
    r"logger=mlflow": "needs a package of an extra, and a server in one of them",
    r"logger=trackio": "needs a package of an extra",
    r"vae_hydra\.dashboard entity=TEAM group": "sends a view to W&B's server",
}
# What stands for something of the reader's → what it is in these tests.
RUNS = {
    "RUN": ("model.latent_dim=10",),
    "OTHER": ("seed=1",),
    "LN2": ("sampler=lognormal", "model.latent_dim=2", "callbacks.figures.epochs=[0,1]"),
    "LN10": ("sampler=lognormal",),
    "IG10": ("sampler=inverse_gaussian",),
    "TAIL": ("experiment=tails/inverse_gaussian_2d", "sampler=inverse_gaussian", "dataset.fraction=0.1"),
}
# Budgets: a word of a command → a smaller one.
CUTS = {
    r"trainer\.max_epochs=\d+": "trainer.max_epochs=1",
    r"seed=\d+,.*": "seed=0",
    r"seed=range\(.*": "seed=0",
    r"trials=\d+": "trials=2",
    r"n=\d+": "n=20",
    r"nll\.samples=\d+": "nll.samples=2",
    r"generation\.samples=\d+": "generation.samples=100",
    r"hydra\.launcher\.n_jobs=\d+": "hydra.launcher.n_jobs=2",
    r"noise=none,\w+,.*": "noise=none,uniform",
    r"noise=normal,\w+,.*": "noise=normal",
    r"sampler=normal,lognormal,.*": "sampler=normal,lognormal",
    # Where a run of digits stands for one of MNIST.
    r"against=\[fashion_mnist,pixels\]": "against=[pixels]",
    r"against=\[(fashion_)?mnist\]": "against=[shuffled]",
}
# Words that training has besides, unless it has one of that key.
SMALL = ("trainer.max_epochs=1", "dataset.fraction=0.02", "callbacks.figures.enabled=false", "threads=1")
SMALL_SWEEP = {
    "sweep=coffee_break": ("sampler=normal,gamma", "noise=none,uniform"),
    "sweep=tails/prior_by_likelihood": ("sampler=normal", "dataset.tail_index=2", "dataset.dimensions=1"),
    "sweep=": ("sampler=normal",),
}

# The recipes of the measured results are many.
MEASURED = ("docs/results.md", "docs/reproductions.md")
PYTEST = re.compile(r"`pytest (?:-m slow )?(tests/\S+) -k (\w+)`")
LINES = every_line()


def is_marked(line: Line, table: dict[str, str]) -> bool:
    return any(re.search(pattern, line.text) for pattern in table)


# Documents repeat lines, which are tried once. The same line of docs/tails.md is about other runs.
OURS = list(
    {
        (line.words, line.document == "docs/tails.md", line.document in MEASURED): line
        for line in LINES
        if line.module and not is_marked(line, NOT_OURS)
    }.values()
)


def test_every_shell_line_is_a_command_of_ours_or_marked_with_a_reason():
    assert not [line.text for line in LINES if not line.module and not is_marked(line, NOT_OURS)]
    assert len(OURS) > 50


@pytest.mark.parametrize("pattern", [*NOT_OURS, *PLANNED_ONLY])
def test_no_mark_outlives_its_line(pattern):
    assert any(re.search(pattern, line.text) for line in LINES)


def test_lines_are_found_wherever_they_are_written():
    text = (
        "Some `python -m vae_hydra.info run=A` and `seed=0`.\n\n"
        "    python -m vae_hydra.train \\\n        seed=0   # why\n\n"
        "```bash\ntime make it\n```\n\n- a list\n\n```python\nprint()\n```\n\n    one\n    'two three'\n"
    )
    assert [line.words for line in shell_lines(text)] == [
        ("make", "it"),
        ("python", "-m", "vae_hydra.train", "seed=0"),
        ("one",),
        ("two three",),
        ("python", "-m", "vae_hydra.info", "run=A"),
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the documents speak of: runs, a sampler of one's own, what a search left."""
    folder = tmp_path_factory.mktemp("documents")
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (sampler,) = (body for language, body in FENCE.findall(text) if language == "python")
    (option,) = (body for language, body in FENCE.findall(text) if language == "yaml")
    rows = [f"2026-{row:04d},{(row * 37) % 101 / 10 + 1},{(row * 53) % 89 / 7 + 1}" for row in range(2000)]
    table = "\n".join(["date,x,y", *rows])
    for path, content in {
        "rain.csv": table,
        "returns.csv": table,
        "my_samplers.py": sampler,
        "my_conf/sampler/gumbel.yaml": option,
        "search/experiment/best.yaml": "# @package _global_\noptimizer:\n  lr: 0.005\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    for seed, name in enumerate(("cats", "dogs")):
        write_pictures(folder / "photos" / name, 30, 20, 24, 3, seed=seed)
    return folder


@pytest.fixture
def run_of(place, configure):
    """The folder of a run that is trained when it is first asked for: run_of("LN2")."""

    def trained(name: str) -> str:
        options = ("trainer.max_epochs=1", "dataset.fraction=0.2", *RUNS[name], f"output_dir={place / 'outputs'}")
        config = configure(*options)
        if not Run.of(config).is_done:
            train(config)
        return str(Run.of(config).folder)

    return trained


@pytest.fixture
def typed(place, run_of, tmp_path, monkeypatch):
    """The arguments of a line, with what is there in place of what stands for it."""
    monkeypatch.syspath_prepend(str(place))

    def fill(line: Line, data: str = "data") -> list[str]:
        words = [re.sub(r"RUN,(RUN,)?…", "RUN,OTHER", word) for word in line.arguments]
        names = "|".join(RUNS)
        pattern = rf"(?<=[=,])(?:outputs/)?({names})(?=$|,)"
        of_vectors = line.document == "docs/tails.md"
        words = [re.sub(pattern, lambda match: run_of("TAIL" if of_vectors else match[1]), word) for word in words]
        if {"outputs", "run=outputs"} & set(words):
            # All runs in a folder, of which there is one at least.
            run_of("RUN")
        known = {
            "outputs": str(place / "outputs"),
            "run=outputs": f"run={place / 'outputs'}",
            "FOLDER": str(place / "outputs"),
            "dataset.path=photos": f"dataset.path={place / 'photos'}",
            "dataset.root=FOLDER": f"dataset.root={data}",
            "output=FOLDER": f"output={tmp_path / 'new'}",
            "outputs/searches/digits-2daadbc6": str(place / "search"),
            **{f"dataset.path={name}": f"dataset.path={place / name}" for name in ("rain.csv", "returns.csv")},
            "my_conf": str(place / "my_conf"),
        }
        return [known.get(word, word) for word in words]

    return fill


def identifiers(lines: list[Line]) -> list[str]:
    return [f"{line.document}: {' '.join(line.words[2:])}"[:100] for line in lines]


def sweep_file(line: Line) -> str | None:
    return next((word for word in line.words if word.startswith("sweep=")), None)


# The first line of each sweep file: it plans the runs that the others plan.
FIRST = {sweep_file(line): line for line in reversed(OURS) if line.document not in MEASURED and sweep_file(line)}


def at_once_or_slow(line: Line):
    is_first = FIRST.get(sweep_file(line), line) is line
    return line if line.document not in MEASURED and is_first else pytest.param(line, marks=pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def _groups_are_composed_once():
    """Many lines sweep over the same groups, and composing them takes most of the time of planning."""
    compose, known = GridSweeper._with_choices, {}

    def composed_once(self, overrides):
        key = (self.config.hydra.job.config_name, *overrides)
        if key not in known:
            known[key] = pickle.dumps(compose(self, overrides))
        return pickle.loads(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GridSweeper, "_with_choices", composed_once)
        yield


@pytest.mark.parametrize("line", [*map(at_once_or_slow, OURS)], ids=identifiers(OURS))
def test_every_command_is_planned(line, typed, run_command, tmp_path, monkeypatch):
    """Its options exist, in each run of a sweep."""
    module = importlib.import_module(f"vae_hydra.{line.module}")
    called = []
    body = importlib.import_module(f"vae_hydra.{TAKEN.get(line.module, f'studies.{line.module}').split()[0]}")
    # The body of a sweep is that of training, which plans it.
    monkeypatch.setattr(body, line.module, lambda *arguments: called.append(arguments), raising=line.module != "sweep")
    monkeypatch.setattr(GridSweeper, "_launch", lambda self, missing: None)
    # Options of a cluster are checked without it, and without the plugin that submits jobs.
    monkeypatch.setattr(submitit_launcher, "hydra_job", lambda option: SimpleNamespace(setup=lambda **given: None))
    words = typed(line)
    code, text = run_command(module, *words)
    if {"--help", "--cfg", "--version"} & set(words):
        assert code == 0
    elif plans := list(tmp_path.glob("outputs/**/plan.json")):
        cells = json.loads(plans[0].read_text())["cells"]
        assert cells
        assert not [cell["error"] for cell in cells if cell["error"]]
        assert "have no option" not in text or "dataset.root" in text
    else:
        assert called, text


@pytest.mark.parametrize(
    "words", ["sampler=cauchy", "-m sampler.df=3", "sweep=heavy_tailed/beta dataset.rot=x", "+model.latentdim=3,4"]
)
def test_a_command_that_does_not_exist_would_be_found(words, run_command, monkeypatch, tmp_path):
    (line,) = shell_lines(f"\n\n    python -m vae_hydra.train {words}\n")
    with pytest.raises(AssertionError):
        test_every_command_is_planned(line, lambda line: line.arguments, run_command, tmp_path, monkeypatch)


# That of CONTRIBUTING is the sampler of the command below it; that of sharing.md is run in tests/runs/test_hub.py.
WITH_PYTHON = sorted({name for name, _ in python_blocks()} - {"CONTRIBUTING.md", "sharing.md"})
# Budgets of the code in documents.
CODE_CUTS = {
    r"trainer\.max_epochs=\d+": 'trainer.max_epochs=1", "dataset.fraction=0.1", "callbacks.figures.enabled=false',
    r"seed=0,1,2": "seed=0",
    r"samples=\d+": "samples=2",
}


@pytest.mark.parametrize("document", WITH_PYTHON)
def test_python_blocks_run(document, run_of, tmp_path, monkeypatch):
    """All blocks of a document, one after the other as in a notebook, with small budgets."""
    code = "\n".join(code for name, code in python_blocks() if name == document)
    for pattern, smaller in CODE_CUTS.items():
        code = re.sub(pattern, smaller, code)
    run = run_of("RUN")
    code = code.replace("outputs/RUN", run).replace('"outputs"', repr(str(Path(run).parent)))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    exec(code, {})


@pytest.mark.parametrize("line", [line for line in LINES if line.words[0] == "make"], ids=lambda line: line.text)
def test_make_has_every_target(line):
    assert re.search(rf"^{line.words[1]}:", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_extra_of_a_document_exists():
    texts = "".join(path.read_text(encoding="utf-8") for path in documents())
    named = {extra for match in re.findall(r"vae_hydra\[([\w,]+)\]", texts) for extra in match.split(",")}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert named
    assert named <= set(project["optional-dependencies"])


@pytest.mark.parametrize("path", sorted({word for line in LINES for word in line.words if "benchmarks/" in word}))
def test_benchmarks_exist(path):
    assert (REPOSITORY / path).is_file()


def test_every_test_of_a_document_exists():
    """Those within sentences, such as ``pytest -m slow tests/runs/test_stack.py -k ten_seeds``."""
    found = [match for path in documents() for match in PYTEST.findall(path.read_text(encoding="utf-8"))]
    assert found
    for place, name in found:
        files = [REPOSITORY / place] if place.endswith(".py") else [*(REPOSITORY / place).rglob("test_*.py")]
        # -k also chooses by the names of parameters.
        assert any(name in file.read_text(encoding="utf-8") for file in files), name


def cut(line: Line, words: list[str]) -> list[str]:
    """The arguments with budgets cut."""
    for pattern, smaller in CUTS.items():
        words = [smaller if re.fullmatch(pattern, word) else word for word in words]
    if line.module not in ("train", "sweep", "search") or {"--help", "--cfg", "--version"} & set(words):
        return words
    # Of sixty images, more than two in a hundred.
    added = [*(["dataset.fraction=0.5"] if "dataset=image_folder" in words else []), *SMALL]
    if line.module == "sweep" or "-m" in words or "sweep=" in line.text:
        added += ["seed=0", *next((more for key, more in SMALL_SWEEP.items() if key in line.text), ())]
    keys = {word.split("=")[0] for word in words}
    first = {word.split("=")[0]: word for word in reversed(added)}
    return [*words, *(word for key, word in first.items() if key not in keys)]


RUN_FOR_REAL = [line for line in OURS if not is_marked(line, PLANNED_ONLY)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", RUN_FOR_REAL, ids=identifiers(RUN_FOR_REAL))
def test_every_command_runs(line, typed, run_command, mnist_root, quick_recipe, monkeypatch):
    monkeypatch.setenv("VAE_HYDRA_DATA", mnist_root)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    code, text = run_command(importlib.import_module(f"vae_hydra.{line.module}"), *cut(line, typed(line, mnist_root)))
    if "joblib" in line.text:
        # Workers that joblib keeps for the next sweep stay in the folder that they were started in.
        get_reusable_executor().shutdown()
    assert code == 0, text
    assert "Traceback" not in text
