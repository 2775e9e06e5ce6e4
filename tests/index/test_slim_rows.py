"""Indexes with slim bounds, and those without footprints: other bytes, and the same chips."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from index.tables import TAKEN, make_item, make_table, make_tables, rows_of
from stacchip.errors import IndexFormatError, UsageError
from stacchip.grid.footprints import BBOX
from stacchip.index import (
    KEY,
    SCHEMA,
    ChipGrid,
    build_table,
    concat_indexes,
    merge_indexes,
    read_index,
    remove,
    scan_index,
    validate,
    write_index,
)

EDGES = {
    "over the antimeridian": ("EPSG:32601", Affine(10, 0, 166_000, 0, -10, 7_680)),
    "around the pole": ("EPSG:3413", Affine(10, 0, -3_840, 0, -10, 3_840)),
    "in degrees": ("EPSG:4326", Affine(0.001, 0, -180, 0, -0.001, 90)),
    "small chips": ("EPSG:2193", Affine(0.075, 0, 2_030_000, 0, -0.075, 5_700_000)),
}


def build(item_id: str, crs: str, transform: Affine) -> pa.Table:
    grid = ChipGrid(GeoBox((768, 768), transform, crs), 256)
    return build_table(make_item(item_id), grid, platform="mine", datetime=TAKEN, reference="red")


TABLE = concat_indexes(
    [*make_tables(8), *(build(name, *grid) for name, grid in EDGES.items())]
)  # whose items record no grid in part
KEPT = concat_indexes(
    [*(build(name, *grid) for name, grid in EDGES.items()), build("plain", "EPSG:32633",
     Affine(10, 0, 500_000, 0, -10, 4_000_000))]
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same chips with footprints and without."""
    root = tmp_path_factory.mktemp("indexes")
    write_index(KEPT, root / "whole")
    write_index(KEPT, root / "slim", geometry="none")
    return root / "whole", root / "slim"


def as_before(table: pa.Table, path) -> None:
    """Write a table as earlier versions did: with bounds in float64."""
    exact = [shapely.from_wkb(wkb).bounds for wkb in table["geometry"].to_pylist()]
    boxes = [dict(zip(BBOX.names, box, strict=True)) for box in exact]
    place = table.schema.get_field_index("bbox")
    path.mkdir(parents=True)
    before = table.set_column(place, table.schema.field(place), pa.array(boxes, BBOX))
    pq.write_table(before, path / "chips.parquet")


# -- the files


def test_bounds_are_stored_in_float32_and_read_in_float64(folders):
    stored = pq.read_table(folders[0])
    assert {side.type for side in stored.schema.field("bbox").type} == {pa.float32()}
    assert read_index(folders[0]).schema.field("bbox").type == BBOX
    assert rows_of(read_index(folders[0])) == rows_of(KEPT)


def test_stored_bounds_hold_the_footprints(tmp_path):
    write_index(TABLE, tmp_path)
    rows = pq.read_table(tmp_path).to_pylist()
    for row in rows:
        footprint = shapely.from_wkb(row["geometry"])
        assert shapely.box(*row["bbox"].values()).covers(footprint)
        assert tuple(row["bbox"].values()) == pytest.approx(footprint.bounds, abs=2**-16)


def test_bounds_are_split_into_streams_of_bytes(folders):
    group = pq.read_metadata(folders[0] / "chips.parquet").row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    split = [each.path_in_schema for each in columns if "BYTE_STREAM_SPLIT" in each.encodings]
    assert split == [f"bbox.{side}" for side in BBOX.names]


def test_a_file_without_footprints_claims_none(folders):
    schema = pq.read_schema(folders[1] / "chips.parquet")
    assert "geometry" not in schema.names
    assert b"geo" not in schema.metadata
    assert schema.names == [name for name in SCHEMA.names if name != "geometry"]


