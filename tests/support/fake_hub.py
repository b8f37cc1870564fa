"""As much of the Hugging Face Hub's interface as an upload and a download of small files need, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any

COMMIT = "a" * 40


class _Handler(BaseHTTPRequestHandler):
    """Repositories by name, each with its files by name."""

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = PurePosixPath(self.path).parts[1:]
        if self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != "Bearer of-the-test":
            self._json({"error": "who are you?"}, 401)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.repositories.setdefault(name, {})
            self._json({"url": f"{self._address}/{name}", "name": name})
        elif parts[4] == "preupload":
            named = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in named]})
        else:
            for entry in map(json.loads, body.splitlines()):
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.repositories["/".join(parts[2:4])][entry["value"]["path"]] = content
            address = f"{self._address}/{'/'.join(parts[2:4])}/commit/{COMMIT}"
            self._json({"success": True, "commitUrl": address, "commitOid": COMMIT, "hookOutput": ""})

    def do_GET(self) -> None:
        parts = PurePosixPath(self.path.partition("?")[0]).parts[1:]
        is_file = parts[0] != "api"
        files = self.repositories.get("/".join(parts[:2] if is_file else parts[2:4]))
        if files is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif is_file:
            content = files["/".join(parts[4:])]
            self._answer(content, 200, {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": COMMIT})
        elif parts[4] == "revision":
            self._json({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        else:
            sizes = {name: (len(content), _digest(content)) for name, content in files.items()}
            self._json([{"type": "file", "path": name, "size": n, "oid": oid} for name, (n, oid) in sizes.items()])

    do_HEAD = do_GET

    @property
    def _address(self) -> str:
        return f"http://{self.headers['Host']}"

    def _json(self, content: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self._answer(json.dumps(content).encode(), code, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, content: bytes, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def fake_hub() -> Iterator[tuple[str, dict[str, dict[str, bytes]]]]:
    """The address of a server, and its repositories: name → file → content."""
    handler = type("Handler", (_Handler,), {"repositories": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.repositories
    finally:
        server.shutdown()
        server.server_close()
