"""An S3 service on loopback that answers as it is told, also as the real one would not."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from stacchip.storage import Storage, StorageOptions


class SmallStore:
    """An S3 service on loopback that answers every request with one status."""

    def __init__(self) -> None:
        self.put_status, self.code, self.delete_status = 200, "", 204
        self.pause_s = 0.0  # before each answer
        self.requests: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                store.requests.append(f"{self.command} {self.path}")
                time.sleep(store.pause_s)
                is_put = self.command == "PUT"
                status = store.put_status if is_put else store.delete_status
                body = b"" if status < 300 else f"<Error><Code>{store.code}</Code></Error>".encode()
                self.send_response(status)
                self.send_header("ETag", '"a"')
                self.send_header("Content-Length", str(0 if status == 204 else len(body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(body)

            do_PUT = do_DELETE = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def storage(self) -> Storage:
        return Storage(
            options=StorageOptions(
                endpoint=self.url,
                access_key_id="a",
                secret_access_key="b",
                region="us-east-1",
                deadline_s=2,
            )
        )
