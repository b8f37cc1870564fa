"""The page put together, and the server that hands it to a browser of this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import panel as pn
from bokeh.server.auth_provider import AuthProvider
from tornado.web import HTTPError, RequestHandler

from vae_hydra.drawing.page.model import Explored, medians
from vae_hydra.drawing.page.panes import ExamplePane, PlanePane, Point, PointPane, TraversalPane, heading

# Addresses that every machine that reaches this one can connect to.
EVERYWHERE = ("0.0.0.0",)


class OwnHosts(AuthProvider):
    """Answer 403 to requests for another host than those that the page is served at.

    A site can let its name point to this machine (DNS rebinding): a browser would then show it this page as its own.

    Args:
        names: that a request's Host header may have, whatever its port; None for any.
    """

    def __init__(self, names: Collection[str] | None) -> None:
        self.names = names
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        # Bokeh declares a request here, and hands over the handler of one.
        return self._check

    @property
    def login_url(self) -> str:
        # Bokeh wants one, but no visitor is ever asked for a name.
        return "/"

    def _check(self, handler: RequestHandler) -> str:
        if self.names is not None and handler.request.host_name not in self.names:
            raise HTTPError(403)
        return "visitor"


def page(what: Explored, title: str) -> pn.Column:
    """The page of one visitor."""
    z = medians(what)
    point = Point(z=z, settled=z)
    left, example = PointPane(what, point), ExamplePane(what, point)
    of_the_point: list[TraversalPane | PlanePane] = [TraversalPane(what, point), PlanePane(what, point)]
    others = [(pane.title, pane.layout()) for pane in of_the_point]
    tabs = pn.Tabs((example.title, example.layout()), *others, dynamic=True)

    def draw(*_: Any) -> None:
        if tabs.active:
            of_the_point[tabs.active - 1].show()

    tabs.param.watch(draw, "active")
    point.param.watch(draw, ["settled", "label"])
    example.take()
    return pn.Column(heading(title), pn.Row(left.layout(), tabs))


def serve(what: Explored, title: str, host: str, port: int, open_browser: bool, **options: Any) -> Any:
    """Serve the page until the process is told to end.

    Args:
        host, port: where; other machines can connect only if ``host`` is an address of this one that they see.
        open_browser: whether to show it at once.
        options: of ``panel.serve``.
    """
    for name in ("bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)
    names = None if host in EVERYWHERE else (host, "localhost", "127.0.0.1")
    return pn.serve(
        {"/": lambda: page(what, title)},
        title=f"vae_hydra: {title}",
        address=host,
        port=port,
        show=open_browser,
        websocket_origin="*" if names is None else [f"{name}:{port}" for name in names],
        auth_provider=OwnHosts(names),
        verbose=False,
        **options,
    )
