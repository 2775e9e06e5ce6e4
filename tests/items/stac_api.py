"""A small STAC API on loopback that answers as it is told, also as no API should.

The real one is in `tests/servers/pgstac.py`; it never misbehaves.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

CORE = "https://api.stacspec.org/v1.0.0/core"
SEARCH = "https://api.stacspec.org/v1.0.0/item-search"


def bare_record(number: int) -> dict[str, Any]:
    """Return a small item, `scene-{number}`, without assets."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{number}",
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:04:56Z"},
        "links": [],
        "assets": {},
    }


@dataclass(frozen=True)
class Trouble:
    """What one search is answered with instead of items."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    hang_up_after: int | None = None
    drip_s: float = 0.0


class StacApi:
    """A server of items in pages; `troubles` are given out first, one for each search."""

    def __init__(self, records: list[dict[str, Any]], *, page_size: int = 2) -> None:
        self.records = records
        self.page_size = page_size
        self.troubles: deque[Trouble] = deque()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.next_url: str | None = None
        self.repeats = False
        self.collections: list[str] | None = None  # searches find items of these only
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if urlsplit(self.path).path == "/search":
                    api.answer(self, dict(parse_qsl(urlsplit(self.path).query)))
                elif urlsplit(self.path).path == "/collections":
                    listed = [{"id": name} for name in api.collections or ()]
                    api.send(self, {"collections": listed, "links": []})
                else:
                    api.send(self, api.landing_page())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                api.answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # it looks so often for the end: by default each half second, and `shutdown` waits for it
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def landing_page(self) -> dict[str, Any]:
        search = {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json"}
        return {
            "type": "Catalog",
            "id": "api",
            "description": "",
            "stac_version": "1.0.0",
            "conformsTo": [CORE, SEARCH, f"{SEARCH}#query", f"{SEARCH}#sort"],
            "links": [{**search, "method": method} for method in ("GET", "POST")]
            + [{"rel": "self", "href": self.url}],
        }

    def answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.bodies.append(body)
        self.headers.append(dict(handler.headers))
        if self.troubles:
            self.send_trouble(handler, self.troubles.popleft())
            return
        start = 0 if self.repeats else int(body.get("token", 0))
        records = self.records
        if self.collections is not None and body.get("collections"):
            records = [each for each in records if each.get("collection") in body["collections"]]
        page = records[start : start + self.page_size]
        links = []
        if start + self.page_size < len(records):
            following = {"token": start + self.page_size}
            url = f"{self.next_url or self.url}/search"
            links.append(
                {"rel": "next", "href": url, "method": "POST", "body": following, "merge": True}
            )
        self.send(handler, {"type": "FeatureCollection", "features": page, "links": links})

    def send(self, handler: BaseHTTPRequestHandler, content: dict[str, Any]) -> None:
        self.send_trouble(handler, Trouble(body=json.dumps(content).encode()))

    def send_trouble(self, handler: BaseHTTPRequestHandler, trouble: Trouble) -> None:
        handler.send_response(trouble.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(trouble.body)))
        for name, value in trouble.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            if trouble.drip_s:
                for byte in trouble.body:
                    handler.wfile.write(bytes([byte]))
                    handler.wfile.flush()
                    time.sleep(trouble.drip_s)
            else:
                handler.wfile.write(trouble.body[: trouble.hang_up_after])
        except OSError:
            pass  # the client has had enough, as it should
        if trouble.hang_up_after is not None:
            handler.close_connection = True
