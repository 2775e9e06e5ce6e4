from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import TAKEN, make_grid, make_item, make_table, make_tables
from stacchip.errors import UsageError
from stacchip.index import (
    Selection,
    build_table,
    concat_indexes,
    parse_period,
    read_index,
    scan_index,
    write_index,
)


def ids(table):
    return table["chipid"].to_pylist()


@pytest.fixture(scope="module")
def several():
    return pa.concat_tables(make_tables(12))


def test_a_limit_includes_itself(table):
    # the column holds float32: 0.1 there is above 0.1 here
    clouds = Selection(max_cloud=1 / 12).apply(table)["cloud_cover_percentage"].to_pylist()
    assert len(clouds) == 2
    assert Selection(max_nodata=0.25).apply(table).num_rows == 6


def mixed_table():
    """12 chips each of a source that is measured, of one that is not, and of radar."""
    return concat_indexes(
        [
            build_table(
                make_item(platform), make_grid(), platform=platform, datetime=TAKEN, shares=shares
            )
            for platform, shares in (
                ("sentinel-2-l2a", {"cloud": 0.2, "nodata": 0.0}),
                ("unknown", {}),
                ("sentinel-1-rtc", {"nodata": 0.1}),
            )
        ]
    )


def platforms(table):
    return sorted(set(table["platform"].to_pylist()))


@pytest.mark.parametrize("cloud", [[0.6, np.nan, np.nan, 0.9], [0.6, np.nan, np.nan, 0.6]])
@pytest.mark.parametrize("platform", ["sentinel-2-l2a", "sentinel-1-rtc"])
def test_nan_of_another_tool_counts_as_not_measured(cloud, platform, tmp_path):
    table = make_table(chips=(2, 2), platform=platform)
    at = table.schema.get_field_index("cloud_cover_percentage")
    nan = table.set_column(at, table.schema.field(at), pa.array(cloud, pa.float32()))
    is_radar = platform == "sentinel-1-rtc"
    pq.write_table(nan, tmp_path / "theirs.parquet")
    write_index(nan, tmp_path / "ours")
    for path in (tmp_path / "theirs.parquet", tmp_path / "ours"):
        assert read_index(path)["cloud_cover_percentage"].null_count == 2
        kept = read_index(path, max_cloud=0.5, unmeasured="keep")
        assert kept.num_rows == (4 if is_radar else 2)
        thin = read_index(path, max_cloud=0.5, unmeasured="keep", columns=["chipid"])
        assert ids(thin) == ids(kept)
        parts = scan_index(path, max_cloud=0.5, unmeasured="keep")
        assert sum(part.num_rows for part in parts) == kept.num_rows
        assert read_index(path, max_cloud=0.5).num_rows == (4 if is_radar else 0)


@pytest.mark.parametrize(
    ("filters", "dropped", "kept"),
    [
        ({}, ["sentinel-1-rtc", "sentinel-2-l2a", "unknown"], 0),
        ({"max_cloud": 1.0}, ["sentinel-1-rtc", "sentinel-2-l2a"], 12),
        ({"max_cloud": 0.1}, ["sentinel-1-rtc"], 12),
        ({"max_nodata": 0.05}, ["sentinel-2-l2a"], 12),
        ({"max_cloud": 0.1, "max_nodata": 0.05}, [], 12),
        ({"max_cloud": 1, "platform": ["sentinel-1-rtc", "sentinel-2-l2a"]},
         ["sentinel-1-rtc", "sentinel-2-l2a"], 0),
        ({"max_cloud": 1, "where": pc.field("chip_index_x") == 1},
         ["sentinel-1-rtc", "sentinel-2-l2a"], 3),
    ],
)  # fmt: skip
def test_chips_that_were_not_measured_are_left_out_and_counted(
    filters, dropped, kept, tmp_path, caplog
):
    table = mixed_table()
    write_index(table, tmp_path / "index")

    def read(**how):
        return read_index(tmp_path / "index", **filters, **how)

    def scan(**how):
        parts = list(scan_index(tmp_path / "index", **filters, **how))
        return pa.concat_tables([table.slice(0, 0), *parts], promote_options="default")

    def apply(**how):
        return Selection(**filters, **how).apply(table)

    for way in (read, scan, apply):
        caplog.clear()
        chosen = way()
        assert platforms(chosen) == dropped
        assert f"was not measured: {kept}." in caplog.text or not kept
        assert len(caplog.records) == (kept > 0)
        caplog.clear()
        assert way(unmeasured="keep").num_rows == chosen.num_rows + kept
        assert not caplog.records


