"""Splits that overlap or lie too near are found, wherever on Earth, and exactly."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import make_scene
from selection.chips import GEOD, PLACES, as_rows, chips_at, gap_m, grid_at, pairs_of, shared_m2
from stacchip.errors import IndexFormatError, ObjectNotFound, UsageError
from stacchip.grid.footprints import BBOX
from stacchip.index import concat_indexes, gather_headers, write_index
from stacchip.index.schema import GEO_METADATA
from stacchip.indexer import NoStatsChipIndexer
from stacchip.selection import candidates, near_pairs
from stacchip.selection.leakage import check_leakage

NAMES = ["train", "val", "test", None]


@pytest.mark.parametrize("place", PLACES)
def test_pairs_are_those_of_a_slow_and_plain_comparison(place: str):
    wkb = chips_at(place)
    splits = np.random.default_rng(5).choice(NAMES, len(wkb), p=[0.1, 0.1, 0.2, 0.6]).tolist()
    pairs = pairs_of(splits)
    areas = {pair: shared_m2(*(wkb[each] for each in pair)) for pair in pairs}
    overlapping = {pair for pair, area in areas.items() if area > 7}
    gaps = {pair: gap_m(*(wkb[each] for each in pair)) for pair in areas.keys() - overlapping}
    buffer_m = 1500.0
    assert min(abs(gap - buffer_m) for gap in gaps.values()) > 0.05  # the slow way is as exact
    near = {pair for pair, gap in gaps.items() if gap < buffer_m}

    report = check_leakage(as_rows(wkb, splits), buffer_m=buffer_m)

    assert (report.overlap.pairs, report.near.pairs) == (len(overlapping), len(near))
    assert overlapping
    assert near
    assert report.overlap.chips == len({chip for pair in overlapping for chip in pair})
    assert report.near.chips == len({chip for pair in near for chip in pair})
    total = sum(areas[pair] for pair in overlapping)
    assert report.overlap.shared_m2 == pytest.approx(total, rel=1e-4)
    worst = report.overlap.worst[0]
    assert worst.shared_m2 == pytest.approx(max(areas.values()), rel=1e-4)
    assert worst.shared_m2 == pytest.approx(areas[worst.chips], rel=1e-4)
    nearest = [pair.distance_m for pair in report.near.worst]
    assert nearest == pytest.approx(sorted(gaps[pair] for pair in near)[: len(nearest)], abs=0.02)
    assert report.leaks


def test_neighbours_of_a_grid_only_touch():
    for place in PLACES:
        (crs, lon, lat), _ = PLACES[place]
        wkb = grid_at(crs, lon, lat)
        report = check_leakage(as_rows(wkb, ["train", "test"] * (len(wkb) // 2)))
        assert (report.overlap.chips, report.leaks) == (0, False), place


def test_chips_that_touch_are_nearer_than_any_buffer():
    wkb = [shapely.box(179, 0, 180, 1).wkb, shapely.box(-180, 0.5, -179, 2).wkb]
    rows = as_rows(wkb, ["train", "test"])
    assert check_leakage(rows).near.pairs == 0
    report = check_leakage(rows, buffer_m=0.001)
    assert (report.near.pairs, report.near.worst[0].distance_m) == (1, 0)


@settings(max_examples=40, deadline=None)
@given(
    lon=st.floats(-180, 180), lat=st.floats(-89.9, 89.9), azimuth=st.floats(0, 360),
    buffer_m=st.floats(10, 50_000),
)  # fmt: skip
def test_a_metre_makes_the_difference(lon: float, lat: float, azimuth: float, buffer_m: float):
    def chip_around(lon: float, lat: float) -> bytes:
        """A small round chip, cut where it must be."""
        ring = [GEOD.fwd(lon, lat, -angle, 5)[:2] for angle in range(0, 361, 30)]
        return shapely.Polygon(ring).wkb

    for apart, is_near in ((buffer_m - 1, True), (buffer_m + 1, False)):
        there = GEOD.fwd(lon, lat, azimuth, apart + 10)[:2]
        # a round chip of 12 corners reaches 5 m at them, and 4.83 m between
        wkb = [chip_around(lon, lat), chip_around(*there)]
        report = check_leakage(as_rows(wkb, ["a", "b"]), buffer_m=buffer_m)
        assert report.near.pairs == is_near


def test_a_geoparquet_file_in_a_crs_of_metres_is_checked(tmp_path: Path):
    boxes = [shapely.box(500_000 + x, 55e5, 500_100 + x, 5_500_100) for x in (0, 100, 290, 350)]
    frame = geopandas.GeoDataFrame(
        {"part": [1, 1, 2, 1]}, geometry=boxes, crs="EPSG:32633"
    ).rename_geometry("shape")
    frame.to_parquet(tmp_path / "chips.parquet", write_covering_bbox=True)
    for given_ in (str(tmp_path / "chips.parquet"), tmp_path, frame, frame.to_crs("EPSG:4326")):
        report = check_leakage(given_, by="part", buffer_m=100)
        assert dict(report.splits) == {"1": 3, "2": 1}
        assert (report.overlap.pairs, report.near.pairs) == (1, 1)
        # scale 0.9996
        assert report.overlap.worst[0].shared_m2 == pytest.approx(40 * 100 / 0.9996**2, rel=1e-4)
        assert report.near.worst[0].distance_m == pytest.approx(90 / 0.9996, abs=0.001)
        assert report.near.worst[0].chips in ((1, 2), (2, 1))


@pytest.mark.parametrize("geometry", ["wkb", "none"])
def test_an_index_is_checked_with_stored_footprints_or_without(tmp_path: Path, geometry: str):
    items = [make_scene(tmp_path / name, name).item for name in ("one", "two")]
    tables = [NoStatsChipIndexer(item, chip_size=200).create_index() for item in items]
    table = concat_indexes(tables)
    splits = ["train", *["test"] * 8, *["train"] * 3, *[None] * 6]
    write_index(
        table.append_column("split", pa.array(splits)), tmp_path / "index", geometry=geometry
    )
    report = check_leakage(tmp_path / "index")
    assert report.splits == {"train": 4, "test": 8}
    # of the same ground: chips 1 and 2 of item one are for testing, and for training of item two
    assert (report.overlap.pairs, report.overlap.chips, report.items) == (2, 4, 1)
    assert {pair.chips for pair in report.overlap.worst} == {
        ("one-1-0", "two-1-0"), ("one-2-0", "two-2-0"),
    }  # fmt: skip
    assert report.overlap.worst[0].share == pytest.approx(1)


def test_blocks_that_splits_share_are_counted_where_headers_tell(tmp_path: Path):
    item = make_scene(tmp_path / "one", "one").item
    table = NoStatsChipIndexer(item, chip_size=200).create_index()
    # chip 0 has columns 0 and 1 of blocks, chip 1 columns 1 to 3; each has rows 0 and 1
    rows = table.append_column("split", pa.array(["train", "test", *[None] * 7]))
    write_index(rows, tmp_path / "index")
    assert check_leakage(tmp_path / "index").blocks is None
    with pytest.raises(UsageError, match="does not tell blocks"):
        check_leakage(tmp_path / "index", forbid=["block"])
    write_index(rows, tmp_path / "with", headers=gather_headers([item]))
    report = check_leakage(tmp_path / "with", forbid=["block"])
    assert (report.blocks, report.leaks) == (2, True)


def test_rings_that_jump_over_the_antimeridian_are_understood():
    jumping = shapely.Polygon([(179.9, 0), (-179.9, 0), (-179.9, 0.2), (179.9, 0.2)])
    beyond = shapely.box(179.95, 0.1, 180.3, 0.3)
    elsewhere = shapely.box(0, 0, 0.1, 0.2)
    rows = as_rows([each.wkb for each in (jumping, beyond, elsewhere)], ["a", "b", "b"])
    report = check_leakage(rows)
    assert (report.overlap.pairs, report.overlap.chips) == (1, 2)
    assert report.overlap.worst[0].shared_m2 == pytest.approx(
        abs(GEOD.geometry_area_perimeter(shapely.box(0, 0.1, 0.15, 0.2))[0]), rel=1e-5
    )


def test_rows_of_one_footprint_count_each():
    square = shapely.box(0, 0, 1, 1).wkb
    rows = as_rows([square] * 5, ["train", "train", "train", "test", "val"])
    report = check_leakage(rows)
    assert (report.overlap.pairs, report.overlap.chips) == (3 + 3 + 1, 5)
    assert report.overlap.worst[0].share == pytest.approx(1)


def test_rows_in_no_split_or_without_a_footprint_are_counted_and_left_out():
    wkb = [
        shapely.box(0, 0, 1, 1).wkb,
        shapely.box(0, 0, 1, 1).wkb,
        None,
        shapely.box(5, 5, 6, 6).wkb,
    ]
    report = check_leakage(as_rows(wkb, ["a", None, "b", "b"]))
    assert (report.unassigned, report.placeless, report.overlap.pairs) == (1, 1, 0)


BOXES = [shapely.box(0, 0, 1, 1), shapely.box(0.5, 0.5, 1.5, 1.5)]
DECLARED = {"geo": json.dumps(GEO_METADATA)}
UNKNOWN = dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), float("nan"))
ELSEWHERE = dict.fromkeys(UNKNOWN, 40.0)


def with_bounds(*bbox: dict | None, metadata: dict[str, str] | None = None) -> pa.Table:
    """Two chips that overlap, with bounds."""
    rows = as_rows([box.wkb for box in BOXES], ["train", "test"], bbox=pa.array(bbox, BBOX))
    return rows.replace_schema_metadata(metadata)


@pytest.mark.parametrize("metadata", [None, DECLARED], ids=["undeclared", "declared"])
@pytest.mark.parametrize("absent", [None, UNKNOWN, {**ELSEWHERE, "ymax": float("inf")}])
def test_chips_without_bounds_have_those_of_their_footprints(tmp_path: Path, absent, metadata):
    rows = with_bounds(absent, absent, metadata=metadata)
    pq.write_table(rows, tmp_path / "chips.parquet")
    for given_ in (rows, tmp_path / "chips.parquet"):
        report = check_leakage(given_)
        assert (report.placeless, report.overlap.pairs, report.leaks) == (0, 1, True)


def test_bounds_that_nothing_declares_are_not_believed(tmp_path: Path):
    rows = with_bounds(ELSEWHERE, dict.fromkeys(UNKNOWN, -40.0))
    pq.write_table(rows, tmp_path / "chips.parquet")
    assert check_leakage(rows).overlap.pairs == 1
    assert check_leakage(tmp_path / "chips.parquet").overlap.pairs == 1
    # the footprints are not even read where the metadata name the bounds
    assert check_leakage(rows.replace_schema_metadata(DECLARED)).overlap.pairs == 0


def test_an_index_whose_bounds_were_lost_is_checked(tmp_path: Path):
    table = NoStatsChipIndexer(make_scene(tmp_path / "one", "one").item, chip_size=200)
    rows = table.create_index().slice(0, 1)
    rows = pa.concat_tables([rows, rows]).append_column("split", pa.array(["train", "test"]))
    place = rows.schema.get_field_index("bbox")
    lost = rows.set_column(place, "bbox", pa.array([UNKNOWN, None], BBOX))
    for given_ in (lost, lost.replace_schema_metadata(None)):
        assert check_leakage(given_).overlap.pairs == 1


def test_chips_with_bounds_alone_are_counted_and_not_compared():
    sides = [dict(zip(UNKNOWN, box.bounds, strict=True)) for box in BOXES]
    rows = with_bounds(*sides, metadata=DECLARED)
    rows = rows.set_column(0, "geometry", pa.array([BOXES[0].wkb, None], pa.binary()))
    assert check_leakage(rows).placeless == 1


def test_distances_are_right_where_west_is_greater_than_east():
    jumping = shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])
    bbox = {"xmin": 179.0, "ymin": 0.0, "xmax": -179.0, "ymax": 1.0}
    east = {"xmin": 179.5, "ymin": 2.0, "xmax": 180.0, "ymax": 3.0}
    wkb = [jumping.wkb, shapely.box(179.5, 2, 180, 3).wkb]
    rows = as_rows(wkb, ["train", "test"], bbox=pa.array([bbox, east], BBOX))
    report = check_leakage(rows.replace_schema_metadata(DECLARED))
    expected = GEOD.inv(180, 0.5, 179.75, 2.5)[2]
    assert report.distances["test"].quantiles_m[0] == pytest.approx(expected)


def test_few_in_memory_find_the_same_as_all(tmp_path: Path, monkeypatch):
    wkb = [chip for place in list(PLACES)[:2] for chip in chips_at(place)]
    splits = np.random.default_rng(1).choice(NAMES[:3], len(wkb)).tolist()
    path = tmp_path / "chips.parquet"
    pq.write_table(as_rows(wkb, splits), path, row_group_size=7)
    whole = check_leakage(as_rows(wkb, splits), buffer_m=3000)
    monkeypatch.setattr(candidates, "HELD_BYTES", 10_000)
    monkeypatch.setattr(near_pairs, "AT_ONCE", 3)
    monkeypatch.setattr(candidates, "BAND_ROWS", 10)
    parts = check_leakage(path, buffer_m=3000)
    for one, other in ((parts.overlap, whole.overlap), (parts.near, whole.near)):
        assert (one.pairs, one.chips) == (other.pairs, other.chips)
        assert one.shared_m2 == pytest.approx(other.shared_m2)
    assert parts.distances == whole.distances
    assert whole.overlap.is_complete
    monkeypatch.setattr(near_pairs, "MOST_PAIRS", 10)
    some = check_leakage(path, buffer_m=3000)
    assert not some.overlap.is_complete
    assert some.overlap.pairs <= whole.overlap.pairs
    assert (some.overlap.chips, some.near.chips) == (whole.overlap.chips, whole.near.chips)
    assert "at least" in str(some)


def test_classes_that_a_split_lacks_are_named():
    wkb = [shapely.box(x, 0, x + 0.5, 1).wkb for x in range(4)]
    rows = as_rows(wkb, ["train", "train", "test", "test"], cover=["crop", "forest", "crop", None])
    assert check_leakage(rows).lacking is None
    report = check_leakage(rows, classes="cover", forbid=["overlap", "class"])
    assert report.lacking == {"train": (), "test": ("forest",)}
    assert report.leaks
    assert "test lacks the classes: forest" in str(report)


def test_items_of_several_splits_are_counted():
    wkb = [shapely.box(x, 0, x + 0.5, 1).wkb for x in range(4)]
    named = {"item_id": ["one", "one", "two", "two"], "platform": ["a", "b", "a", "a"]}
    rows = as_rows(wkb, ["train", "test", "test", "train"], **named)
    report = check_leakage(rows)
    assert (report.items, report.leaks, report.found) == (1, False, ("item",))
    assert check_leakage(rows, forbid=["item"]).leaks
    assert check_leakage(rows.drop_columns(["item_id"])).items is None


def test_distances_are_those_to_the_nearest_chip_for_training():
    wkb = [shapely.box(x, 0, x + 0.5, 1).wkb for x in (0, 1, 3, 179.75)]
    report = check_leakage(as_rows(wkb, ["train", "test", "test", "train"]))
    distance = report.distances["test"]
    lengths = [GEOD.inv(0.25, 0.5, x, 0.5)[2] for x in (1.25, 3.25)]
    assert (distance.to, distance.chips) == ("train", 2)
    assert distance.quantiles_m[0] == pytest.approx(lengths[0])
    assert distance.quantiles_m[0.5] == pytest.approx(np.mean(lengths))


def test_the_nearest_of_many_places_is_found_everywhere():
    random = np.random.default_rng(3)
    lon, lat = random.uniform(-180, 180, 400), np.rad2deg(np.arcsin(random.uniform(-1, 1, 400)))
    wkb = [shapely.box(x, y, x + 1e-6, y + 1e-6).wkb for x, y in zip(lon, lat, strict=True)]
    splits = ["train" if place % 4 else "test" for place in range(400)]
    report = check_leakage(as_rows(wkb, splits))
    train = np.array([name == "train" for name in splits])
    nearest = [
        GEOD.inv(np.full(train.sum(), x), np.full(train.sum(), y), lon[train], lat[train])[2].min()
        for x, y in zip(lon[~train], lat[~train], strict=True)
    ]
    found = report.distances["test"].quantiles_m
    assert list(found.values()) == pytest.approx(np.quantile(nearest, list(found)), abs=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "spilt"}, "no column 'spilt'; it has: split, geometry"),
        ({"by": "one"}, "fewer than two splits"),
        ({"by": "geometry"}, "not names of splits"),
        ({"by": "number"}, "more than 63 values"),
        ({"buffer_m": -1}, "buffer_m must be 0 to"),
        ({"buffer_m": float("nan")}, "buffer_m must be 0 to"),
        ({"forbid": ["overlaps"]}, "forbid must be a list of overlap, near"),
        ({"forbid": "overlap"}, "forbid must be a list of overlap, near"),
        ({"forbid": ["class"]}, "pass classes="),
        ({"forbid": ["item"]}, "no column item_id"),
        ({"forbid": ["block"]}, "does not tell blocks"),
        ({"classes": "land"}, "no column 'land'"),
    ],
)
def test_wrong_arguments_are_refused(options: dict, said: str):
    wkb = [shapely.box(x, 0, x + 0.5, 1).wkb for x in range(80)]
    rows = as_rows(wkb, ["a", "b"] * 40, one=["x"] * 80, number=list(range(80)))
    with pytest.raises(UsageError, match=said):
        check_leakage(rows, **options)


def test_what_has_no_footprints_is_refused(tmp_path: Path):
    with pytest.raises(IndexFormatError, match="has no geometry; it has: split"):
        check_leakage(pa.table({"split": ["a", "b"]}))
    pq.write_table(pa.table({"split": ["a", "b"]}), tmp_path / "plain.parquet")
    with pytest.raises(IndexFormatError, match="has no geometry"):
        check_leakage(tmp_path / "plain.parquet")
    with pytest.raises(UsageError, match="a path or a table, not a int"):
        check_leakage(3)
    with pytest.raises(ObjectNotFound):
        check_leakage(tmp_path / "nothing")
    moon = geopandas.GeoDataFrame(
        {"split": ["a", "b"]},
        geometry=[shapely.box(0, 0, 1, 1)] * 2,
        crs="+proj=longlat +R=1737400",
    )
    with pytest.raises(IndexFormatError, match="another body"):
        check_leakage(moon)


def test_a_report_reads_well_and_is_plain_values_for_json():
    wkb = [shapely.box(x, 0, x + 1, 1).wkb for x in (0, 0.5, 9)]
    rows = as_rows(wkb, ["train", "test", "test"], chipid=["a-0-0", "b-0-0", "b-9-0"])
    report = check_leakage(rows, buffer_m=500)
    lines = str(report).splitlines()
    assert lines[0] == "The splits leak: overlap"
    assert lines[1] == "chips: train 1, test 2"
    assert "  6,154.23 km2 (50.0% of the smaller): a-0-0 (train)" in lines
    assert all(len(line) <= 60 for line in lines)
    assert lines[-5].startswith("  least ")
    assert lines[-1].startswith("  median ")
    document = report.to_dict()
    assert document["leaks"]
    assert document["overlap"]["worst"][0]["chips"] == ("a-0-0", "b-0-0")
    assert document["blocks"] is None


def test_distances_that_are_all_the_same_take_one_line():
    wkb = [shapely.box(x, 0, x + 1, 1).wkb for x in (0, 2)]
    lines = str(check_leakage(as_rows(wkb, ["train", "test"]))).splitlines()
    assert lines[-2:] == [
        "from test to the nearest of train, middle to middle:",
        "  least to median 222.6 km",
    ]
