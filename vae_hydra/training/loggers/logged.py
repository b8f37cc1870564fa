"""What a logger has logged of a run, so that an interrupted run that repeats epochs logs none of them twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_hydra.base.files import write_text

# Beginnings of the names of an epoch's values.
EPOCHS = ("train/", "val/")


class Logged:
    """The last step and value of every name that a logger has logged, kept in a file.

    Args:
        path: the file, beside what the logger itself writes.
        destination: the logger's run. What was logged to another run counts for nothing.

    Raises:
        ValueError: for a damaged file.
    """

    def __init__(self, path: Path, destination: str) -> None:
        self.path, self.destination = path, destination
        self._last: dict[str, list[Any]] = {}
        if path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                self._last = content["last"] if content["destination"] == destination else {}
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path} is damaged: {error}; delete it: repeated epochs are logged twice") from error

    def new(self, values: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The values that are not logged yet: those of a later step, and test scores that differ at the same step."""
        return {name: value for name, value in values.items() if self._is_new(name, value, step)}

    def _is_new(self, name: str, value: Any, step: int) -> bool:
        last_step, last_value = self._last.get(name, (-1, None))
        # The time of a repeated epoch differs; a run that is tested again may have other noise.
        repeats = name.startswith(EPOCHS) or value == last_value
        return step > last_step or (step == last_step and not repeats)

    def note(self, values: Mapping[str, Any], step: int) -> None:
        """Write down that ``values`` are logged at ``step``."""
        self._last |= {name: [step, value] for name, value in values.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, json.dumps({"destination": self.destination, "last": self._last}))
