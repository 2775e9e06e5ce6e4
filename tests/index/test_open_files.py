"""Any number of indexes is read and merged with a few files open at a time."""

from __future__ import annotations

import errno
import gc
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from failures import few_open_files
from index.tables import make_table
from stacchip.errors import IndexFormatError, StorageError
from stacchip.index import merge_indexes, read_index, read_records, remove, scan_index, write_index

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN = Path("/dev/fd")
NUMBER = 80  # more than are opened at one moment
FEW = 40  # 16 are read ahead, by 32 threads at most


def open_files() -> int:
    return len(list(OPEN.iterdir()))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 folders of the same index."""
    folder = tmp_path_factory.mktemp("indexes")
    write_index(make_table("item"), folder / "0")
    for number in range(1, NUMBER):
        shutil.copytree(folder / "0", folder / f"{number}")
    return folder


@pytest.fixture
def _without_collections() -> Iterator[None]:
    """Files close without a collection of garbage, which may be too late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


pytestmark = [
    pytest.mark.skipif(not OPEN.is_dir(), reason="counts open files in /dev/fd"),
    pytest.mark.usefixtures("_without_collections"),
]


def test_files_are_closed_once_they_are_read(folders: Path) -> None:
    before = open_files()
    assert read_index(folders).num_rows == 12 * NUMBER
    assert open_files() < before + 10
    assert read_index(folders, item_id=["item", "another"]).num_rows == 12 * NUMBER
    assert open_files() < before + 10
    assert len(read_records(folders)) == 1
    assert open_files() < before + 10


def test_few_files_are_open_during_a_scan(folders: Path) -> None:
    before = open_files()
    counts = [open_files() for _ in scan_index(folders)]
    assert len(counts) == NUMBER
    assert max(counts) < before + FEW


def test_few_files_are_open_during_a_merge(folders: Path, tmp_path: Path) -> None:
    before = open_files()
    counts: list[int] = []
    merge_indexes(
        folders, tmp_path / "out", duplicates="drop",
        progress=lambda *_: counts.append(open_files()),
    )  # fmt: skip
    assert len(counts) == NUMBER
    assert max(counts) < before + FEW
    assert open_files() < before + 10


def test_files_are_closed_if_one_is_broken(folders: Path, tmp_path: Path) -> None:
    for number in range(60):  # all are opened at one moment
        shutil.copy(folders / "0" / "chips.parquet", tmp_path / f"{number:02d}.parquet")
    (tmp_path / "30.parquet").write_bytes(b"PAR1")
    before = open_files()
    for _ in range(2):
        with pytest.raises(IndexFormatError, match="is not a parquet file"):
            read_index(tmp_path)
    until = time.monotonic() + 30
    while open_files() >= before + 10 and time.monotonic() < until:
        time.sleep(0.01)  # the calls that were under way end
    assert open_files() < before + 10


def test_few_files_are_open_during_a_removal(tmp_path: Path) -> None:
    """Also from one folder with many files, as other tools write it."""
    rows = pa.concat_tables(make_table(name, chips=(1, 2)) for name in ("kept", "removed"))
    for number in range(NUMBER):
        pq.write_table(rows, tmp_path / f"{number}.parquet")
    with few_open_files(FEW):
        assert remove(tmp_path, item_id="removed") == 2 * NUMBER
    assert set(read_index(tmp_path)["item_id"].to_pylist()) == {"kept"}


def test_an_index_that_cannot_be_opened_for_a_moment_is_not_called_damaged(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pyarrow.OSFile", fail)
    with pytest.raises(StorageError, match=r"cannot be read: .*Input/output error") as caught:
        read_index(folders / "0")
    assert type(caught.value) is StorageError  # an `IndexFormatError` says to write it again
