"""The files of an index at one moment, though one of them is replaced meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.tables import make_table
from stacchip.errors import AssetChanged
from stacchip.index import write_index
from stacchip.index.files.layout import IndexFiles
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
