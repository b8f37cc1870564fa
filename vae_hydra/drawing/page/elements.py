"""Pictures and texts that several parts of the page share."""

from __future__ import annotations

from html import escape
from typing import Any

import panel as pn
from torch import Tensor

from vae_hydra.drawing.page import pictures
from vae_hydra.drawing.page.looks import CARD, PIXELS, TEXT
from vae_hydra.drawing.page.pictures import drawing, png
from vae_hydra.runs.trained import TrainedModel

# Test examples behind vector data.
CLOUD = 2000
# Side of a small figure [inches].
SMALL = 2.9
# Classes whose probability is shown.
LIKELIEST = 3
CLICK = " Click to move the point."


def empty_picture(model: TrainedModel, name: str, width: int) -> pn.pane.PNG:
    """A pane for the picture of an example, as wide as there is room, at most ``width`` pixels."""
    if not model.are_images:
        return drawing_pane(name, 2 * width)
    height = width * model.module.vae.x_shape[1] // model.module.vae.x_shape[2]
    return pn.pane.PNG(width=width, height=height, stylesheets=[PIXELS], css_classes=[name])


def drawing_pane(name: str, most: int) -> pn.pane.PNG:
    """A pane for a matplotlib figure, as wide as there is room, at most so many pixels."""
    return pn.pane.PNG(sizing_mode="scale_width", max_width=most, stylesheets=[CARD], css_classes=[name])


def picture(model: TrainedModel, x: Tensor, name: str) -> bytes:
    """The content of such a pane, for an example x [*x_shape]."""
    if model.are_images:
        return png(pictures.pixels(x, model.limits))
    return drawing(pictures.points(cloud(model), {name: x.unsqueeze(0)}, side=SMALL))


def cloud(model: TrainedModel) -> Tensor:
    """Test examples that are drawn behind vector data."""
    return model.test_examples.x[:CLOUD]


def text(name: str, content: str = "", **options: Any) -> pn.pane.HTML:
    """A pane of HTML with the page's font; ``name`` is its CSS class."""
    return pn.pane.HTML(content, stylesheets=[TEXT], css_classes=[name], **options)


def prediction(model: TrainedModel, z: Tensor) -> str:
    """The classes that the model's head predicts for a point, as HTML; empty for a model without a head."""
    probabilities = model.class_probabilities(z)
    if probabilities is None:
        return ""
    most = probabilities.topk(min(LIKELIEST, len(probabilities)))
    pairs = zip(most.indices.tolist(), most.values.tolist(), strict=True)
    (first, share), *others = pairs
    rest = ", ".join(f"{label} ({value:.1%})" for label, value in others)
    return f"predicted class <b>{first}</b> ({share:.1%}), then {escape(rest)}"