def test_chips_that_were_not_measured_are_counted_within_the_area(tmp_path, caplog):
    table = mixed_table()
    write_index(table, tmp_path / "index")
    corner = shapely.from_wkb(table["geometry"][0].as_py()).centroid
    found = read_index(tmp_path / "index", max_cloud=1, geometry=corner, columns=["chipid"])
    assert found.num_rows == 2
    assert "left out because their cloud was not measured: 1." in caplog.text


def test_a_share_that_is_nan_was_not_measured(caplog):
    table = mixed_table()
    place = table.schema.get_field_index("cloud_cover_percentage")
    nan = pa.array(np.full(table.num_rows, np.nan, np.float32))
    table = table.set_column(place, table.schema.field(place), nan)
    assert platforms(Selection(max_cloud=1).apply(table)) == ["sentinel-1-rtc"]
    assert "not measured: 24." in caplog.text
    assert Selection(max_cloud=1, unmeasured="keep").apply(table).num_rows == 36


def test_the_platform_may_be_a_dictionary():
    table = mixed_table()
    place = table.schema.get_field_index("platform")
    table = table.set_column(place, "platform", table["platform"].dictionary_encode())
    assert Selection(max_cloud=0.1).apply(table).num_rows == 12


def test_names_are_one_or_several(several):
    assert set(Selection(platform="landsat-c2l2-sr").apply(several)["platform"].to_pylist()) == {
        "landsat-c2l2-sr"
    }
    chosen = Selection(item_id=["item-003", "item-004"]).apply(several)
    assert set(chosen["item_id"].to_pylist()) == {"item-003", "item-004"}
    assert Selection(chip_size=128).apply(several).num_rows == 4 * 12
    assert Selection(item_id=[]).apply(several).num_rows == 0


def test_conditions_hold_together(several):
    chosen = Selection(
        platform="sentinel-2-l2a", max_cloud=0.5, where=pc.field("chip_index_x") == 1
    ).apply(several)
    assert chosen.num_rows == 6 * 2
    assert set(chosen["chip_index_x"].to_pylist()) == {1}


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("2024", "2024-01-01T00:00:00", "2024-12-31T23:59:59.999999"),
        ("2023", "2023-01-01T00:00:00", "2023-12-31T23:59:59.999999"),
        ("2024-02", "2024-02-01T00:00:00", "2024-02-29T23:59:59.999999"),
        ("2024-02-03", "2024-02-03T00:00:00", "2024-02-03T23:59:59.999999"),
        ("2024-02/2024-03-05", "2024-02-01T00:00:00", "2024-03-05T23:59:59.999999"),
        ("../2024-02-03T04:05:06Z", None, "2024-02-03T04:05:06"),
        ("2024-02-03T04:05:06+02:00/..", "2024-02-03T02:05:06", None),
        ((date(2024, 1, 2), None), "2024-01-02T00:00:00", None),
        (date(2024, 1, 2), "2024-01-02T00:00:00", "2024-01-02T23:59:59.999999"),
        ((datetime(2024, 1, 2, 3, tzinfo=UTC), "2024-01-03"), "2024-01-02T03:00:00",
         "2024-01-03T23:59:59.999999"),
        (None, None, None),
    ],
)  # fmt: skip
def test_periods_are_understood(period, start, end):
    found = parse_period(period)
    expected = tuple(
        side and datetime.fromisoformat(side).replace(tzinfo=UTC) for side in (start, end)
    )
    assert found == expected


@pytest.mark.parametrize(
    "period", ["yesterday", "2024-13", "2024/2025/2026", "2025/2024", "2024-02-30"]
)
def test_impossible_periods_are_refused(period):
    with pytest.raises(UsageError):
        parse_period(period)


def test_a_period_chooses_by_the_second(several):
    assert set(Selection(datetime="2024-01-08").apply(several)["item_id"].to_pylist()) == {
        "item-001"
    }
    at = "2024-01-08T10:30:00Z"
    assert Selection(datetime=at).apply(several).num_rows == 12
    assert Selection(datetime=("2024-01-08T10:30:01Z", None)).apply(several).num_rows == 12 * 10


