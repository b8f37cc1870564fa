"""The parts of the page, each some widgets and what they show; by Panel."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import panel as pn
import param
import torch
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure as bokeh_figure
from PIL import Image
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.drawing.page import pictures
from vae_hydra.drawing.page.model import (
    Explored,
    Look,
    class_probabilities,
    decoded,
    indices_of,
    look,
    medians,
    plane,
    traversals,
)
from vae_hydra.drawing.page.sliders import LEAST, MOST, is_beyond, latents_at, positions_of

# Sliders, panels of densities and rows of traversals at most: of the most informative latents.
SLIDERS, PANELS, ROWS = 20, 10, 10
# Where traversals stop, as the prior's probability.
STOPS = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99)
# Images along each side of the plane.
CELLS = 15
# Test examples behind vector data.
CLOUD = 2000
# Side of a small figure [inches].
SMALL = 2.9
# Examples of every class.
ANY = "any"
CLICK = " Click to move the point."
# Classes whose probability is said.
LIKELIEST = 3
TEXT = ":host { font-family: system-ui, sans-serif; font-size: 13px; color: #222; } p { margin: 2px 0; }"
PIXELS = "img { image-rendering: pixelated; outline: 1px solid #ccc; }"


class Point(param.Parameterized):
    """A point of the latent space, and the class that the decoder is given.

    Attributes:
        z: the point [L]; kept as it is, not as sliders show it, so that a code is decoded exactly.
        settled: where the hand last let go of it, for pictures that take their time.
        label: the class.
    """

    z = param.Parameter()
    settled = param.Parameter()
    label = param.Integer(0)

    def jump(self, z: Tensor) -> None:
        """Go to ``z`` and stay there."""
        self.param.update(z=z, settled=z)

    def moved(self, values: dict[int, Tensor]) -> Tensor:
        """The point with other values of some latents."""
        z = self.z.clone()
        for latent, value in values.items():
            z[latent] = value
        return z


class PointPane:
    """Sliders of the most informative latents, and what the point is decoded to."""

    def __init__(self, what: Explored, point: Point) -> None:
        self.what, self.point = what, point
        self.sliders = {latent: self._slider(latent) for latent in what.most_informative(SLIDERS)}
        self.label = pn.widgets.Select(label="class given to the decoder", options=list(range(what.classes)), width=180)
        self.label.link(point, value="label", bidirectional=True)
        self.medians = pn.widgets.Button(label="Prior medians", width=130)
        self.medians.on_click(lambda _: point.jump(medians(what)))
        self.draw = pn.widgets.Button(label="Draw from the prior", width=130)
        self.draw.on_click(lambda _: point.jump(what.module.vae.prior_sample(1)[0]))
        self.picture = _picture(what, "decoded", 180)
        self.verdict = _text("verdict", width=270)
        self._follows = False
        point.param.watch(lambda *_: self.show(), ["z", "label"])
        self.show()

    def _slider(self, latent: int) -> pn.widgets.FloatSlider:
        looks = {"format": "0.000", "width": 250, "margin": (2, 10), "css_classes": [f"latent{latent}"]}
        slider = pn.widgets.FloatSlider(start=LEAST, end=MOST, step=0.001, **looks)
        slider.param.watch(lambda event: self._move(latent, event.new), "value")
        slider.param.watch(lambda _: self.point.param.update(settled=self.point.z), "value_throttled")
        return slider

    def _move(self, latent: int, position: float) -> None:
        # A slider that follows the point rounds it.
        if not self._follows:
            self.point.z = self.point.moved({latent: latents_at(self.what.prior, torch.tensor(position))})

    def show(self) -> None:
        """Show the point as it is now."""
        what, z = self.what, self.point.z
        positions, beyond = positions_of(what.prior, z).tolist(), is_beyond(what.prior, z).tolist()
        self._follows = True
        for latent, slider in self.sliders.items():
            where = "beyond p" if beyond[latent] else "at p"
            slider.param.update(label=f"z{latent} = {z[latent].item():.3g} {where}", value=round(positions[latent], 3))
        self._follows = False
        x = decoded(what, z, self.point.label)
        self.picture.object = _shown(what, x, "decoded")
        self.verdict.object = _verdict(what, z)

    def layout(self) -> pn.Column:
        """The left of the page."""
        label = [self.label] if self.what.module.vae.decodes_by_class else []
        hidden = self.what.module.vae.latent_dim - len(self.sliders)
        note = [_text("hidden", f"The {hidden} latents of least KL have no slider.")] if hidden else []
        sliders = pn.Column(*self.sliders.values(), *note, scroll="y-auto", height=500, width=290)
        verdict = [self.verdict] if self.what.module.vae.classifier is not None else []
        meaning = _text("note", "p is the share of the prior below z.")
        buttons = pn.Row(self.medians, self.draw)
        return pn.Column(*label, self.picture, *verdict, buttons, meaning, sliders, width=300)


class ExamplePane:
    """A test example under a noise: what goes in, what comes out, where its posterior lies."""

    title = "Example"

    def __init__(self, what: Explored, point: Point) -> None:
        self.what, self.point = what, point
        self.of_class = pn.widgets.Select(label="class", options=[ANY, *range(what.classes)], width=80)
        self.number = pn.widgets.IntInput(label="number", value=0, start=0, width=90, css_classes=["number"])
        self.noise = pn.widgets.Select(
            label="noise of the input", options=what.noise_titles(), width=190, css_classes=["noise"]
        )
        self.seed = pn.widgets.IntInput(label="seed of the noise", value=0, start=0, end=2**31 - 1, width=110)
        self.taken = pn.widgets.Button(
            label="Take its code into the sliders", color="primary", align="end", css_classes=["take"]
        )
        self.taken.on_click(lambda _: self.take())
        names = ("original", "input", "reconstruction") if what.are_images else ("points",)
        self.pictures = {name: _picture(what, name, 200) for name in names}
        self.about = _text("about", width=270)
        self.densities = pn.pane.Matplotlib(tight=False, dpi=100, width=940)
        self.of_class.param.watch(lambda _: self._restart(), "value")
        for widget in (self.number, self.noise, self.seed):
            widget.param.watch(lambda _: self.show(), "value")
        self._restart()

    def _restart(self) -> None:
        """Begin with the first example of the class that was chosen."""
        label = self.of_class.value
        self.indices = indices_of(self.what.examples, None if label == ANY else label).tolist()
        self.number.end = len(self.indices) - 1
        if self.number.value:
            self.number.value = 0
        else:
            self.show()

    def take(self) -> None:
        """Go to the code of the example."""
        self.point.label = self.seen.label
        self.point.jump(self.seen.code)

    def show(self) -> None:
        """Send the chosen example through the model and show it."""
        what, index = self.what, self.indices[self.number.value or 0]
        self.seen = seen = look(what, index, self.noise.value, self.seed.value or 0)
        if what.are_images:
            # Noise leaves the range of the data.
            own = None if self.noise.value != "none" else what.limits
            self.pictures["original"].object = _png(pictures.pixels(seen.original, what.limits))
            self.pictures["input"].object = _png(pictures.pixels(seen.fed, own))
            self.pictures["reconstruction"].object = _png(pictures.pixels(seen.reconstruction, what.limits))
        else:
            named = {"original": seen.original, "input": seen.fed, "reconstruction": seen.reconstruction}
            series = {name: x.unsqueeze(0) for name, x in named.items()}
            self.pictures["points"].object = pictures.points(what.examples.x[:CLOUD], series, side=SMALL)
        self.about.object = _account(what, index, seen)
        kl = [f": KL {value:.2f}" if what.module.vae.sampler.has_elbo else "" for value in seen.kl.tolist()]
        titles = {latent: f"z{latent}{kl[latent]}" for latent in what.most_informative(PANELS)}
        self.densities.object = pictures.densities(self._posteriors(index), what.prior, seen.code, titles)

    def _posteriors(self, index: int) -> dict[str, Distribution]:
        """Those of the example, as it is fed and without noise; points have no density."""
        if not self.what.module.vae.sampler.has_elbo:
            return {}
        clean = {} if self.noise.value == "none" else {"without noise": look(self.what, index, "none", 0).q}
        return {"posterior q(z|x)": self.seen.q, **clean}

    def layout(self) -> pn.Column:
        """The first tab."""
        controls = pn.Row(self.of_class, self.number, self.noise, self.seed, self.taken)
        is_stacked = self.what.module.noise.mode == "stacked"
        captions = {"points": "", "input": "noise beside it, a channel" if is_stacked else "input"}
        pictures = [pn.Column(_text("caption", captions.get(n, n)), shown) for n, shown in self.pictures.items()]
        return pn.Column(controls, pn.Row(*pictures, self.about), self.densities, width=960)


class TraversalPane:
    """Each of the most informative latents moved alone through the prior's quantiles, from the point."""

    title = "Traversals"

    def __init__(self, what: Explored, point: Point) -> None:
        self.what, self.point = what, point
        self.picture = pn.pane.Matplotlib(tight=False, dpi=100, css_classes=["traversals"])

    def show(self) -> None:
        """Draw the traversals from the point as it is now."""
        what, latents, stops = self.what, self.what.most_informative(ROWS), torch.tensor(STOPS)
        rows = traversals(what, self.point.z, latents, stops, self.point.label)
        names = [f"z{latent}" for latent in latents]
        values = latents_at(what.prior, stops).tolist()
        columns = [f"p = {p:g}\n{value:.3g}" for p, value in zip(STOPS, values, strict=True)]
        if what.are_images:
            self.picture.object = pictures.rows_of_images(rows, what.limits, names, columns)
        else:
            self.picture.object = pictures.points(what.examples.x[:CLOUD], dict(zip(names, rows, strict=True)))

    def layout(self) -> pn.Column:
        """The second tab."""
        note = _text("note", "From the sliders' point, one latent a row goes through the prior's quantiles.")
        return pn.Column(note, self.picture, width=960)


