"""Where a search keeps its trials."""

from pathlib import Path

import optuna
from optuna.storages import JournalStorage, RDBStorage

from vae_hydra.studies.search.study import DATABASE, JOURNAL, open_study

OPTIONS = {"seed": 0, "startup": 10, "pruning": "none", "warmup": 5}


def _numbers(study: optuna.Study) -> list[int]:
    return [trial.number for trial in study.get_trials(deepcopy=False)]


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
