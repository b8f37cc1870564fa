"""The place of a user's file or folder, and the error if nothing is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def located(path: str, root: str | None) -> Path:
    """``path`` under ``root``: a relative one starts there, and of an absolute one only the name is kept.

    ``root`` None leaves the path as it is.
    """
    place = Path(path).expanduser()
    return place if root is None else Path(root).expanduser() / (place.name if place.is_absolute() else place)


class MissingFiles(ValueError):
    """Files of a dataset that are not there.

    Args:
        problem: the files that are missing, and where.
        wanted: what the folder must hold that ``dataset.root`` names.
        remedy: what else training can do.
    """

    def __init__(self, problem: str, wanted: str, remedy: str = "") -> None:
        super().__init__(f"{problem}{remedy}")
        self.problem, self.wanted = problem, wanted

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied with the message as its only argument.
        return type(self), (self.problem, self.wanted, str(self).removeprefix(self.problem))

    def of_saved_run(self) -> ValueError:
        """The error for a command that downloads nothing, and whose option is ``dataset_root``."""
        return ValueError(f"{self.problem}; name the folder that holds {self.wanted} with dataset_root=FOLDER")


def missing_files(error: BaseException | None) -> MissingFiles | None:
    """The error, or that which it came from, if it is about missing files."""
    while error is not None and not isinstance(error, MissingFiles):
        error = error.__cause__
    return error
