"""Hatches, markers and lines of series beside their colours: any two are told apart without colour."""

from __future__ import annotations

from typing import Any, NamedTuple

from vae_hydra.drawing.plots.style import COLOURS

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "---", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
# Training and validation look the same in every panel.
PARTS: dict[str, dict[str, Any]] = {
    "training": {"color": COLOURS[0], "linestyle": LINES[0]},
    "validation": {"color": COLOURS[1], "linestyle": LINES[1]},
}


class Style(NamedTuple):
    """Colour, hatch, marker and line of a series."""

    colour: str
    hatch: str
    marker: str
    line: str


def style(number: int, variant: int = 0) -> Style:
    """The style of the ``number``-th family; variants of a family share its colour."""
    other = number + number // len(COLOURS) + 3 * variant
    return Style(
        COLOURS[number % len(COLOURS)],
        HATCHES[other % len(HATCHES)],
        MARKERS[other % len(MARKERS)],
        LINES[(number // len(COLOURS) + variant) % len(LINES)],
    )
