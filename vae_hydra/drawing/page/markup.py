"""Drawings of the page as HTML: they take the width and the colours of the display."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from vae_hydra.drawing.page.pictures import Curves, png
from vae_hydra.drawing.plots.arrays import Array

# Units of a panel's drawing, across and up.
ACROSS, UP = 200, 100
# Colours of the posteriors, which the page's style sheet names.
LINES = ("var(--one)", "var(--two)")


def tiles(mosaic: Array, names: Sequence[str], stops: Sequence[str], marks: Sequence[int | None]) -> str:
    """Rows of images with their names, and a frame around one image a row.

    Args:
        mosaic: all images as one, bytes [H, W, 3].
        names: of the rows.
        stops: of the columns.
        marks: the column of the framed image of each row, None for no frame.
    """
    height, width = 100 / len(names), 100 / len(stops)
    frames = [
        f"<div class='mark' title='{escape(names[row])}: nearest to the point' style='left:{column * width:.3f}%;"
        f"top:{row * height:.3f}%;width:{width:.3f}%;height:{height:.3f}%'></div>"
        for row, column in enumerate(marks)
        if column is not None
    ]
    source = base64.b64encode(png(mosaic)).decode()
    shown = f"<img alt='decoded images' src='data:image/png;base64,{source}'>"
    left = "".join(f"<span>{escape(name)}</span>" for name in names)
    top = "".join(f"<span>{escape(stop).replace(chr(10), '<br>')}</span>" for stop in stops)
    return (
        f"<div class='tiles'><span class='quiet'>p<br>z</span><div class='stops'>{top}</div>"
        f"<div class='names'>{left}</div><div class='picture'>{shown}{''.join(frames)}</div></div>"
    )


def densities(panels: Mapping[str, Curves], titles: Sequence[str]) -> str:
    """Curves of posteriors over the prior's, a panel for each latent.

    Args:
        panels: name of a latent → its curves.
        titles: of the posteriors.
    """
    entries = [("prior p(z)", "border-top:9px solid var(--line)")]
    entries += [(title, f"border-top:2px solid {LINES[number]}") for number, title in enumerate(titles)]
    entries.append(("the example's code", "border-top:2px dotted var(--ink)"))
    legend = "".join(f"<span><i style='{line}'></i>{escape(title)}</span>" for title, line in entries)
    drawn = "".join(_panel(name, curves) for name, curves in panels.items())
    return f"<div class='series'>{legend}</div><div class='panels'>{drawn}</div>"


def _panel(name: str, curves: Curves) -> str:
    low, high = curves.limits
    width = max(high - low, 1e-12)

    def path(z: Array, heights: Array) -> str:
        x, y = ACROSS * (z - low) / width, UP * (1.04 - heights) / 1.04
        return " ".join(f"{across:.1f},{up:.1f}" for across, up in zip(x, y, strict=True))

    prior = f"<polygon class='prior' points='0,{UP} {path(*curves.prior)} {ACROSS},{UP}'/>"
    lines = "".join(
        f"<polyline class='line' style='stroke:{LINES[number]}' points='{path(*curve)}'/>"
        for number, curve in enumerate(curves.posteriors)
    )
    code = ACROSS * (curves.code - low) / width
    mark = f"<line class='code' x1='{code:.1f}' x2='{code:.1f}' y1='0' y2='{UP}'/>"
    svg = f"<svg viewBox='0 0 {ACROSS} {UP}' preserveAspectRatio='none' role='img'>{prior}{lines}{mark}</svg>"
    ends = f"<div class='ends'><span>{low:.3g}</span><span>{high:.3g}</span></div>"
    return f"<figure><figcaption>{escape(name)}</figcaption>{svg}{ends}</figure>"