def test_a_bbox_chooses_footprints_that_meet_it(table):
    row = table.to_pylist()[5]
    middle = shapely.from_wkb(row["geometry"]).centroid
    bbox = (middle.x, middle.y, middle.x, middle.y)
    assert ids(Selection(bbox=bbox).apply(table)) == [row["chipid"]]


def test_a_geometry_that_only_meets_the_bounds_of_a_footprint_does_not_choose_it():
    slanted = make_table(zone=33, east=200_000, north=7_500_000, chips=(1, 1), chip_size=2000)
    footprint = shapely.from_wkb(slanted["geometry"][0].as_py())
    west, south, *_ = footprint.bounds
    corner = shapely.Point(west + 1e-6, south + 1e-6)
    assert not footprint.intersects(corner)
    assert Selection(geometry=corner).apply(slanted).num_rows == 0
    assert Selection(geometry=footprint.centroid).apply(slanted).num_rows == 1


def test_a_bbox_and_a_geometry_hold_together(table):
    here = shapely.from_wkb(table["geometry"][0].as_py()).centroid
    there = shapely.from_wkb(table["geometry"][11].as_py()).centroid
    assert (
        Selection(geometry=here, bbox=(*there.coords[0], *there.coords[0])).apply(table).num_rows
        == 0
    )
    both = Selection(geometry=here, bbox=(-180, -90, 180, 90)).apply(table)
    assert ids(both) == ids(table)[:1]


def test_a_bbox_across_the_antimeridian_chooses_on_both_sides():
    across = make_table(zone=60, east=750_000, north=4_000_000, chips=(2, 20))
    kinds = [shapely.from_wkb(wkb).geom_type for wkb in across["geometry"].to_pylist()]
    assert "MultiPolygon" in kinds
    assert Selection(bbox=(179, 30, -179, 40)).apply(across).num_rows == 40
    # the covering of chips that cross is the whole globe; their footprints are not
    assert Selection(bbox=(0, 30, 10, 40)).apply(across).num_rows == 0
    east = Selection(bbox=(-180, 30, -179, 40)).apply(across).num_rows
    west = Selection(bbox=(179, 30, 180, 40)).apply(across).num_rows
    assert east + west == 40 + kinds.count("MultiPolygon")


def test_a_geometry_of_many_parts_chooses_all_of_them(several):
    points = [shapely.from_wkb(wkb).centroid for wkb in several["geometry"].to_pylist()[::3]]
    assert Selection(geometry=shapely.MultiPoint(points)).apply(several).num_rows == len(points)


@pytest.mark.parametrize(
    "filters",
    [
        {"bbox": (1, 2, 3)}, {"bbox": (0, 50, 10, 40)}, {"bbox": (-200, 0, 0, 10)},
        {"bbox": "world"}, {"geometry": "POINT (0 0)"}, {"max_cloud": 50},
        {"max_nodata": -0.1}, {"datetime": "soon"}, {"unmeasured": "maybe"},
        {"where": ("chip_index_x", "==", 1)},
    ],
)  # fmt: skip
def test_impossible_filters_are_refused_at_once(filters):
    with pytest.raises(UsageError):
        Selection(**filters)


def test_bounds_stand_in_for_footprints_that_an_index_does_not_keep(tmp_path):
    table = make_table()
    pq.write_table(table.drop_columns("geometry"), tmp_path / "slim.parquet")
    for area in ({"bbox": (15, 36, 15.01, 37)}, {"geometry": shapely.Point(15.01, 36.13)}):
        wanted = Selection(**area).apply(table)["chipid"].to_pylist()
        found = read_index(tmp_path / "slim.parquet", columns=["chipid"], **area)
        assert found["chipid"].to_pylist() == wanted
        assert 0 < len(wanted) < len(table)


@pytest.mark.parametrize(
    "where", [pc.field("nowhere") > 1, pc.field("item_id") > 1, pc.field("chip_index_x") == "a"]
)
def test_a_condition_that_fits_no_column_is_no_damage(where, table, tmp_path):
    write_index(table, tmp_path / "index")
    for read in (read_index, lambda *args, **filters: list(scan_index(*args, **filters))):
        with pytest.raises(UsageError, match=r"no column 'nowhere'|does not fit the columns"):
            read(tmp_path / "index", where=where)
