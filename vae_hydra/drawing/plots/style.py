"""The one style of all figures: colours, sizes of text, and a layout that cuts nothing off."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

from matplotlib import rc_context, rcParams
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Okabe and Ito's colours, which the colour-blind can tell apart, and a brown and a grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#777777")
# The colours of series, and Okabe and Ito's yellow and black: ten classes.
CLASS_COLOURS = (*COLOURS, "#F0E442", "#000000")
# Lines and text over a picture; what is compared with; a frame around the point in question; paper.
INK, PALE, MARK, PAPER = "#000000", "#BBBBBB", COLOURS[3], "#FFFFFF"
# Maps of colours: images, more classes than there are colours, amounts, and amounts of either sign.
GREYS, MANY_CLASSES, AMOUNTS, SIGNED = "gray", "turbo", "cividis", "RdBu_r"

SETTINGS: Any = {
    "figure.constrained_layout.use": True,
    "figure.facecolor": PAPER,
    "figure.titlesize": 10,
    "figure.labelsize": 9,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
}
# Layouts that a figure is given at most until nothing is cut, and the inches that may be missing.
ATTEMPTS, TOLERANCE = 8, 0.005
# Shortest line that a text is broken into [characters].
SHORTEST = 8

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """``draw`` in the style of this package, with all text on the canvas; matplotlib's settings stay as they were."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(SETTINGS):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:
                # matplotlib makes tick labels when it needs them, which may be after the style has been left.
                axes.tick_params(which="both", labelsize=rcParams["xtick.labelsize"])
            fit(figure)
            return figure

    return drawn


def fit(figure: Figure) -> None:
    """Break long titles into lines, and enlarge the canvas until all that the figure shows lies on it."""
    for text, width in _titles(figure):
        _break_up(text, width * figure.get_figwidth() * figure.dpi)
    for _ in range(ATTEMPTS):
        figure.draw_without_rendering()
        wider, higher = overflow(figure)
        if max(wider, higher) <= TOLERANCE:
            return
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + wider, height + higher)


def overflow(figure: Figure) -> tuple[float, float]:
    """Inches by which the contents of a figure with a layout exceed its canvas, in width and in height."""
    # Before 3.11.1 Matplotlib does not count how long the titles of axes are.
    titled = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if _has_title(axis)]
    to_inches = figure.dpi_scale_trans.inverted()
    titles = [axis.label.get_window_extent().transformed(to_inches) for axis in titled]
    box = Bbox.union([figure.get_tightbbox(), *titles])
    width, height = figure.get_size_inches()
    ends = (box.x0, box.x1 - width), (box.y0, box.y1 - height)
    across, up = (max(0.0, -low) + max(0.0, high) for low, high in ends)
    return across, up


def _has_title(axis: Axis) -> bool:
    """Whether an axis has a title that is drawn."""
    return bool(axis.label.get_text()) and axis.get_visible() and axis.axes.axison and axis.axes.get_visible()


def _titles(figure: Figure) -> Iterator[tuple[Text, float]]:
    """Titles, which a layout does not fit to their place, and their widest place as a share of the figure's width."""
    # Of the texts of the figure itself, only the title of its vertical axis is turned.
    yield from ((text, 1.0) for text in figure.texts if not text.get_rotation())
    for axes in figure.axes:
        if place := axes.get_subplotspec():
            yield axes.title, 1.0 / place.get_gridspec().ncols


def _break_up(text: Text, width: float) -> None:
    """Break a text into lines of at most ``width`` pixels, between words."""
    extent = text.get_window_extent().width
    if extent <= width:
        return
    words = text.get_text().split(" ")
    characters = max(SHORTEST, math.floor(len(text.get_text()) * 0.95 * width / extent))
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > characters:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    text.set_text("\n".join(lines))
