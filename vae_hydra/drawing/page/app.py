"""The page, and the server that shows it in a browser on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import panel as pn
from bokeh.server.auth_provider import AuthProvider
from tornado.web import HTTPError, RequestHandler

from vae_hydra.drawing.page.elements import heading
from vae_hydra.drawing.page.example import ExamplePane
from vae_hydra.drawing.page.latents import PlanePane, TraversalPane
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


def page(model: TrainedModel, title: str) -> pn.Column:
    """The page of one visitor."""
    z = medians(model)
    point = Point(z=z, settled=z)
    left, example = PointPane(model, point), ExamplePane(model, point)
    around_point: list[TraversalPane | PlanePane] = [TraversalPane(model, point), PlanePane(model, point)]
    others = [(pane.title, pane.layout()) for pane in around_point]
    tabs = pn.Tabs((example.title, example.layout()), *others, dynamic=True)

    def draw(*_: Any) -> None:
        if tabs.active:
            around_point[tabs.active - 1].show()

    tabs.param.watch(draw, "active")
    point.param.watch(draw, ["settled", "label"])
    example.take()
    return pn.Column(heading(title), pn.Row(left.layout(), tabs))


def serve(model: TrainedModel, title: str, host: str, port: int, open_browser: bool, **options: Any) -> Any:
    """Serve the page until the process ends.

    Args:
        model: the model to explore.
        title: of the page, the name of the run.
        host, port: address of the page; other machines can connect if ``host`` is an address that they can reach.
        open_browser: whether to open the page in a browser at once.
        options: of ``panel.serve``.
    """
    for name in ("bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)
    names = None if host in EVERYWHERE else (host, "localhost", "127.0.0.1")
    return pn.serve(
        {"/": lambda: page(model, title)},
        title=f"vae_hydra: {title}",
        address=host,
        port=port,
        show=open_browser,
        websocket_origin="*" if names is None else [f"{name}:{port}" for name in names],
        auth_provider=OwnHosts(names),
        verbose=False,
        **options,
    )
