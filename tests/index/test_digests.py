"""What an order of chosen chips is kept by: the digest of an index on disk for a selection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.tables import make_table
from stacchip.index import append_to_index, concat_indexes, write_index
from stacchip.index.filters import Selection
from stacchip.index.on_disk import StoredIndex
from stacchip.storage import Storage

TABLES = [
    make_table(f"item-{number}", chips=(130, 130), day=number, north=1e6 + 6e5 * number)
    for number in range(4)
]
OTHER = make_table("item-1", chips=(9, 9), day=1, north=1.6e6, chip_size=512)
ALL = Selection()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An index without footprints, whose records lack the items."""
    write_index(concat_indexes(TABLES), tmp_path / "index", geometry="none", items=[])
    return tmp_path / "index"


def opened(place: Path) -> StoredIndex:
    index = StoredIndex.open(place, Storage())
    assert index is not None
    return index


def near(number: int) -> Selection:
    """Those that meet the middle of an item."""
    bounds = TABLES[number]["bbox"].combine_chunks()[8450].as_py()
    return Selection(bbox=(bounds["xmin"], bounds["ymin"], bounds["xmax"], bounds["ymax"]))


def rows_of(index: StoredIndex, chosen: Selection) -> list[int]:
    parts = [rows for rows, _ in index.scan_numbered(["chip_index_x"], chosen)]
    return np.concatenate([np.empty(0, np.int64), *parts]).tolist()


def test_an_index_that_was_opened_before_an_append_chooses_the_same_chips(place: Path) -> None:
    index, chosen = opened(place), near(1)
    before, digest = rows_of(index, chosen), index.digest_for(chosen)
    assert len(before) > 0
    append_to_index(place, make_table("item-9", chips=(3, 3), day=9, north=1.6e6))
    assert rows_of(index, chosen) == before
    assert index.digest_for(ALL) != opened(place).digest_for(ALL)
    assert opened(place).digest_for(chosen) != digest


def test_a_record_that_a_later_part_brings_counts_for_a_place_alone(place: Path) -> None:
    index, chosen = opened(place), near(1)
    digests = {each: index.digest_for(each) for each in (ALL, chosen)}
    append_to_index(place, OTHER)  # the first record of its item
    assert index.digest_for(ALL) == digests[ALL]
    assert index.digest_for(chosen) != digests[chosen], "its footprints may be other ones now"
