"""Whatever is passed for an href, only errors of stacchip leave the verbs of `Storage`."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stacchip.errors import StacchipError
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED = "http://127.0.0.1:1"
STARTS = (
    "", f"{CLOSED}/", "http://", "https://", "s3://", "s3://bucket/", "gs://bucket/",
    "az://container/", "abfs://c@account.dfs.core.windows.net/", "file://", "file:///nowhere/",
    "/vsis3/", "/vsicurl/", "/vsizip/", "ftp://host/", "nowhere/",
)  # fmt: skip
REST = (
    "",
    "\udc80", "a\0b", "a\r\nHost: b", "a b", "\u00fc\U0001f600", "../a", "a//b", "a/../b", "a\\b",
    "x" * 100_000, "x" * 5_000,
    "[", "[::1%25eth0]/a", "a:99999/", "a:-1/", "%00", "%zz", "\x1b[31m",
    "?a=\udc80", "#", "@", ":@:", "\u2028",
)  # fmt: skip
OTHERS = (1, None, b"a.tif", 1.5, ["a"], object(), Path("x" * 300), Path("a\0b"))


def _read_opened(storage: Storage, href: Any) -> bytes:
    with storage.open(href) as file:
        return file.read(1)


# outside the folder of a test, nothing is written or deleted
ON_DISK = ("", "nowhere/", "file://", "file:///nowhere/", "/vsicurl/")
VERBS: dict[str, Callable[[Storage, Any], object]] = {
    "read": lambda s, href: s.read(href),
    "read_range": lambda s, href: s.read_range(href, 0, 10),
    "read_ranges": lambda s, href: s.read_ranges(href, [(0, 10), (10**6, 10)]),
    "stat": lambda s, href: s.stat(href),
    "exists": lambda s, href: s.exists(href),
    "open": _read_opened,
    "list": lambda s, href: list(itertools.islice(s.list(href), 3)),
    "copy from": lambda s, href: s.copy(href, "copy.bin"),
    "delete": lambda s, href: s.delete(href),
    "options_for": lambda s, href: s.options_for(href),
}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Storage whose stores are a closed port, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    return Storage(
        options=StorageOptions(
            endpoint=CLOSED, skip_signature=True, region="a", max_attempts=1, deadline_s=5
        )
    )


@pytest.mark.parametrize("verb", VERBS)
def test_only_our_errors_leave_a_verb(storage: Storage, verb: str) -> None:
    left_out = ON_DISK if verb == "delete" else ()
    hrefs = [start + rest for start in STARTS for rest in REST if start not in left_out]
    foreign = []
    for href in [*hrefs, *OTHERS]:
        try:
            VERBS[verb](storage, href)
        except StacchipError as error:
            str(error).encode("utf-8", "surrogateescape")
        except BaseException as error:  # noqa: BLE001 - a panic too
            foreign.append((href if len(str(href)) < 200 else str(href)[:50], repr(error)[:200]))
    assert not foreign


def test_only_our_errors_leave_writing(storage: Storage) -> None:
    foreign = []
    for href in [s + r for s in STARTS for r in REST if s not in ON_DISK] + [*OTHERS]:
        for write in (lambda h: storage.write(h, b"a"), lambda h: storage.copy("absent", h)):
            try:
                write(href)
            except StacchipError:
                pass
            except BaseException as error:  # noqa: BLE001 - as above
                foreign.append((str(href)[:50], repr(error)[:200]))
    for name in ("x" * 300, "x" * 5000, "a\0b", "\udc80/" + "y" * 300, "z/" * 3000 + "z"):
        try:
            storage.write(name, b"a")
        except StacchipError:
            pass
        except BaseException as error:  # noqa: BLE001 - a panic too
            foreign.append((name[:50], repr(error)[:200]))
    assert not foreign


def test_only_files_are_read(storage: Storage, tmp_path: Path) -> None:
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("tty").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("pipe", "loop", "tty", "socket", "/dev/null"):
            for verb in ("read", "read_range", "read_ranges", "stat", "open", "copy from"):
                with pytest.raises(StacchipError) as caught:
                    VERBS[verb](storage, name)
                assert name in str(caught.value), (verb, name)
    assert not Path("copy.bin").exists()
    assert sorted(entry.href for entry in storage.list(str(tmp_path)))  # no loop ends a listing


def test_a_file_that_says_more_of_itself_than_it_holds_is_not_read_whole(storage: Storage) -> None:
    with Path("sparse").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(StacchipError, match="'file_bytes' is 536870912"):
        storage.read("sparse")
    assert bytes(storage.read_range("sparse", (1 << 42) - 3, 1 << 50).data) == bytes(3)
    assert storage.read_ranges("sparse", [(1 << 60, 10), (0, 2)]) == [b"", bytes(2)]
    with storage.open("sparse") as file:
        assert file.read(2) == bytes(2)
