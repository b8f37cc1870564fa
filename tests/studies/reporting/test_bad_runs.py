"""Damaged or hostile run folders: each is reported beside its name, and the report of the others goes on."""

from __future__ import annotations

import json
import os
import struct
import time
import zipfile

import numpy as np
import pytest
import yaml

from tests.support import made
from vae_hydra.base import bounded
from vae_hydra.runs.examples import load_examples
from vae_hydra.studies.reporting import collect, pivot
from vae_hydra.studies.reporting.pivots import measured
from vae_hydra.studies.reporting.write import write_report

METRIC = "reconstruct/clean/half_sse"
DEEP = 100_000
BOMB = "\n".join(
    [
        "a: &a0 [x, x, x, x, x, x, x, x, x, x]",
        *(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)),
    ]
)
MERGED = "\n".join(
    ["a: &a0 {x: 1}", *(f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12))]
)


def write(file, content):
    """Put ``content`` into a file of a run."""

    def spoil(folder):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def add(file, text):
    return lambda folder: (folder / file).write_text((folder / file).read_text() + text)


def option(**options):
    """Options that a configuration should not have, at its top."""

    def spoil(folder):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump({**config, **options}))

    return spoil


def record(**entries):
    def spoil(folder):
        (folder / "run.json").write_text(json.dumps({**json.loads((folder / "run.json").read_text()), **entries}))

    return spoil


def scores(**entries):
    return write("metrics.json", json.dumps({METRIC: 1.0, **{k.replace("__", "/"): v for k, v in entries.items()}}))


def pipe(folder):
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")


DAMAGED = {
    "list": (write("run.json", "[]"), "run.json is damaged"),
    "null": (write("run.json", "null"), "run.json is damaged"),
    "binary": (write("run.json", b"\x80\xff\x00"), "run.json is damaged (it is not UTF-8"),
    "pipe": (pipe, "run.json is missing, or no file"),
    "deep JSON": (write("run.json", "[" * DEEP + "]" * DEEP), "run.json is damaged"),
    "half as deep": (write("run.json", '{"status": "done", "x": ' + "[" * 60 + "]" * 60 + "}"), "nested more than 50"),
    "surrogate": (record(error="\ud800"), "run.json is damaged (it holds text that is not Unicode"),
    "kind": (record(started=["x"]), "run.json is damaged (started ['x'])"),
    "stack": (record(stacked="many"), "run.json is damaged (stacked"),
    "tags": (record(tags="many"), "run.json is damaged (tags"),
    "time": (record(seconds_per_epoch={"x": 1}), "run.json is damaged (seconds_per_epoch"),
    "large file": (write("run.json", b" " * (17 * 2**20)), "run.json is damaged (it has 17,825,792 bytes"),
    "empty": (write("config.yaml", ""), "config.yaml is damaged"),
    "deep YAML": (write("config.yaml", "[" * DEEP + "]" * DEEP), "config.yaml is damaged"),
    "deep blocks": (write("config.yaml", "\n".join(" " * i + "a:" for i in range(900))), "config.yaml is damaged"),
    "own alias": (add("config.yaml", "x: &x [*x]\n"), "config.yaml is damaged (it holds values nested more than 50"),
    "bomb": (add("config.yaml", BOMB), "config.yaml is damaged (it holds more than 100,000 values"),
    "merged": (add("config.yaml", MERGED), "config.yaml is damaged (it merges groups by aliases"),
    "date": (add("config.yaml", "x: [2026-01-01]\n"), "config.yaml is damaged (it holds a value of the kind date"),
    "init_from": (option(init_from=5), "config.yaml is damaged (init_from 5)"),
    "seed": (option(seed=int("9" * 400)), "config.yaml is damaged (it holds an integer that is too large"),
    "digits": (add("config.yaml", f"x: {'9' * 5000}\n"), "config.yaml is damaged"),
    "negative": (option(seed=-1), "config.yaml is damaged (seed must be"),
    "name": (option(sampler={"name": "x" * 1000}), "config.yaml is damaged (it does not name"),
    "score": (scores(reconstruct__clean__half_sse=1e308), "half_sse is 1e+308, which is too large to average"),
    "column": (scores(status=1.0), "metrics.json is damaged ('status' is no name of a score"),
}
REMARKED = {
    "field": (write("metrics.csv", f"epoch,train/loss\n0,{'1' * 140_000}\n"), "metrics.csv is damaged: field larger"),
    "header": (write("metrics.csv", "a,b\n1,2\n"), "metrics.csv is damaged: its column epoch is missing"),
    "binary history": (write("metrics.csv", b"\xff\xfe\x00"), "metrics.csv"),
    "deep": (write("evaluations/x.json", "[" * DEEP), "x.json is damaged"),
    "scores": (write("evaluations/x.json", '{"scores": {"a/b": 1e308}}'), "x.json is damaged (a/b is 1e+308"),
    "no archive": (write("figures/examples.npz", b"PK\x03\x04 cut short"), "examples.npz cannot be read"),
}


