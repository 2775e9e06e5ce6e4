"""Indexes that stacchip 0.1.38 wrote are read: what they lack comes from paths and items.

`original/` was written by it. Its `create_index` gives `chipid`, `date`, `chip_index_x` and
`chip_index_y` (uint16), `cloud_cover_percentage`, `nodata_percentage` and `geometry`: polygons of
GeoArrow, which its processors write as WKB.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

from stacchip.chipper import Chipper
from stacchip.errors import IndexFormatError
from stacchip.index import SCHEMA, merge_indexes, read_index, scan_index, validate, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream

ORIGINAL = Path(__file__).parent / "original"
ITEM = json.loads((ORIGINAL / "naip/m_one-2021/stac_item.json").read_text())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of one item, as the original lays it out: 4 bands of 1100 x 1300 pixels."""
    root = tmp_path / "archive"
    shutil.copytree(ORIGINAL, root, ignore=shutil.ignore_patterns("*-512*"))
    pixels = np.arange(4 * 1100 * 1300, dtype=np.uint32).reshape(4, 1100, 1300)
    transform = rasterio.Affine(*ITEM["properties"]["proj:transform"])
    with rasterio.open(
        root / "naip/m_one-2021/image.tif", "w", driver="GTiff", height=1100, width=1300, count=4,
        dtype="uint32", crs="EPSG:26919", transform=transform, tiled=True,
    ) as file:  # fmt: skip
        file.write(pixels)
    return root


def _index_of(archive: Path) -> Path:
    return archive / "index/naip/m_one-2021/index_m_one-2021.parquet"


@pytest.fixture(params=["archive's index", "platform", "item", "file"])
def place(request, archive):
    """Each place of the index that a user may name."""
    file = _index_of(archive)
    return dict(zip(
        ["file", "item", "platform", "archive's index"],
        [file, *file.parents], strict=False,
    ))[request.param]  # fmt: skip


def test_its_rows_are_those_of_our_own_index(place, archive):
    ours = NoStatsChipIndexer(str(archive / "naip/m_one-2021/stac_item.json")).create_index()
    found = read_index(place)
    validate(found)
    rows, own = ({row["chipid"]: row for row in table.to_pylist()} for table in (found, ours))
    assert rows.keys() == own.keys()
    for chipid, row in rows.items():
        assert row["bbox"] == pytest.approx(own[chipid]["bbox"], abs=1e-7)
        for name in set(SCHEMA.names) - {"bbox", "geometry", "item_href"}:
            if name not in ("cloud_cover_percentage", "nodata_percentage"):
                assert row[name] == own[chipid][name], name
    assert found["datetime"][0].as_py() == datetime(2021, 9, 12, 16, tzinfo=UTC)
    assert found["nodata_percentage"].to_pylist() == [0.0] * 20


@pytest.mark.parametrize(
    "filters",
    [
        {"platform": "naip"},
        {"item_id": "m_one-2021", "chip_size": 256},
        {"datetime": "2021-09-12T16:00:00Z"},
        {"max_cloud": 0, "max_nodata": 0},
        {"bbox": (-72, 42, -71, 43)},
    ],
)
def test_it_is_filtered(place, filters):
    assert read_index(place, **filters).num_rows == 20
    assert read_index(place, **{**filters, "item_id": "other"}).num_rows == 0
    assert sum(map(len, scan_index(place, columns=["chipid"], **filters))) == 20


def test_chips_are_cut_from_it(place):
    chipper = Chipper(place)
    assert len(chipper) == 20
    assert chipper.cut(1, 2).array[3, 5, 7] == 3 * 1100 * 1300 + (2 * 256 + 5) * 1300 + 256 + 7
    (batch,) = ChipStream(place).batches(20)
    assert sorted(batch.chipids) == sorted(read_index(place)["chipid"].to_pylist())


def test_it_is_merged_with_ours(archive, tmp_path):
    ours = NoStatsChipIndexer({**ITEM, "id": "m_two"}).create_index()
    write_index(ours, tmp_path / "ours")
    merged = merge_indexes([archive / "index", tmp_path / "ours"], tmp_path / "merged")
    assert (merged.items, merged.chips, merged.platforms) == (2, 40, ("naip",))
    assert Chipper(tmp_path / "merged").cut(0, 0, item_id="m_one-2021").array[0, 0, 1] == 1


def test_its_chip_size_is_measured_by_its_footprints(archive):
    shutil.copy(ORIGINAL / "as-arrow-512.parquet", _index_of(archive))
    assert read_index(archive / "index")["chip_size"].unique().to_pylist() == [512]
    assert Chipper(archive / "index").cut(1, 1).array[0, 0, 0] == 512 * 1300 + 512


def test_a_table_of_it_is_written_with_the_item(tmp_path):
    table = pq.read_table(ORIGINAL / "as-arrow-512.parquet")
    write_index(table, tmp_path / "new", items=[ITEM])
    found = read_index(tmp_path / "new")
    assert found["platform"].unique().to_pylist() == ["naip"]
    assert found["chip_size"].unique().to_pylist() == [512]
    assert found["crs"].unique().to_pylist() == ["EPSG:26919"]


def test_without_the_item_a_column_that_only_it_tells_is_named(archive):
    (archive / "naip/m_one-2021/stac_item.json").unlink()
    with pytest.raises(IndexFormatError, match=r"'datetime' is absent.*items") as caught:
        read_index(archive / "index")
    assert caught.value.facts["column"] == "datetime"
    # what the file itself tells can still be read
    names = ["chipid", "platform", "item_id", "date", "geometry", "bbox"]
    assert read_index(archive / "index", columns=names, platform="naip").num_rows == 20


def test_an_index_out_of_its_archive_is_cut_with_the_item(archive, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(archive / "index", copy)
    item = str(archive / "naip/m_one-2021/stac_item.json")
    assert Chipper(copy, items=item).cut(1, 0).array[0, 0, 0] == 256
    assert Chipper(_index_of(archive), archive).cut(1, 0).array[0, 0, 0] == 256
    (copy / "naip/m_one-2021").rename(copy / "moved")
    assert Chipper(copy, items=item).cut(1, 0).platform == "naip"