def test_a_file_with_footprints_is_geoparquet(folders):
    schema = pq.read_schema(folders[0] / "chips.parquet")
    said = json.loads(schema.metadata[b"geo"])
    assert said["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]


def test_without_footprints_a_chip_takes_half_of_the_space(tmp_path):
    table = make_table(chips=(60, 60))
    write_index(table, tmp_path / "whole")
    write_index(table, tmp_path / "slim", geometry="none")
    whole, slim = ((tmp_path / name / "chips.parquet").stat().st_size for name in ("whole", "slim"))
    assert slim < whole / 2


@pytest.mark.parametrize("write", [write_index, merge_indexes])
def test_an_unknown_form_is_refused(tmp_path, folders, write):
    given = KEPT if write is write_index else folders[0]
    with pytest.raises(UsageError, match='geometry must be "wkb" or "none", not \'wkt\''):
        write(given, tmp_path / "out", geometry="wkt")
    assert not (tmp_path / "out").exists()


def test_a_single_file_stores_no_footprints_either(tmp_path):
    write_index(KEPT, tmp_path / "index.parquet", geometry="none")
    assert "geometry" not in pq.read_schema(tmp_path / "index.parquet").names
    named = read_index(tmp_path / "index.parquet", columns=["chipid", "geometry"])
    assert named.to_pylist() == KEPT.select(["chipid", "geometry"]).to_pylist()


# -- footprints


def test_footprints_are_null_unless_they_are_asked_for(folders):
    table = read_index(folders[1])
    validate(table)
    assert table.column_names == SCHEMA.names
    assert table["geometry"].null_count == table.num_rows
    assert table.drop_columns("geometry").equals(read_index(folders[0]).drop_columns("geometry"))


@pytest.mark.parametrize(
    "read", [read_index, lambda *a, **k: pa.concat_tables(scan_index(*a, **k))]
)
def test_footprints_asked_for_by_name_are_made(folders, read):
    columns = ["item_id", "chip_index_x", "chip_index_y", "geometry"]
    whole, slim = (read(path, columns=columns) for path in folders)
    assert slim.to_pylist() == whole.to_pylist()
    assert slim["geometry"].null_count == 0


def test_footprints_of_chosen_chips_are_made(folders):
    chosen = {"item_id": "plain", "columns": ["geometry"], "bbox": (15, 36.05, 15.03, 36.12)}
    whole, slim = (read_index(path, **chosen) for path in folders)
    assert slim.equals(whole)
    assert 0 < slim.num_rows < 9


def test_footprints_that_no_item_tells_raise_an_error_that_says_so(tmp_path):
    write_index(KEPT, tmp_path / "index", geometry="none")
    (tmp_path / "index" / "_items.parquet").rename(tmp_path / "gone.parquet")
    chips = tmp_path / "alone"
    chips.mkdir()
    (tmp_path / "index" / "chips.parquet").rename(chips / "chips.parquet")
    assert read_index(chips).num_rows == KEPT.num_rows
    with pytest.raises(IndexFormatError, match="column 'geometry' is absent") as caught:
        read_index(chips, columns=["geometry"])
    assert caught.value.column == "geometry"


def test_footprints_come_back_when_a_slim_table_is_written(tmp_path, folders):
    write_index(read_index(folders[1]), tmp_path / "whole")
    assert (tmp_path / "whole" / "chips.parquet").read_bytes() == (
        folders[0] / "chips.parquet"
    ).read_bytes()


def test_chips_of_unknown_items_keep_no_footprint(tmp_path):
    table = pa.concat_tables([KEPT, make_table("stranger")]).replace_schema_metadata(
        KEPT.schema.metadata
    )
    place = table.schema.get_field_index("geometry")
    nothing = pa.nulls(table.num_rows, pa.binary())
    table = table.set_column(place, table.schema.field(place), nothing)
    write_index(table, tmp_path)
    read = read_index(tmp_path)
    lacking = read.filter(pc.is_null(read["geometry"]))
    assert lacking["item_id"].unique().to_pylist() == ["stranger"]


# -- filters

bounds = KEPT["bbox"].to_pylist()
lons = st.sampled_from([side for box in bounds for side in (box["xmin"], box["xmax"])])
lats = st.sampled_from([side for box in bounds for side in (box["ymin"], box["ymax"])])
nudges = st.sampled_from([0, 1e-12, -1e-12, 1e-7, -1e-7, 1e-4, -1e-4])
near_lons = st.tuples(lons, nudges).map(lambda pair: float(np.clip(sum(pair), -180, 180)))
near_lats = st.tuples(lats, nudges).map(lambda pair: float(np.clip(sum(pair), -90, 90)))
boxes = st.tuples(near_lons, near_lats, near_lons, near_lats).map(
    lambda box: (box[0], min(box[1], box[3]), box[2], max(box[1], box[3]))
)


def keys(table: pa.Table) -> list[tuple]:
    return sorted(tuple(row.values()) for row in table.select(KEY).to_pylist())


def expected(box: tuple[float, float, float, float]) -> list[tuple]:
    """The chips whose true footprints meet a box."""
    west, south, east, north = box
    sides = [(west, east)] if west <= east else [(west, 180), (-180, east)]
    met = np.zeros(KEPT.num_rows, bool)
    footprints = shapely.from_wkb(KEPT["geometry"].to_pylist())
    for left, right in sides:
        if left < right and south < north:
            met |= shapely.intersects(shapely.box(left, south, right, north), footprints)
        else:
            met |= shapely.intersects(
                shapely.LineString([(left, south), (right, north)]), footprints
            )
    return keys(KEPT.filter(pa.array(met)))


@settings(deadline=None, max_examples=60)
@given(boxes)
@example((-180.0, -90.0, 180.0, 90.0))
@example((179.9, -1.0, -179.9, 1.0))
@example((10.0, -1.0, 11.0, 1.0))  # where the bounds of chips at the antimeridian are, and no chip
def test_a_box_finds_its_chips_and_no_others_in_either_form(folders, box):
    if (box[0], box[1]) == (box[2], box[3]):
        return
    wanted = expected(box)
    assert [keys(read_index(path, bbox=box)) for path in folders] == [wanted, wanted]


def test_without_items_a_box_loses_no_chip(tmp_path, folders):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "chips.parquet").write_bytes((folders[1] / "chips.parquet").read_bytes())
    box = (15.03, 36.06, 15.06, 36.09)
    assert {*expected(box)} <= {*keys(read_index(alone, bbox=box))}


