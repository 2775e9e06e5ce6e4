from __future__ import annotations

import socket
import threading
import time

import pytest

from stacchip.errors import StorageTimeout
from stacchip.storage import StorageOptions
from stacchip.storage.s3.orphaned_uploads import abort_orphans

pytest.importorskip("boto3")


def test_a_store_that_answers_byte_by_byte_does_not_outlast_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<")
                while not ended.wait(0.1):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        options = StorageOptions(
            endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}",
            access_key_id="a",
            secret_access_key="b",
            region="a",
            deadline_s=1.5,
        )
        start_s = time.monotonic()
        with pytest.raises(StorageTimeout, match=r"within 1\.5 s"):
            abort_orphans("s3://bucket/folder", options)
        assert time.monotonic() - start_s < 10
        ended.set()
        thread.join()
