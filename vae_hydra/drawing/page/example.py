"""A test example under a noise: input, reconstruction and posterior."""

from __future__ import annotations

from collections.abc import Mapping

import panel as pn
from torch.distributions import Distribution

from vae_hydra.distributions import marginals
from vae_hydra.drawing.page import markup, pictures
from vae_hydra.drawing.page.elements import SMALL, cloud, empty_picture, prediction, text
from vae_hydra.drawing.page.looks import WIDGET
from vae_hydra.drawing.page.point import Point
from vae_hydra.drawing.page.points import indices_of
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.runs.trained import RoundTrip, TrainedModel

# Panels of densities at most: of the latents with the most KL.
PANELS = 10
# Examples of every class.
ANY = "any"


class ExamplePane:
    """A test example under a noise: input, reconstruction and posterior."""

    title = "Example"

    def __init__(self, model: TrainedModel, point: Point, noises: Mapping[str, str] | None = None) -> None:
        self.model, self.point = model, point
        self.label = pn.widgets.Select(
            label="class", options=[ANY, *range(model.data.classes)], width=80, stylesheets=[WIDGET]
        )
        self.number = pn.widgets.IntInput(
            label="number", value=0, start=0, width=90, css_classes=["number"], stylesheets=[WIDGET]
        )
        options = dict(noises or noise_titles(model))
        self.noise = pn.widgets.Select(
            label="noise of the input", options=options, width=190, css_classes=["noise"], stylesheets=[WIDGET]
        )
        self.seed = pn.widgets.IntInput(
            label="seed of the noise", value=0, start=0, end=2**31 - 1, width=110, stylesheets=[WIDGET]
        )
        self.taken = pn.widgets.Button(label="Take its code into the sliders", color="primary", css_classes=["take"])
        self.taken.on_click(lambda _: self.take())
        names = ("original", "input", "reconstruction") if model.are_images else ("points",)
        self.pictures = {name: empty_picture(model, name, 150) for name in names}
        self.captions = {name: text(f"{name}-caption", width=150) for name in names}
        self.about, self.densities = text("about"), text("densities", sizing_mode="stretch_width")
        self.label.param.watch(lambda _: self._restart(), "value")
        for widget in (self.number, self.noise, self.seed):
            widget.param.watch(lambda _: self.show(), "value")
        self._restart()

    def _restart(self) -> None:
        """Begin with the first example of the chosen class."""
        label = self.label.value
        self.indices = indices_of(self.model.test_examples, None if label == ANY else label).tolist()
        self.number.end = len(self.indices) - 1
        if self.number.value:
            self.number.value = 0
        else:
            self.show()

    def take(self) -> None:
        """Move the point to the code of the example."""
        self.point.label = self.trip.label
        self.point.jump(self.trip.code)

    def show(self) -> None:
        """Send the chosen example through the model and show it."""
        model, index = self.model, self.indices[self.number.value or 0]
        self.trip = model.round_trip(index, self.noise.value, self.seed.value or 0)
        self._show_pictures(self.trip)
        self.about.object = _summary(model, index, self.trip)
        latents, posteriors = model.order[:PANELS], self._posteriors(index)
        curves = pictures.densities(list(posteriors.values()), model.prior, self.trip.code, latents)
        kl = [f": KL {value:.2f}" for value in self.trip.kl.tolist()] if model.has_kl_per_latent else None
        named = {latent_name(latent) + (kl[latent] if kl else ""): curves[latent] for latent in latents}
        self.densities.object = markup.densities(named, list(posteriors))

    def _show_pictures(self, trip: RoundTrip) -> None:
        named = {"original": trip.original, "input": trip.fed, "reconstruction": trip.reconstruction}
        for name, words in self._captions().items():
            self.captions[name].object = words
        if not self.model.are_images:
            series = {name: x.unsqueeze(0) for name, x in named.items()}
            self.pictures["points"].object = pictures.drawing(pictures.points(cloud(self.model), series, side=SMALL))
            return
        # Noise leaves the range of the data: a noisy input has its own extremes.
        is_noisy = self.noise.value != "none"
        for name, x in named.items():
            limits = None if name == "input" and is_noisy else self.model.limits
            self.pictures[name].object = pictures.png(pictures.pixels(x, limits))

    def _captions(self) -> dict[str, str]:
        """What each picture is."""
        noise = self.noise.value
        is_stacked = self.model.module.noise.mode == "stacked"
        fed = "no noise" if noise == "none" else f"{noise} noise"
        shown = f"a channel of {fed}" if is_stacked else f"with {fed}"
        if not self.model.are_images:
            return {"points": f"the example, what the encoder is given ({shown}), and the mean of p(x|z) at its code"}
        return {
            "original": "<b>original</b>: the test example",
            "input": f"<b>input</b> of the encoder, {shown}",
            "reconstruction": "<b>reconstruction</b>: the mean of p(x|z) at the code of the input",
        }

    def _posteriors(self, index: int) -> dict[str, Distribution]:
        """Posteriors of the example, as it is fed and without noise; without a KL they are points without a density."""
        if not self.model.has_kl:
            return {}
        clean = {} if self.noise.value == "none" else {"without noise": marginals(self.model.round_trip(index).q)}
        return {"posterior q(z|x)": marginals(self.trip.q), **clean}

    def controls(self) -> pn.FlexBox:
        """What chooses the example; two runs side by side have one such row."""
        return pn.FlexBox(self.label, self.number, self.noise, self.seed, self.taken, align_items="end")

    def layout(self) -> pn.Column:
        """The first tab."""
        columns = [pn.Column(pane, self.captions[name]) for name, pane in self.pictures.items()]
        shown = pn.FlexBox(*columns) if self.model.are_images else columns[0]
        note = "The posterior q(z|x) of each latent over the prior, each scaled to one height; the most KL first."
        return pn.Column(self.about, shown, text("note", note), self.densities, sizing_mode="stretch_width")


def noise_titles(model: TrainedModel) -> dict[str, str]:
    """Title of each noise in a list → its name."""
    trained = model.module.noise.name
    return {f"{name} (as in training)" if name == trained else name: name for name in model.noises}


def _summary(model: TrainedModel, index: int, trip: RoundTrip) -> str:
    """Number, class, KL and predicted class of an example, as HTML."""
    lines = [f"test example {index}" + (f", class <b>{trip.label}</b>" if model.data.classes > 1 else "")]
    if model.has_kl:
        lines.append(f"KL(q‖p) {trip.kl.sum().item():.1f} nats in all")
    return "".join(f"<p>{line}</p>" for line in [*lines, prediction(model, trip.code)] if line)
