"""The files of an index at one moment, though one of them is replaced meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.tables import make_table
from servers.range_server import RangeServer
from stacchip.errors import AssetChanged, ObjectNotFound
from stacchip.index import write_index
from stacchip.index.files.layout import RECORDS, IndexFiles
from stacchip.index.files.manifest import MANIFEST, NEXT, Manifest
from stacchip.index.files.snapshot import at_one_moment
from stacchip.storage import Storage


@pytest.mark.parametrize("times", [3, 100])
def test_a_file_that_is_replaced_alone_is_read_again_but_not_for_ever(
    tmp_path: Path, times: int
) -> None:
    write_index(make_table("item"), tmp_path / "index")
    looks = []

    def look(files: IndexFiles) -> str:
        looks.append(files)
        if len(looks) <= times:
            raise AssetChanged("headers were added")
        return "read"

    if times < 5:
        assert at_one_moment(str(tmp_path / "index"), Storage(), look) == "read"
        return
    with pytest.raises(AssetChanged, match="headers were added"):
        at_one_moment(str(tmp_path / "index"), Storage(), look)
    assert len(looks) < 10


def test_a_file_that_takes_its_place_while_it_is_opened_is_looked_for_again(tmp_path: Path) -> None:
    write_index(make_table("item"), tmp_path)
    moving = Manifest(("chips.parquet",), {RECORDS: f"{NEXT}{0:016d}-{RECORDS}"})
    (tmp_path / moving.next_names[RECORDS]).write_bytes(b"")
    (tmp_path / MANIFEST).write_bytes(moving.to_bytes())
    looks = []

    def look(files: IndexFiles) -> str:
        (place,) = files.records
        looks.append(place.href.rpartition("/")[2])
        if looks[-1] == RECORDS:
            return "read"
        (tmp_path / looks[-1]).replace(tmp_path / RECORDS)
        raise ObjectNotFound("it has another name by now")

    with RangeServer(tmp_path) as server:
        assert at_one_moment(server.url("").rstrip("/"), Storage(), look) == "read"
    assert looks == [moving.next_names[RECORDS], RECORDS]
