"""Where the labels of a figure are: within the figure, and not one over another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from matplotlib.axis import Tick
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Pixels by which the boxes of two labels may meet.
CLOSE = 1.0


def labels(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """The texts of a figure that are drawn, with their boxes [pixels]."""
    figure.draw_without_rendering()
    of_ticks = {text for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
    for text in figure.findobj(Text):
        is_hidden = text.axes is not None and not text.axes.axison
        if text not in of_ticks and text.get_visible() and text.get_text().strip() and not is_hidden:
            yield text.get_text(), text.get_window_extent()
    for axes in (axes for axes in figure.axes if axes.axison):
        # Of the ticks that an axis has, it draws those within its limits.
        for tick in (*axes.xaxis._update_ticks(), *axes.yaxis._update_ticks()):
            for text in (tick.label1, tick.label2):
                if text.get_visible() and text.get_text().strip():
                    yield text.get_text(), text.get_window_extent()


def cut_labels(figure: Figure) -> list[str]:
    """Labels that reach beyond the figure."""
    whole = figure.bbox.padded(CLOSE)
    return [text for text, box in labels(figure) if not _contains(whole, box)]


def _contains(whole: Bbox, box: Bbox) -> bool:
    return bool(whole.x0 <= box.x0 and whole.y0 <= box.y0 and box.x1 <= whole.x1 and box.y1 <= whole.y1)


def overprinted_labels(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of labels that overlap; slanted ones are left out, as their boxes are larger than they are."""
    slanted = {text.get_text() for text in figure.findobj(Text) if text.get_rotation() % 90}
    pairs = itertools.combinations([(text, box) for text, box in labels(figure) if text not in slanted], 2)
    return [(one, other) for (one, box), (other, next_box) in pairs if _overlap(box, next_box)]


def _overlap(one: Bbox, other: Bbox) -> bool:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    return bool(across > CLOSE and min(one.y1, other.y1) - max(one.y0, other.y0) > CLOSE)
