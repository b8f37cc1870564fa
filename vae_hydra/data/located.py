"""The place of a user's file or folder."""

from __future__ import annotations

from pathlib import Path


def located(path: str, root: str | None) -> Path:
    """``path`` under ``root``: a relative one starts there, and of an absolute one only the name is kept.

    ``root`` None leaves the path as it is.
    """
    place = Path(path).expanduser()
    return place if root is None else Path(root).expanduser() / (place.name if place.is_absolute() else place)