class PlanePane:
    """Two latents over their prior's probability, all others as the point has them; a click moves the point."""

    title = "Plane"

    def __init__(self, what: Explored, point: Point) -> None:
        self.what, self.point = what, point
        names = {f"z{latent}": latent for latent in range(what.module.vae.latent_dim)}
        first, second = (what.most_informative(2) * 2)[:2]
        self.across = pn.widgets.Select(label="across", options=names, value=first, width=90)
        self.up = pn.widgets.Select(label="up", options=names, value=second, width=90)
        for widget in (self.across, self.up):
            widget.param.watch(lambda _: self.show(), "value")
        self.chart = bokeh_figure(width=680, height=680, toolbar_location=None, tools="")
        self.chart.x_range, self.chart.y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
        self.chart.on_event(Tap, lambda event: self.go(event.x, event.y))
        self.images, self.place = ColumnDataSource({"image": []}), ColumnDataSource({"x": [], "y": []})
        self.chart.image_rgba("image", x=0, y=0, dw=1, dh=1, source=self.images)
        self.chart.scatter(source=self.place, size=14, fill_color="#E69F00", line_color="white", line_width=2)
        self.net = pn.pane.Matplotlib(tight=False, dpi=100, width=560)
        point.param.watch(lambda _: self._mark(), "z")

    def go(self, across: float, up: float) -> None:
        """Move the point to a place of the plane, as probabilities."""
        positions = torch.tensor([across, up]).clamp(LEAST, MOST)
        values = latents_at(self.what.prior, positions)
        self.point.jump(self.point.moved({self.across.value: values[0], self.up.value: values[1]}))

    def show(self) -> None:
        """Draw the plane through the point as it is now."""
        what, across, up = self.what, self.across.value, self.up.value
        grid = plane(what, self.point.z, across, up, CELLS, self.point.label)
        self.chart.xaxis.axis_label = f"prior probability of z{across}"
        self.chart.yaxis.axis_label = f"prior probability of z{up}"
        if what.are_images:
            self.images.data = {"image": [pictures.rgba(pictures.mosaic(grid.flip(0), what.limits))]}
        else:
            here = decoded(what, self.point.z, self.point.label).unsqueeze(0)
            self.net.object = pictures.points(what.examples.x[:CLOUD], {"decoded": here}, grid)
        self._mark()

    def _mark(self) -> None:
        positions = positions_of(self.what.prior, self.point.z)[[self.across.value, self.up.value]].tolist()
        self.place.data = {"x": positions[:1], "y": positions[1:]}

    def layout(self) -> pn.Column:
        """The third tab."""
        note = _text("note", "The others stay as the sliders have them." + CLICK * self.what.are_images, align="end")
        chart: list[Any] = [pn.pane.Bokeh(self.chart)] if self.what.are_images else [self.net]
        return pn.Column(pn.Row(self.across, self.up, note), *chart, width=960)


