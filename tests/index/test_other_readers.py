"""Indexes are read by geopandas, DuckDB, pyarrow and geoarrow without us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import duckdb_extension_spatial
import geopandas
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_header, make_table, make_tables, rows_of
from stacchip.index import SCHEMA, embedded_items, merge_indexes, read_index, write_index


@pytest.fixture(params=["plain file", "written file", "folder", "merged folder"])
def index(request, tmp_path):
    """An index of 2 x 12 chips in each form it comes in, and the pattern of its files."""
    several = pa.concat_tables([make_table("a"), make_table("b", zone=1, platform="landsat")])
    if request.param == "plain file":
        pq.write_table(several, tmp_path / "index.parquet")
        return tmp_path / "index.parquet", tmp_path / "index.parquet"
    if request.param == "written file":
        write_index(several, tmp_path / "index.parquet")
        return tmp_path / "index.parquet", tmp_path / "index.parquet"
    write_index(several, tmp_path / "one", headers={"a": {"red": make_header()}})
    if request.param == "merged folder":
        merge_indexes(tmp_path / "one", tmp_path / "two")
        return tmp_path / "two", tmp_path / "two" / "chips*.parquet"
    return tmp_path / "one", tmp_path / "one" / "chips*.parquet"


def test_geopandas_reads_it(index):
    path, _ = index
    frame = geopandas.read_parquet(path)
    assert len(frame) == 24
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry.is_valid.all()
    assert list(frame["platform"].unique()) in (
        ["sentinel-2-l2a", "landsat"],
        ["landsat", "sentinel-2-l2a"],
    )


def test_geopandas_filters_it_by_its_covering(index):
    path, _ = index
    every = geopandas.read_parquet(path)
    west, south, east, north = every.geometry.iloc[0].buffer(-0.001).bounds
    assert len(geopandas.read_parquet(path, bbox=(west, south, east, north))) == 1


def test_duckdb_reads_it(index):
    _, pattern = index
    found = duckdb.sql(
        "select platform, count(*), min(cloud_cover_percentage), max(bbox.xmax), "
        f"any_value(typeof(geometry)) from read_parquet('{pattern}') group by 1 order by 1"
    ).fetchall()
    assert [row[:3] for row in found] == [("landsat", 12, 0.0), ("sentinel-2-l2a", 12, 0.0)]
    assert all(row[4].startswith("GEOMETRY") for row in found)


def test_duckdb_reads_its_geometry_with_the_spatial_extension(index):
    binary = next(Path(duckdb_extension_spatial.__file__).parent.rglob("spatial.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"load '{binary}'")
    area = connection.execute(
        f"select sum(st_area(geometry)) from read_parquet('{index[1]}')"
    ).fetchone()[0]
    footprints = geopandas.read_parquet(index[0]).geometry.array
    assert area == pytest.approx(shapely.area(footprints).sum())


def test_polars_reads_it(index):
    _, pattern = index
    frame = pl.read_parquet(pattern)
    assert frame.group_by("platform").len().sort("platform").rows() == [
        ("landsat", 12),
        ("sentinel-2-l2a", 12),
    ]
    assert frame.filter(pl.col("bbox").struct.field("xmin") < 0).height == 12


def test_pyarrow_reads_it(index):
    path, _ = index
    table = pq.read_table(path)
    assert table.num_rows == 24
    assert set(SCHEMA.names) <= set(table.column_names)
    assert (
        ds.dataset(path, format="parquet").count_rows(filter=ds.field("platform") == "landsat")
        == 12
    )


@pytest.fixture(params=["single file", "folder", "merged folder"])
def slim(request, tmp_path):
    """An index without footprints in each form it comes in, and the pattern of its files."""
    several = pa.concat_tables([make_table("a"), make_table("b", zone=1, platform="landsat")])
    if request.param == "single file":
        write_index(several, tmp_path / "index.parquet", geometry="none")
        return tmp_path / "index.parquet", tmp_path / "index.parquet"
    write_index(several, tmp_path / "one", geometry="none")
    if request.param == "merged folder":
        merge_indexes(tmp_path / "one", tmp_path / "two", geometry="none")
        return tmp_path / "two", tmp_path / "two" / "chips*.parquet"
    return tmp_path / "one", tmp_path / "one" / "chips*.parquet"


def test_duckdb_filters_an_index_without_footprints(slim):
    found = duckdb.sql(
        f"select platform, count(*) from read_parquet('{slim[1]}') "
        "where bbox.xmax >= -180 and bbox.xmin <= 0 group by 1"
    ).fetchall()
    assert found == [("landsat", 12)]


def test_polars_filters_an_index_without_footprints(slim):
    west = pl.col("bbox").struct.field("xmin")
    assert pl.scan_parquet(slim[1]).filter(west < 0).collect().height == 12


def test_pyarrow_filters_an_index_without_footprints(slim):
    dataset = ds.dataset(slim[0], format="parquet")
    assert dataset.count_rows(filter=ds.field("bbox", "xmin") < 0) == 12


def test_pandas_reads_an_index_without_footprints_and_geopandas_says_why_it_cannot(slim):
    frame = pd.read_parquet(slim[0])
    assert len(frame) == 24
    with pytest.raises(ValueError, match="geo metadata"):
        geopandas.read_parquet(slim[0])
    boxes = shapely.box(*(frame.bbox.str[side] for side in ("xmin", "ymin", "xmax", "ymax")))
    placed = geopandas.GeoDataFrame(frame, geometry=boxes, crs="OGC:CRS84")
    west = placed[placed.geometry.bounds.maxx < 0]
    assert set(west.platform) == {"landsat"}
    write_index(west, slim[0].parent / "west")
    assert read_index(slim[0].parent / "west").num_rows == 12


def test_footprints_that_come_back_are_read_by_geopandas(slim):
    whole = slim[0].parent / "whole"
    write_index(read_index(slim[0]), whole, items=[])
    assert geopandas.read_parquet(whole).crs == "OGC:CRS84"


def test_geoarrow_reads_it(index):
    # in a process of its own: importing geoarrow.pyarrow changes what pyarrow reads from then on
    path, _ = index
    program = (
        "import os\n"
        "import sys\n"
        "import geoarrow.pyarrow.dataset as gads\n"
        "dataset = gads.dataset(sys.argv[1], format='parquet')\n"
        "table = dataset.to_table()\n"
        "assert table.num_rows == 24\n"
        "assert dataset.geometry_columns == ('geometry',)\n"
        "assert table.schema.field('geometry').type.extension_name == 'geoarrow.wkb'\n"
        "here = dataset.filter_fragments('POLYGON ((-170 -80, -170 -79, -169 -79, -170 -80))')\n"
        "assert here.to_table().num_rows == 0\n"
        "from stacchip.index import read_index, merge_indexes\n"
        "assert read_index(sys.argv[1], bbox=(-180, -90, 180, 90)).num_rows == 24\n"
        "import geopandas\n"
        "assert len(geopandas.read_parquet(sys.argv[1])) == 24\n"
        "merge_indexes(sys.argv[1], sys.argv[2])\n"
        "assert read_index(sys.argv[2]).num_rows == 24\n"
        # a thread of pyarrow may still hold geoarrow's type, which is Python's: if it lets go of it
        # while Python exits, pyarrow 26 aborts the process
        "os._exit(0)\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, path, path.parent / "again"], check=True
    )


@pytest.mark.parametrize("ours", [False, True], ids=["as pyarrow writes it", "as we write it"])
@pytest.mark.parametrize("names", [["item_id"], ["platform", "item_id"]], ids=" ".join)
def test_pyarrow_merges_folders_of_items(tmp_path, names, ours):
    tables = make_tables(3)
    for table in tables:
        row = table.slice(0, 1).to_pylist()[0]
        folder = tmp_path.joinpath("index", *(row[name] for name in names))
        if ours:
            write_index(table, folder, name=f"index_{row['item_id']}.parquet")
        else:
            folder.mkdir(parents=True)
            pq.write_table(table, folder / f"index_{row['item_id']}.parquet")
    dataset = ds.dataset(
        tmp_path / "index", format="parquet", partitioning=ds.partitioning(field_names=names)
    )
    ds.write_dataset(dataset, tmp_path / "merged", format="parquet")
    merged = read_index(tmp_path / "merged")
    assert rows_of(merged) == rows_of(pa.concat_tables(tables))
    if not ours:
        # pyarrow keeps the first file's metadata: it says nothing of the other items
        assert len(embedded_items(merged)) == 1
    frame = geopandas.read_parquet(tmp_path / "merged")
    assert len(frame) == len(merged)
