"""The page, and the server that shows it in a browser on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from typing import Any

import panel as pn
import torch
from bokeh.server.auth_provider import AuthProvider
from tornado.web import HTTPError, RequestHandler

from vae_hydra.drawing.page.catalogue import Catalogue
from vae_hydra.drawing.page.elements import text
from vae_hydra.drawing.page.example import ExamplePane
from vae_hydra.drawing.page.latents import PlanePane, TraversalPane
from vae_hydra.drawing.page.looks import TEMPLATE, WIDGET
from vae_hydra.drawing.page.point import Point, PointPane
from vae_hydra.drawing.page.points import medians
from vae_hydra.runs.trained import TrainedModel

# Addresses that listen on all networks of this machine.
EVERYWHERE = ("0.0.0.0",)


class OwnHosts(AuthProvider):
    """Answer 403 to requests for a host name that is not the page's own.

    A site can let its name point to this machine (DNS rebinding): a browser would then treat this page as the site's.

    Args:
        names: names allowed in the Host header of a request, with any port; None for any name.
    """

    def __init__(self, names: Collection[str] | None) -> None:
        self.names = names
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        # Bokeh declares a request here, but passes the handler of one.
        return self._check

    @property
    def login_url(self) -> str:
        # Bokeh requires one; visitors never log in.
        return "/"

    def _check(self, handler: RequestHandler) -> str:
        if self.names is not None and handler.request.host_name not in self.names:
            raise HTTPError(403)
        return "visitor"


class RunView:
    """One run on the page: its point and sliders, an example, traversals and a plane.

    Args:
        name: of the run.
        model: its model.
        noises: title → name of the noises to choose from; None for the run's own.
    """

    def __init__(self, name: str, model: TrainedModel, noises: Mapping[str, str] | None = None) -> None:
        z = medians(model)
        self.name, self.point = name, Point(z=z, settled=z)
        self.sliders, self.example = PointPane(model, self.point), ExamplePane(model, self.point, noises)
        self.around: list[TraversalPane | PlanePane] = [
            TraversalPane(model, self.point),
            PlanePane(model, self.point),
        ]
        others = [(pane.title, pane.layout()) for pane in self.around]
        style = {"flex": "2 1 300px", "min-width": "0"}
        self.tabs = pn.Tabs(
            (self.example.title, self.example.layout()), *others, dynamic=True, styles=style, stylesheets=[WIDGET]
        )
        self.tabs.param.watch(self.draw, "active")
        self.point.param.watch(self.draw, ["settled", "label"])
        self.example.take()

    def draw(self, *_: Any) -> None:
        """Draw the tab in front."""
        if self.tabs.active:
            self.around[self.tabs.active - 1].show()

    def layout(self) -> pn.Column:
        """Sliders beside the tabs, or over them where there is no room."""
        title = text("run", f"<h2>{escape(self.name)}</h2>")
        parts = pn.FlexBox(self.sliders.layout(), self.tabs, sizing_mode="stretch_width", align_items="flex-start")
        return pn.Column(title, parts, styles={"flex": "1 1 320px", "min-width": "0"})


def page(catalogue: Catalogue, names: Sequence[str]) -> pn.Column:
    """The page of one visitor: a table of the runs, if there are several, and those named."""
    table = [text("runs", _folded(catalogue, names), sizing_mode="stretch_width")] if catalogue.runs else []
    try:
        views = _views({name: catalogue.model(name) for name in names})
    except ValueError as error:
        return pn.Column(*table, text("error", f"<p>{escape(str(error))}</p>"), sizing_mode="stretch_width")
    controls = [views[0].example.controls()] if views else []
    shown = pn.FlexBox(*(view.layout() for view in views), sizing_mode="stretch_width", align_items="flex-start")
    return pn.Column(*table, *controls, shown, sizing_mode="stretch_width", margin=(8, 12))


def _folded(catalogue: Catalogue, names: Sequence[str]) -> str:
    """The table of the runs, which is folded up once one is shown."""
    count = len(catalogue.runs)
    hint = "open another, or one beside it" if names else "open one to play with it"
    title = f"{count} runs: {hint}; scores are on clean test examples"
    return f"<details{'' if names else ' open'}><summary>{title}</summary>{catalogue.table(names)}</details>"


def _views(models: Mapping[str, TrainedModel]) -> list[RunView]:
    """A view of each run; of two runs, both show the example and the tab that the first one has."""
    if len(models) < 2:
        return [RunView(name, model) for name, model in models.items()]
    (one, first), (other, second) = models.items()
    check_alike(one, first, other, second)
    shared = {name: name for name in first.noises if name in second.noises}
    views = [RunView(name, model, shared) for name, model in models.items()]
    left, right = views
    for widget in ("label", "number", "noise", "seed"):
        getattr(left.example, widget).link(getattr(right.example, widget), value="value")
    left.example.taken.on_click(lambda _: right.example.take())
    left.tabs.link(right.tabs, active="active", bidirectional=True)
    return views


def check_alike(one: str, first: TrainedModel, other: str, second: TrainedModel) -> None:
    """Raise ValueError unless two runs have the same test examples."""
    examples = first.test_examples, second.test_examples
    if examples[0].x.shape != examples[1].x.shape or not torch.equal(examples[0].x, examples[1].x):
        raise ValueError(
            f"{one} and {other} have other test examples, so that none can be shown in both; choose two runs of one "
            "dataset with the same dataset options"
        )


def serve(catalogue: Catalogue, title: str, host: str, port: int, open_browser: bool, **options: Any) -> Any:
    """Serve the page until the process ends.

    Args:
        catalogue: the runs to explore.
        title: of the page, the name of the run or of their folder.
        host, port: address of the page; other machines can connect if ``host`` is an address that they can reach.
        open_browser: whether to open the page in a browser at once.
        options: of ``panel.serve``.
    """
    for name in ("bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def visit() -> pn.Template:
        template = pn.Template(TEMPLATE)
        template.add_panel("page", page(catalogue, catalogue.named(pn.state.session_args)))
        return template

    names = None if host in EVERYWHERE else (host, "localhost", "127.0.0.1")
    return pn.serve(
        {"/": visit},
        title=f"vae_hydra: {title}",
        address=host,
        port=port,
        show=open_browser,
        websocket_origin="*" if names is None else [f"{name}:{port}" for name in names],
        auth_provider=OwnHosts(names),
        verbose=False,
        **options,
    )