def _picture(what: Explored, name: str, width: int) -> pn.pane.PNG | pn.pane.Matplotlib:
    """An empty picture of an example: of an image, or of points."""
    if not what.are_images:
        return pn.pane.Matplotlib(tight=False, dpi=100, css_classes=[name])
    height = width * what.module.vae.x_shape[1] // what.module.vae.x_shape[2]
    return pn.pane.PNG(width=width, height=height, stylesheets=[PIXELS], css_classes=[name])


def _shown(what: Explored, x: Tensor, name: str) -> Any:
    if what.are_images:
        return _png(pictures.pixels(x, what.limits))
    return pictures.points(what.examples.x[:CLOUD], {name: x.unsqueeze(0)}, side=SMALL)


def _png(pixels: pictures.Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def heading(title: str) -> pn.pane.HTML:
    """The line above everything."""
    return _text("heading", f"<b style='font-size: 17px'>{escape(title)}</b>")


def _text(name: str, text: str = "", **options: Any) -> pn.pane.HTML:
    return pn.pane.HTML(text, stylesheets=[TEXT], css_classes=[name], **options)


def _verdict(what: Explored, z: Tensor) -> str:
    """What a head makes of a point, in words."""
    probabilities = class_probabilities(what, z)
    if probabilities is None:
        return ""
    most = probabilities.topk(min(LIKELIEST, len(probabilities)))
    pairs = zip(most.indices.tolist(), most.values.tolist(), strict=True)
    (first, share), *others = pairs
    rest = ", ".join(f"{label} ({value:.1%})" for label, value in others)
    return f"predicted class <b>{first}</b> ({share:.1%}), then {escape(rest)}"


def _account(what: Explored, index: int, seen: Look) -> str:
    """What is to say of an example, in words."""
    lines = [f"test example {index}" + (f", class <b>{seen.label}</b>" if what.classes > 1 else "")]
    if what.module.vae.sampler.has_elbo:
        lines.append(f"KL(q‖p) {seen.kl.sum().item():.1f} nats in all")
    return "".join(f"<p>{line}</p>" for line in [*lines, _verdict(what, seen.code)] if line)
