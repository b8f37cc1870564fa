"""Where a search keeps its trials."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage

from tests.support.composing import REPOSITORY
from tests.support.device import TRAINED_ON
from vae_hydra.runs.folder import Run
from vae_hydra.studies.search.study import DATABASE, JOURNAL, JournalLock, open_study

OPTIONS = {"seed": 0, "startup": 10, "pruning": "none", "warmup": 5, "seeds": 1}
COMMAND = (
    "trials=16",
    "search=none",
    "search.seeds=2",
    "search.pruning=none",
    "+search.space.optimizer.lr={low:1e-5,high:1e-2,log:true}",
    "trainer.max_epochs=5",
    TRAINED_ON,
    "threads=1",
    "dataset.fraction=0.2",
    "callbacks.figures.enabled=false",
    "test_noises=null",
)
# Optuna's codes of a journal's lines.
CREATED, ENDED = 4, 6


def _numbers(study: optuna.Study) -> list[int]:
    return [trial.number for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize(
    ("content", "left"), [(b"", b""), (b"{}\n", b"{}\n"), (b'{"op', b""), (b'{}\n{}\n{"op', b"{}\n{}\n")]
)
def test_whole_lines_are_kept(content: bytes, left: bytes, tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    journal.write_bytes(content)
    lock = JournalLock(journal)
    assert lock.acquire()
    lock.release()
    assert journal.read_bytes() == left


def test_half_a_line_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    first = open_study(tmp_path, OPTIONS, 5)
    first.tell(first.ask(), 1.0)
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 4, "wor')
    second = open_study(tmp_path, OPTIONS, 5)
    second.tell(second.ask(), 2.0)
    assert [trial.value for trial in open_study(tmp_path, OPTIONS, 5).get_trials()] == [1.0, 2.0]


def test_a_search_with_a_database_goes_on_with_it(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path / DATABASE}")
    optuna.create_study(storage=storage, study_name=tmp_path.name, direction="maximize").optimize(lambda _: 1.0, 2)
    study = open_study(tmp_path, OPTIONS, 5)
    assert not isinstance(study._storage, JournalStorage)
    assert _numbers(study) == [0, 1]
    assert not (tmp_path / JOURNAL).exists()


def _started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vae_hydra.search", *COMMAND]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _lines(folder: Path, code: int) -> Iterator[tuple[int, str]]:
    """Number of the trial and process of a journal's lines about the beginning or the end of trials."""
    (path,) = folder.glob(f"outputs/searches/*/{JOURNAL}")
    begun = 0
    for line in path.read_text().splitlines(keepends=True):
        entry = json.loads(line) if line.endswith("\n") else {}
        if entry.get("op_code") == code:
            yield entry.get("trial_id", begun), entry["worker_id"]
            begun += 1


def _kill_within_its_second_trial(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Kill a process with SIGKILL that has a trial to finish; return what it had printed."""
    said = ""
    while not (found := re.search(r"^trial    (\d+) ", said, re.MULTILINE)):
        said += process.stdout.readline().decode()
        assert process.poll() is None, said
    worker = dict(_lines(folder, ENDED))[int(found[1])]
    while len([one for _, one in _lines(folder, CREATED) if one == worker]) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    return said + process.communicate()[0].decode()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_processes_share_a_search_and_one_is_killed(tmp_path: Path) -> None:
    """``pytest -m slow tests/studies -k four_processes``: another process finishes the trial of the killed one."""
    killed, *others = processes = [_started(tmp_path) for _ in range(4)]
    said = [_kill_within_its_second_trial(killed, tmp_path), *(other.communicate()[0].decode() for other in others)]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0, 0], said
    logged = [int(number) for text in said for number in re.findall(r"^trial    (\d+) ", text, re.MULTILINE)]
    assert sorted(logged) == list(range(16))
    created, ended = list(_lines(tmp_path, CREATED)), list(_lines(tmp_path, ENDED))
    assert [number for number, _ in created] == sorted(number for number, _ in ended) == list(range(16))
    assert len({worker for _, worker in created}) == 4
    (taken,) = dict(created).items() - dict(ended).items()
    assert Counter(worker for _, worker in created)[taken[1]] == 2
    (table,) = tmp_path.glob("outputs/searches/*/trials.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(int(row["trial"]), row["state"]) for row in rows] == [(number, "done") for number in range(16)]
    runs = [Run.open(tmp_path / "outputs" / name) for row in rows for name in row["run"].split()]
    assert len({run.name for run in runs}) == len(list(tmp_path.glob("outputs/*/run.json"))) == 32
    assert all(run.is_done and len(run.epochs) == 5 for run in runs)