# -- indexes of both forms, and of the form before


def test_indexes_of_the_form_before_are_read_as_they_are(tmp_path):
    as_before(KEPT, tmp_path / "before")
    read = read_index(tmp_path / "before")
    for row in read.to_pylist():
        assert tuple(row["bbox"].values()) == shapely.from_wkb(row["geometry"]).bounds


@pytest.mark.parametrize("geometry", ["wkb", "none"])
def test_indexes_of_all_forms_merge(tmp_path, folders, geometry):
    tables = make_tables(3)
    as_before(tables[0], tmp_path / "before")
    write_index(tables[1], tmp_path / "now")
    write_index(tables[2], tmp_path / "slim", geometry="none")
    paths = [tmp_path / "before", tmp_path / "now", tmp_path / "slim", folders[1]]
    merge_indexes(paths, tmp_path / "all", geometry=geometry)
    every = concat_indexes([*tables, KEPT])
    merged = read_index(tmp_path / "all")
    assert keys(merged) == keys(every)
    for name in ("bbox", "chipid", "crs", "cloud_cover_percentage"):
        assert {str(row) for row in merged.select([*KEY, name]).to_pylist()} == {
            str(row) for row in every.select([*KEY, name]).to_pylist()
        }
    names = pq.read_schema(next((tmp_path / "all").glob("chips*.parquet"))).names
    assert ("geometry" in names) == (geometry == "wkb")
    if geometry == "wkb":  # the items of the third tell no grid
        lacking = merged.filter(pc.is_null(merged["geometry"]))
        assert lacking["item_id"].unique().to_pylist() == ["item-002"]


def test_a_merge_of_slim_indexes_is_a_merge_of_whole_ones(tmp_path, folders):
    merge_indexes(folders[0], tmp_path / "one")
    merge_indexes(folders[1], tmp_path / "other")
    one, other = ((tmp_path / name / "chips.parquet").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_folder_of_both_forms_is_one_index(tmp_path, folders):
    """As after a removal from an index of the form before."""
    as_before(make_table("a"), tmp_path / "index" / "before")
    write_index(make_table("b"), tmp_path / "index" / "now")
    write_index(make_table("c"), tmp_path / "index" / "slim", geometry="none")
    assert read_index(tmp_path / "index").num_rows == 36
    assert read_index(tmp_path / "index", bbox=(-180, -90, 180, 90)).num_rows == 36


def test_pyarrow_reads_files_of_the_form_before_beside_those_of_now(tmp_path):
    as_before(make_table("a"), tmp_path / "index" / "a")
    write_index(make_table("b"), tmp_path / "index" / "b")
    table = ds.dataset(tmp_path / "index", format="parquet").to_table(columns=["bbox", "item_id"])
    assert table["item_id"].unique().to_pylist() == ["a", "b"]


@pytest.mark.parametrize("geometry", ["wkb", "none"])
def test_a_removal_keeps_the_form(tmp_path, geometry):
    write_index(KEPT, tmp_path, geometry=geometry)
    remove(tmp_path, item_id="plain")
    schema = pq.read_schema(tmp_path / "chips.parquet")
    assert ("geometry" in schema.names) == (geometry == "wkb")
    assert (b"geo" in schema.metadata) == (geometry == "wkb")
    named = read_index(tmp_path, columns=["geometry"])
    assert named["geometry"].null_count == 0
    assert named.num_rows == KEPT.num_rows - 9
    remove(tmp_path, platform="mine")
    schema = pq.read_schema(tmp_path / "chips.parquet")
    assert ("geometry" in schema.names) == (geometry == "wkb")


def test_chips_off_the_earth_have_no_bounds_and_no_footprint(tmp_path):
    sinusoidal = Affine(40_000, 0, -20_000_000, 0, -40_000, 10_000_000)
    grid = ChipGrid(GeoBox((500, 1000), sinusoidal, "ESRI:54008"), 25)
    table = build_table(make_item("sinusoidal"), grid, platform="mine", datetime=TAKEN,
                        reference="red")  # fmt: skip
    assert table["bbox"].null_count > 0
    write_index(table, tmp_path, geometry="none")
    read = read_index(tmp_path, columns=["geometry", "bbox"])
    assert read["bbox"].null_count == read["geometry"].null_count == table["bbox"].null_count
    assert not any(
        math.isnan(side) for box in read["bbox"].to_pylist() if box for side in box.values()
    )