def reported(tmp_path):
    """The results of ``tmp_path``/runs, after writing the whole report."""
    results = collect([tmp_path / "runs"])
    pivots = [pivot(results.frame, metric) for metric in measured(results.frame)]
    write_report(tmp_path / "report", results, pivots, [tmp_path / "runs"])
    return results.frame.set_index("run")


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The report of one run of every kind, and a good one: table, folder of each, page, seconds of the processor."""
    output = tmp_path_factory.mktemp("bad")
    folders = {case: made.run(output / "runs", seed=seed) for seed, case in enumerate(["good", *DAMAGED, *REMARKED])}
    for case, (spoil, _) in (DAMAGED | REMARKED).items():
        spoil(folders[case])
    started = time.process_time()
    frame = reported(output)
    return frame, folders, (output / "report" / "report.html").read_text(), time.process_time() - started


@pytest.mark.parametrize("case", [*DAMAGED, *REMARKED])
def test_damage_is_reported_beside_the_name_of_the_run(case, together):
    frame, folders, page, _ = together
    (_, message), name = (DAMAGED | REMARKED)[case], folders[case].name
    assert frame.loc[name, "status"] == ("damaged" if case in DAMAGED else "done")
    assert message in frame.loc[name, "error"]
    assert f"<dt>{name} " in page


def test_bad_runs_leave_the_good_ones_and_take_no_time(together):
    frame, folders, _, seconds = together
    assert tuple(frame.loc[folders["good"].name, ["status", METRIC]]) == ("done", 1.0)
    # An alias bomb by itself would take for ever.
    assert seconds < 60


STRANGE = ["5", ".inf", "[1, {a: 2}]", "1.0e+300", "{a: b}", "true", "9223372036854775807"]


@pytest.mark.parametrize("path", ["model.latent_dim", "model.encoder.widths", "beta.value", "optimizer.lr", "trainer"])
def test_strange_values_of_options_are_reported_as_they_are(path, tmp_path):
    for seed, value in enumerate(STRANGE):
        group, *rest = path.split(".")
        node = yaml.safe_load(value)
        for part in reversed(rest):
            node = {part: node}
        option(**{group: node})(made.run(tmp_path, seed=seed))
    frame = collect([tmp_path]).frame
    assert list(frame["status"]) == ["done"] * len(STRANGE)
    assert sum(cell.n for _, _, cell in pivot(frame, METRIC)) == len(STRANGE)


def archive(path, shape, content=b"", declared=None):
    """An .npz of one array ``original``, whose header says ``shape``, and the others as large."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("original", "reconstruction"):
            file.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)


@pytest.mark.parametrize(
    ("shape", "content"), [((20, 1, 1024, 1024), bytes(80 * 2**20)), ((10**6, 1, 1000, 1000), bytes(4))]
)
def test_examples_that_would_fill_the_memory_are_left_out_unread(shape, content, tmp_path, monkeypatch):
    folder = made.run(tmp_path / "runs")
    archive(folder / "figures" / "examples.npz", shape, content)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was loaded"))
    assert load_examples(folder) is None
    error = reported(tmp_path).loc[folder.name, "error"]
    assert "figures/examples.npz is left out: it unpacks to" in error


def test_runs_with_equal_texts_of_options_are_one(tmp_path):
    """Five as a number and as text: as two runs they would be the same replicate of a cell."""
    folders = [made.run(tmp_path / place, dataset__folds=folds) for place, folds in (("a", 5), ("b", "5"))]
    found = collect([tmp_path])
    assert len(found.frame) == 1
    assert {path for pair in found.duplicates for path in pair} == {*folders}


def test_a_folder_whose_name_is_no_text_is_reported(tmp_path):
    folder = made.run(tmp_path / "runs")
    folder.rename(folder.with_name(os.fsdecode(b"\xff\xfe")))
    assert list(reported(tmp_path)["status"]) == ["done"]


@pytest.mark.parametrize("text", ["x=&a [*a]", f"x={'[' * 1000}", "x=2026-01-01"])
def test_a_bad_override_of_a_plan_leaves_the_rest(text, tmp_path):
    made.run(tmp_path / "runs")
    made.plan(tmp_path / "runs", [("digits-none-gamma-s0-01234567", ["sampler=gamma", text], None)])
    assert list(reported(tmp_path)["status"]) == ["done", "missing"]


def test_aliases_that_stay_small_are_read():
    assert bounded.parse_yaml("a: &a {x: 1}\nb: *a\n", "config.yaml") == {"a": {"x": 1}, "b": {"x": 1}}
