"""Chips that a run leaves out are counted in what a large index says of its items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from index.tables import make_table
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.left_out import count_in_runs, count_left_out, explain_nothing
from stacchip.index import concat_indexes, write_index
from stacchip.index.on_disk import StoredIndex
from stacchip.storage import Storage

PLATFORM = "sentinel-2-l2a"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three items of two sizes; every fifth chip's nodata was not measured."""
    tables = [
        make_table("a", chips=(170, 170)),
        make_table("b", chips=(170, 170), day=1),
        make_table("b", chips=(20, 20), day=1, chip_size=128),
    ]
    rows = concat_indexes(tables)
    shares = rows["nodata_percentage"].to_numpy().copy()
    shares[::5] = np.nan
    place = rows.schema.get_field_index("nodata_percentage")
    column = pa.array(shares, pa.float32(), from_pandas=True)
    path = tmp_path_factory.mktemp("left") / "index"
    write_index(rows.set_column(place, rows.field(place), column), path)
    return path


@pytest.mark.parametrize(
    "limits",
    [
        {"max_nodata": 0.2},
        {"max_nodata": 0.2, "chip_size": 256, "unmeasured": "keep"},
        {"max_nodata": None, "chip_size": 128},
        {"max_nodata": 0.4, "item_id": ("b",), "datetime": "2024-01-02"},
    ],
)
def test_they_are_as_many_as_in_the_chips(path: Path, limits) -> None:
    imagery, index = Imagery(str(path), PLATFORM, **limits), StoredIndex.open(path, Storage())
    assert index is not None
    expected = count_left_out(imagery, Storage())
    wanted = expected.there - sum(expected.left_out.values())
    assert count_in_runs(imagery, index, wanted) == expected


@pytest.mark.parametrize(
    "limits", [{"max_cloud": 0.3}, {"bbox": (0.0, 0.0, 90.0, 80.0)}, {"split": ("train",)}]
)
def test_only_the_chips_tell_for_limits_of_two_shares_a_place_or_a_split(
    path: Path, limits
) -> None:
    index = StoredIndex.open(path, Storage())
    assert index is not None
    assert count_in_runs(Imagery(str(path), PLATFORM, **limits), index, 1) is None


def test_chips_of_other_splits_do_not_count(tmp_path: Path) -> None:
    rows = make_table("a", chips=(6, 6))
    names = ["train", "train", "test"] * 12
    write_index(rows.append_column("split", pa.array(names)), tmp_path / "index")
    for index in (str(tmp_path / "index"), rows.append_column("split", pa.array(names))):
        imagery = Imagery(index, PLATFORM, max_nodata=None, split={"train"})
        assert imagery.split == ("train",)
        assert imagery.limits["split"] == ("train",)
        assert imagery.count(Storage()) == 24
        assert count_left_out(imagery, Storage()).there == 24
        lacking = Imagery(index, PLATFORM, max_nodata=None, split="val")
        assert "periods, places or splits" in explain_nothing(lacking, Storage())
