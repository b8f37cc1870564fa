"""Pictures and texts that several parts of the page share."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import panel as pn
from PIL import Image
from torch import Tensor

from vae_hydra.drawing.page import pictures
from vae_hydra.drawing.plots.arrays import Array
from vae_hydra.runs.trained import TrainedModel

# Test examples behind vector data.
CLOUD = 2000
# Side of a small figure [inches].
SMALL = 2.9
# Classes whose probability is shown.
LIKELIEST = 3
CLICK = " Click to move the point."
TEXT = ":host { font-family: system-ui, sans-serif; font-size: 13px; color: #222; } p { margin: 2px 0; }"
PIXELS = "img { image-rendering: pixelated; outline: 1px solid #ccc; }"


def empty_picture(model: TrainedModel, name: str, width: int) -> pn.pane.PNG | pn.pane.Matplotlib:
    """A pane for the picture of an example: of an image, or of points."""
    if not model.are_images:
        return pn.pane.Matplotlib(tight=False, dpi=100, css_classes=[name])
    height = width * model.module.vae.x_shape[1] // model.module.vae.x_shape[2]
    return pn.pane.PNG(width=width, height=height, stylesheets=[PIXELS], css_classes=[name])


def picture(model: TrainedModel, x: Tensor, name: str) -> Any:
    """The content of such a pane, for an example x [*x_shape]."""
    if model.are_images:
        return png(pictures.pixels(x, model.limits))
    return pictures.points(cloud(model), {name: x.unsqueeze(0)}, side=SMALL)


def cloud(model: TrainedModel) -> Tensor:
    """Test examples that are drawn behind vector data."""
    return model.test_examples.x[:CLOUD]


def png(pixels: Array) -> bytes:
    """Bytes [H, W, 3] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def text(name: str, content: str = "", **options: Any) -> pn.pane.HTML:
    """A pane of HTML with the page's font; ``name`` is its CSS class."""
    return pn.pane.HTML(content, stylesheets=[TEXT], css_classes=[name], **options)


def heading(title: str) -> pn.pane.HTML:
    """The first line of the page."""
    return text("heading", f"<b style='font-size: 17px'>{escape(title)}</b>")


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
