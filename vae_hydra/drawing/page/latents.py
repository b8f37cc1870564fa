"""The space around the point: traversals of single latents, and a plane of two."""

from __future__ import annotations

from typing import Any

import panel as pn
import torch
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure as bokeh_figure
from torch import Tensor

from vae_hydra.drawing.page import markup, pictures
from vae_hydra.drawing.page.elements import CLICK, cloud, drawing_pane, text
from vae_hydra.drawing.page.looks import WIDGET
from vae_hydra.drawing.page.point import Point
from vae_hydra.drawing.page.points import plane, traversals
from vae_hydra.drawing.page.sliders import LEAST, MOST, latents_at, positions_of
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.drawing.plots.style import COLOURS, MARK, PAPER
from vae_hydra.runs.trained import TrainedModel

# Rows of traversals at most: of the latents with the most KL.
ROWS = 10
# Columns of traversals, as probabilities under the prior.
STOPS = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99)
# Images along each side of the plane.
CELLS = 15
# Text that is read on light and on dark displays.
BOTH = COLOURS[7]


class TraversalPane:
    """Each of the latents with the most KL moved alone through the prior's quantiles, from the point."""

    title = "Traversals"

    def __init__(self, model: TrainedModel, point: Point) -> None:
        self.model, self.point = model, point
        self.picture = text("traversals", sizing_mode="stretch_width")
        self.points = drawing_pane("traversals", 600)

    def show(self) -> None:
        """Draw the traversals from the point as it is now, and mark where it is."""
        model, latents, stops = self.model, self.model.order[:ROWS], torch.tensor(STOPS)
        rows = traversals(model, self.point.z, latents, stops, self.point.label)
        names = [latent_name(latent) for latent in latents]
        if model.are_images:
            marks = nearest(positions_of(model.prior, self.point.z)[latents], stops)
            mosaic = pictures.mosaic(rows, model.limits)
            self.picture.object = markup.tiles(mosaic, names, _stops(model), marks)
        else:
            here = model.decode(self.point.z, self.point.label).unsqueeze(0)
            series = dict(zip(names, rows, strict=True))
            self.points.object = pictures.drawing(pictures.points(cloud(model), series, here=here))

    def layout(self) -> pn.Column:
        """The second tab."""
        mark = "A frame marks the image nearest to the point." if self.model.are_images else "A cross marks the point."
        note = text("note", f"From the sliders' point, one latent a row goes through the prior's quantiles. {mark}")
        shown = self.picture if self.model.are_images else self.points
        return pn.Column(note, shown, sizing_mode="stretch_width")


def nearest(positions: Tensor, stops: Tensor) -> list[int]:
    """The index of the stop nearest to each position [R], both as probabilities under the prior."""
    return (positions[:, None] - stops.to(positions)).abs().argmin(1).tolist()


def _stops(model: TrainedModel) -> list[str]:
    """Titles of the columns of traversals: the probability and, if all latents share it, the prior's quantile."""
    values = latents_at(model.prior, torch.tensor(STOPS)[:, None])
    # A trained prior has other quantiles for each latent.
    is_shared = bool((values == values[:, :1]).all())
    numbers = [f"\n{value:.2g}" if is_shared else "" for value in values[:, 0].tolist()]
    return [f"{p:g}{number}" for p, number in zip(STOPS, numbers, strict=True)]


class PlanePane:
    """Two latents over their prior's probability, all others as at the point; a click moves the point."""

    title = "Plane"

    def __init__(self, model: TrainedModel, point: Point) -> None:
        self.model, self.point = model, point
        names = {latent_name(latent): latent for latent in range(model.latent_dim)}
        first, second = (model.order[:2] * 2)[:2]
        self.across = pn.widgets.Select(label="across", options=names, value=first, width=90, stylesheets=[WIDGET])
        self.up = pn.widgets.Select(label="up", options=names, value=second, width=90, stylesheets=[WIDGET])
        for widget in (self.across, self.up):
            widget.param.watch(lambda _: self.show(), "value")
        self.chart = bokeh_figure(
            toolbar_location=None, tools="", aspect_ratio=1, max_width=640, sizing_mode="scale_width"
        )
        for place in ("background", "border"):
            # The page's own colour shows through.
            setattr(self.chart, f"{place}_fill_alpha", 0)
        for axis in self.chart.axis:
            axis.axis_label_text_color = axis.major_label_text_color = BOTH
        self.chart.x_range, self.chart.y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
        self.chart.on_event(Tap, lambda event: self.go(event.x, event.y))
        self.images, self.place = ColumnDataSource({"image": []}), ColumnDataSource({"x": [], "y": []})
        self.chart.image_rgba("image", x=0, y=0, dw=1, dh=1, source=self.images)
        self.chart.scatter(source=self.place, size=14, fill_color=MARK, line_color=PAPER, line_width=2)
        self.net = drawing_pane("net", 560)
        point.param.watch(lambda _: self._mark(), "z")

    def go(self, across: float, up: float) -> None:
        """Move the point to a place of the plane, given as probabilities."""
        positions = torch.tensor([across, up]).clamp(LEAST, MOST)
        values = latents_at(self.model.prior, positions[:, None])
        chosen = enumerate((self.across.value, self.up.value))
        self.point.jump(self.point.moved({latent: values[row, latent] for row, latent in chosen}))

    def show(self) -> None:
        """Draw the plane through the point as it is now."""
        model, across, up = self.model, self.across.value, self.up.value
        grid = plane(model, self.point.z, across, up, CELLS, self.point.label)
        self.chart.xaxis.axis_label = f"prior probability of {latent_name(across)}"
        self.chart.yaxis.axis_label = f"prior probability of {latent_name(up)}"
        if model.are_images:
            self.images.data = {"image": [pictures.rgba(pictures.mosaic(grid.flip(0), model.limits))]}
        else:
            here = model.decode(self.point.z, self.point.label).unsqueeze(0)
            self.net.object = pictures.drawing(pictures.points(cloud(model), {}, grid, here=here))
        self._mark()

    def _mark(self) -> None:
        positions = positions_of(self.model.prior, self.point.z)[[self.across.value, self.up.value]].tolist()
        self.place.data = {"x": positions[:1], "y": positions[1:]}

    def layout(self) -> pn.Column:
        """The third tab."""
        shown = "Decoded images" if self.model.are_images else "Decoded points"
        mark = "a dot marks the point." + CLICK if self.model.are_images else "a cross marks the point."
        words = f"{shown} of two latents over their prior's probability, the others as the sliders have them; {mark}"
        chart: Any = pn.pane.Bokeh(self.chart, sizing_mode="scale_width") if self.model.are_images else self.net
        return pn.Column(text("note", words), pn.FlexBox(self.across, self.up), chart, sizing_mode="stretch_width")
