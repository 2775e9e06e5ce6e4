from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import TAKEN, make_grid, make_item, make_table
from stacchip.errors import UsageError
from stacchip.index import SCHEMA, build_table, embedded_items, read_grid, validate


def test_a_row_says_all_of_its_chip():
    table = make_table("scene", chips=(3, 4))
    validate(table)
    assert table.num_rows == 12
    row = table.to_pylist()[6]
    assert row["chipid"] == "scene-2-1"
    assert (row["chip_index_x"], row["chip_index_y"]) == (2, 1)
    assert row["platform"] == "sentinel-2-l2a"
    assert row["date"] == TAKEN.date()
    assert row["datetime"] == TAKEN
    assert row["cloud_cover_percentage"] == 0.5
    assert row["nodata_percentage"] == 0.25
    assert row["snow_percentage"] is None
    assert row["chip_size"] == 256
    assert row["crs"] == "EPSG:32633"
    assert row["item_href"] == "https://example.com/scene.json"
    footprint = make_grid(chips=(3, 4)).footprint(2, 1)
    assert shapely.from_wkb(row["geometry"]).equals(footprint)
    assert tuple(row["bbox"].values()) == pytest.approx(footprint.bounds, abs=4e-6)
    assert shapely.box(*row["bbox"].values()).covers(footprint)


def test_the_schema_is_the_documented_one(table):
    assert table.schema.remove_metadata().equals(SCHEMA.remove_metadata())
    assert table.schema.metadata[b"geo"] == SCHEMA.metadata[b"geo"]


@settings(deadline=None)
@given(
    limit=st.floats(0, 1, width=32),
    shares=st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6),
)
def test_chips_with_more_nodata_than_allowed_have_no_row(limit, shares):
    nodata = np.array(shares, np.float32).reshape(2, 3)
    table = build_table(
        make_item("a"), make_grid(chips=(2, 3)), platform="p", datetime=TAKEN,
        shares={"nodata": nodata}, chip_max_nodata=limit,
    )  # fmt: skip
    assert table["nodata_percentage"].to_pylist() == [share for share in shares if share <= limit]


def test_shares_that_are_not_known_are_null_and_their_chips_stay():
    nodata = np.array([[0.0, np.nan, 0.9]])
    table = build_table(
        make_item("a"), make_grid(chips=(1, 3)), platform="p", datetime=TAKEN,
        shares={"nodata": nodata, "snow": 0.25}, chip_max_nodata=0.5,
    )  # fmt: skip
    assert table["nodata_percentage"].to_pylist() == [0.0, None]
    assert table["snow_percentage"].to_pylist() == [0.25, 0.25]
    assert table["cloud_cover_percentage"].null_count == 2


def test_no_signature_is_stored():
    item = make_item("a", red="https://x.blob.core.windows.net/c/red.tif?sv=1&se=2&sr=c&sig=secret")
    item["assets"]["red"]["alternate"] = {"s3": {"href": "s3://b/red.tif?X-Amz-Signature=secret"}}
    item["links"] = [{"rel": "self", "href": "https://user:secret@example.com/a.json"}]
    table = build_table(
        item, make_grid(), platform="p", datetime=TAKEN,
        item_href="https://example.com/a.json?token=secret",
    )  # fmt: skip
    assert b"secret" not in b"".join(table.schema.metadata.values())
    assert table["item_href"][0].as_py() == "https://example.com/a.json"
    assert "secret" in item["assets"]["red"]["href"]  # the caller's item is left as it is


def test_the_item_and_its_grid_are_in_the_metadata():
    grid = make_grid()
    table = build_table(
        make_item("a", red="r.tif"), grid, platform="p", datetime=TAKEN, reference="red"
    )
    stored = embedded_items(table)["p", "a"]
    assert stored["assets"]["red"]["href"] == "r.tif"
    recorded = read_grid(stored)
    assert recorded.geobox == grid.geobox
    assert recorded.reference == "red"


def test_a_time_of_another_zone_is_stored_in_utc():
    taken = datetime(2024, 1, 1, 3, tzinfo=timezone(timedelta(hours=12)))
    table = build_table(make_item("a"), make_grid(), platform="p", datetime=taken)
    assert table["datetime"][0].as_py() == datetime(2023, 12, 31, 15, tzinfo=UTC)
    assert table["date"][0].as_py().isoformat() == "2023-12-31"


def test_a_naive_time_is_refused():
    with pytest.raises(UsageError, match="no time zone"):
        build_table(make_item("a"), make_grid(), platform="p", datetime=datetime(2024, 1, 1))


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        ({"haze": 0.5}, "haze"),
        ({"cloud": np.zeros((4, 3))}, r"\(4, 3\).*\(3, 4\)"),
        ({"cloud": 45.0}, "'a'.*'cloud' is 45 for a chip, but shares are 0..1"),
        ({"snow": np.full((3, 4), -9999)}, "'snow' is -9999"),
        ({"nodata": np.inf}, "'nodata' is inf"),
    ],
)
def test_impossible_shares_are_refused(shares, problem):
    with pytest.raises(UsageError, match=problem):
        build_table(make_item("a"), make_grid(), platform="p", datetime=TAKEN, shares=shares)


def test_shares_that_rounding_moved_out_of_their_range_are_clipped():
    shares = {"cloud": 1.0000001, "nodata": -1e-7, "snow": np.nan}
    table = build_table(make_item("a"), make_grid(), platform="p", datetime=TAKEN, shares=shares)
    columns = ("cloud_cover_percentage", "nodata_percentage", "snow_percentage")
    assert [table[column][0].as_py() for column in columns] == [1.0, 0.0, None]


def test_an_item_without_chips_has_an_empty_table():
    table = make_table(chips=(0, 3))
    validate(table)
    assert table.num_rows == 0
