"""The point of the latent space that the page shows, its sliders and its picture."""

from __future__ import annotations

import panel as pn
import param
import torch
from torch import Tensor

from vae_hydra.drawing.page.elements import empty_picture, picture, prediction, text
from vae_hydra.drawing.page.looks import WIDGET
from vae_hydra.drawing.page.points import medians
from vae_hydra.drawing.page.sliders import LEAST, MOST, is_beyond, latents_at, positions_of
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.runs.trained import TrainedModel

# Sliders at most: of the latents with the most KL.
SLIDERS = 20


class Point(param.Parameterized):
    """A point of the latent space, and the class given to the decoder.

    Attributes:
        z: the point [L], unrounded, so that a code is decoded exactly.
        settled: the point when a slider was last released, for pictures that take long.
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
    """Sliders of the latents with the most KL, and the decoded point."""

    def __init__(self, model: TrainedModel, point: Point) -> None:
        self.model, self.point = model, point
        self.sliders = {latent: self._slider(latent) for latent in model.order[:SLIDERS]}
        classes = list(range(model.data.classes))
        self.label = pn.widgets.Select(
            label="class given to the decoder", options=classes, width=180, stylesheets=[WIDGET]
        )
        self.label.link(point, value="label", bidirectional=True)
        self.medians = pn.widgets.Button(label="Prior medians", width=130, css_classes=["medians"])
        self.medians.on_click(lambda _: point.jump(medians(model)))
        self.draw = pn.widgets.Button(label="Draw from the prior", width=130)
        self.draw.on_click(lambda _: point.jump(model.module.vae.prior_sample(1)[0].cpu()))
        self.picture = empty_picture(model, "decoded", 180)
        self.prediction = text("prediction")
        self._follows = False
        self._moved: int | None = None
        point.param.watch(lambda *_: self.show(), ["z", "label"])
        self.show()

    def _slider(self, latent: int) -> pn.widgets.FloatSlider:
        style = {"format": "0.000", "margin": (2, 10), "css_classes": [f"latent{latent}"], "stylesheets": [WIDGET]}
        slider = pn.widgets.FloatSlider(start=LEAST, end=MOST, step=0.001, sizing_mode="stretch_width", **style)
        slider.param.watch(lambda event: self._move(latent, event.new), "value")
        slider.param.watch(lambda _: self.point.param.update(settled=self.point.z), "value_throttled")
        return slider

    def _move(self, latent: int, position: float) -> None:
        # A slider that follows the point would round it.
        if not self._follows:
            values = latents_at(self.model.prior, torch.tensor(position))
            self._moved = latent
            self.point.z = self.point.moved({latent: values[latent]})
            self._moved = None

    def show(self) -> None:
        """Show the point as it is now."""
        model, z = self.model, self.point.z
        self.picture.object = picture(model, model.decode(z, self.point.label), "decoded")
        self.prediction.object = prediction(model, z)
        if self._moved is None:
            self._follow()
        else:
            # The others are where they were: their positions need not be found again, which takes long.
            self.sliders[self._moved].label = _label(self._moved, z, False)

    def _follow(self) -> None:
        """Move all sliders to the point."""
        model, z = self.model, self.point.z
        positions, beyond = positions_of(model.prior, z).tolist(), is_beyond(model.prior, z).tolist()
        self._follows = True
        for latent, slider in self.sliders.items():
            slider.param.update(label=_label(latent, z, beyond[latent]), value=round(positions[latent], 3))
        self._follows = False

    def layout(self) -> pn.Column:
        """The picture of the point, over its sliders."""
        label = [self.label] if self.model.module.vae.decodes_by_class else []
        hidden = self.model.latent_dim - len(self.sliders)
        note = [text("hidden", f"The {hidden} latents of least KL have no slider.")] if hidden else []
        sliders = pn.Column(*self.sliders.values(), *note, scroll="y-auto", max_height=420, sizing_mode="stretch_width")
        predicted = [self.prediction] if self.model.module.vae.classifier is not None else []
        caption = text("caption", "<b>decoded</b>: the mean of p(x|z) at the point z of the sliders")
        meaning = text("note", "<span class='quiet'>p is the share of the prior below z.</span>")
        buttons = pn.FlexBox(self.medians, self.draw)
        parts = [*label, caption, self.picture, *predicted, buttons, meaning, sliders]
        return pn.Column(*parts, styles={"flex": "1 1 260px", "min-width": "0", "max-width": "420px"})


def _label(latent: int, z: Tensor, is_beyond_its_slider: bool) -> str:
    place = "beyond p" if is_beyond_its_slider else "at p"
    return f"{latent_name(latent)} = {z[latent].item():.3g} {place}"
