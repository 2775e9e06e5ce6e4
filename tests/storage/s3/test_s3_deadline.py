from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import LimitExceeded, StorageError, StorageTimeout
from stacchip.storage import Limits, StorageOptions
from stacchip.storage.s3.orphaned_uploads import abort_orphans

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.range_server import Answer, RangeServer, Request

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


def _list_uploads(*keys: str) -> Callable[[Request], Answer]:
    numbers = itertools.count()

    def page(_: Request) -> Answer:
        uploads = "".join(
            f"<Upload><Key>{key}</Key><UploadId>1</UploadId></Upload>" for key in keys
        )
        more = f"<NextKeyMarker>{next(numbers)}</NextKeyMarker><IsTruncated>true</IsTruncated>"
        result = f"<ListMultipartUploadsResult>{uploads}{more}</ListMultipartUploadsResult>"
        return 200, {}, result.encode()

    return page


def test_a_list_of_uploads_that_never_ends_is_an_error_and_only_the_folder_is_touched(
    server: RangeServer,
) -> None:
    options = StorageOptions(
        endpoint=server.url(), access_key_id="a", secret_access_key="b", region="a",
        deadline_s=1.0, limits=Limits(listed=50),
    )  # fmt: skip
    server.route("/empty", _list_uploads())
    with pytest.raises(StorageTimeout):
        abort_orphans("s3://empty/folder", options)
    others = ("other/x", "folder2/x", "../x", "folder", "/folder/x", "Folder/x", "s3://b/folder/x")
    server.route("/others", _list_uploads(*others))
    with pytest.raises(LimitExceeded, match="unfinished uploads"):
        abort_orphans("s3://others/folder", options)
    server.route("/nameless", lambda _: (200, {}, b"<L><Upload><Key>folder/a</Key></Upload></L>"))
    with pytest.raises(StorageError, match="without its key or its id"):
        abort_orphans("s3://nameless/folder", options)
    assert {request.method for request in server.log} == {"GET"}
