"""The dashboard of W&B, and its way to a server, imitated on loopback; test_loggers.py checks its names."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("wandb_workspaces", reason="needs the extra dashboard")

from tests.support.composing import composed
from vae_hydra.drawing.panels import PANELS
from vae_hydra.studies import dashboard
from vae_hydra.studies.dashboard import specification, workspace

OPTIONS = {"entity": "team", "project": "p", "group": None, "by": "sampler.name", "name": None, "output": None}


def panels(**options):
    spec = specification(workspace({**OPTIONS, **options}))
    return [panel for section in spec["section"]["panelBankConfig"]["sections"] for panel in section["panels"]]


def test_figures_are_panels():
    pictures = {name for panel in panels() for name in panel["config"].get("mediaKeys", [])}
    assert pictures
    assert pictures <= {f"figures/{name}" for name in PANELS}


def test_protocols_are_those_of_the_default_noises():
    assert {f"denoise/{name}" for name in composed()["test_noises"]} == set(dashboard.NOISY)


def test_grouped_by_any_option_and_filtered_by_sweep():
    curves = [panel["config"] for panel in panels(by="noise.name") if panel["viewType"] == "Run History Line Plot"]
    assert {(curve["groupBy"], curve["groupArea"], curve["xAxis"]) for curve in curves} == {
        ("noise.value.name", "stddev", dashboard.AXIS)
    }
    [runs] = specification(workspace({**OPTIONS, "group": "coffee"}))["section"]["runSets"]
    kept = {(one["key"]["name"], one["op"], one["value"]) for one in runs["filters"]["filters"]}
    assert kept == {("jobType", "!=", "table"), ("group", "=", "coffee")}
    assert {"config:seed.value", "config:sampler.value.name"} <= set(runs["runFeed"]["columnPinned"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"entity": None}, "give entity=NAME and project=NAME"),
        ({"by": "sampler name"}, "by must be an option of the runs such as sampler.name, but got 'sampler name'"),
    ],
)
def test_refused(options, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        workspace({**OPTIONS, **options})


def test_a_file_instead_of_a_server_is_not_overwritten(tmp_path):
    options = {**OPTIONS, "output": str(tmp_path / "view.json")}
    dashboard.dashboard(options)
    assert json.loads((tmp_path / "view.json").read_text(encoding="utf-8"))["section"]["panelBankConfig"]
    with pytest.raises(ValueError, match="exists already"):
        dashboard.dashboard(options)


class Answering(BaseHTTPRequestHandler):
    """W&B's GraphQL as far as a view needs it."""

    received: list[dict]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = json.loads(body) if body.startswith(b"{") else {}
        self.received.append(query)
        viewer = {"id": "1", "entity": "team", "username": "user", "flags": "{}", "teams": {"edges": []}}
        saved = {"upsertView": {"view": {"id": "1", "name": "nw-view-v"}, "inserted": True}}
        answer = json.dumps({"data": saved if "upsertView" in query.get("query", "") else {"viewer": viewer}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def test_saved_on_a_server(monkeypatch, capsys):
    handler = type("Handler", (Answering,), {"received": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        line = dashboard.dashboard({**OPTIONS, "name": "mine"})
        server.shutdown()
    assert line == f"view     http://127.0.0.1:{server.server_port}/team/p?nw=view"
    [sent] = [one["variables"] for one in handler.received if "upsertView" in one.get("query", "")]
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("team", "p", "mine")
    assert json.loads(sent["spec"])["section"]["panelBankConfig"]["sections"]
