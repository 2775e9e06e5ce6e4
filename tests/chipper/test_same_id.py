"""Two items with one id, of two collections: each chip has the pixels of its own item."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine

from stacchip.chipper import Chipper
from stacchip.errors import InvalidMetadata, ItemNotFound, UsageError
from stacchip.index import (
    add_headers,
    concat_indexes,
    embedded_items,
    gather_headers,
    merge_indexes,
    read_index,
    read_records,
    write_headers,
    write_index,
)
from stacchip.index.foreign.tables import as_table
from stacchip.indexer import NoStatsChipIndexer, index_items
from stacchip.items import ItemKey
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Callable

MONTHS = {"january": 1, "february": 2}
_ITEMS = b"stacchip:items"


class Mine(NoStatsChipIndexer):
    """Calls every platform by a name of its own."""

    platform = "mine"


@pytest.fixture
def quads(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Items without an address; every pixel of a quad is the number of its month."""
    return {month: make_quad(tmp_path / f"{month}.tif", month) for month in MONTHS}


@pytest.fixture
def tables(quads: dict[str, dict[str, Any]]) -> list[pa.Table]:
    return [NoStatsChipIndexer(quad).create_index() for quad in quads.values()]


def make_quad(path: Path, collection: str, value: int | None = None) -> dict[str, Any]:
    value = MONTHS[collection] if value is None else value
    with rasterio.open(
        path, "w", driver="GTiff", height=256, width=256, count=1, dtype="uint8",
        crs="EPSG:3857", transform=Affine(5, 0, 0, 0, -5, 0), tiled=True,
    ) as file:  # fmt: skip
        file.write(np.full((1, 256, 256), value, "uint8"))
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        # an id of its own for each test, since a process remembers the items of its tables
        "id": path.parent.name,
        "collection": collection,
        "geometry": None,
        "properties": {"datetime": "2024-01-01T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
    }


def values_of(index: Any, **options: Any) -> dict[str, int]:
    """The value of the chips of each platform, as `chip` and a stream agree on it."""
    chipper = Chipper(index, **options)
    platforms = chipper.rows.table["platform"].unique().to_pylist()
    found = {name: int(chipper.chip(0, 0, platform=name)["data"][0, 0, 0]) for name in platforms}
    streamed = {chip.platform: int(chip.array[0, 0, 0]) for chip in ChipStream(index, **options)}
    assert streamed == found
    return found


def with_ids_alone(table: pa.Table) -> pa.Table:
    """A table whose items have the id alone, as earlier versions wrote them."""
    items = json.loads(table.schema.metadata[_ITEMS])
    by_id = json.dumps({item["id"]: item for item in items.values()})
    return table.replace_schema_metadata({**table.schema.metadata, _ITEMS: by_id})


def write_each(tables: list[pa.Table], folder: Path) -> Path:
    folder.mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return folder


# -- every form of an index ------------------------------------------------------------------------


def one_file(tables: list[pa.Table], path: Path) -> str:
    write_index(concat_indexes(tables), path / "all.parquet")
    return str(path / "all.parquet")


def merged(tables: list[pa.Table], path: Path) -> str:
    merge_indexes(write_each(tables, path / "parts"), path / "merged")
    return str(path / "merged")


def folders(tables: list[pa.Table], path: Path) -> str:
    for number, table in enumerate(tables):
        write_index(table, path / "folders" / str(number))
    return str(path / "folders")


def of_dataset(tables: list[pa.Table], path: Path) -> pa.Table:
    return ds.dataset(write_each(tables, path / "parts"), format="parquet").to_table()


FORMS: dict[str, Callable[[list[pa.Table], Path], Any]] = {
    "one file": one_file,
    "folder of files": lambda tables, path: str(write_each(tables, path / "parts")),
    "folder of indexes": folders,
    "merged folder": merged,
    "concat_indexes": lambda tables, _: concat_indexes(tables),
    "pyarrow": lambda tables, _: pa.concat_tables(tables),
    "pyarrow, the other way": lambda tables, _: pa.concat_tables(tables[::-1]),
    "pyarrow dataset": of_dataset,
    "without metadata": lambda tables, _: pa.concat_tables(tables).replace_schema_metadata(None),
    "folders, put together": lambda tables, path: concat_indexes(
        [read_index(part) for part in sorted(Path(folders(tables, path)).iterdir())]
    ),
    "folders, put together by pyarrow": lambda tables, path: pa.concat_tables(
        [read_index(part) for part in sorted(Path(folders(tables, path)).iterdir())]
    ),
    "pandas": lambda tables, _: pa.concat_tables(tables).to_pandas(),
    "read, put together": lambda tables, path: pa.concat_tables(
        [read_index(part) for part in sorted(write_each(tables, path / "parts").iterdir())]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_chips_of_one_id_have_the_pixels_of_their_own_item(tables, tmp_path, form):
    index = FORMS[form](tables, tmp_path)
    assert values_of(index) == MONTHS


@pytest.mark.parametrize("month", MONTHS)
@pytest.mark.parametrize("form", FORMS)
def test_a_part_of_an_index_has_the_items_of_its_rows(tables, tmp_path, form, month):
    index = FORMS[form](tables, tmp_path)
    table = read_index(index) if isinstance(index, str) else as_table(index)
    chosen = table.filter(pc.field("platform") == month)
    assert values_of(chosen) == {month: MONTHS[month]}
    write_index(chosen, tmp_path / "part.parquet")
    assert values_of(str(tmp_path / "part.parquet")) == {month: MONTHS[month]}


@pytest.mark.parametrize("name", ["index", "index.parquet"])
def test_items_at_one_address_are_told_apart(quads, tmp_path, name):
    source = tmp_path / "both.json"
    features = list(quads.values())
    source.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    index_items(str(source), tmp_path / name)
    assert values_of(str(tmp_path / name)) == MONTHS
    bare = read_index(tmp_path / name).replace_schema_metadata(None)
    assert values_of(bare) == MONTHS


def test_another_process_has_what_was_remembered(tables, tmp_path):
    chipper = Chipper(pa.concat_tables(tables))
    program = (
        "import pickle, sys\n"
        "chipper = pickle.load(sys.stdin.buffer)\n"
        "print([int(chipper[row][2]['data'][0, 0, 0]) for row in (0, 1)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(chipper),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == [1, 2]


def test_an_item_that_cannot_be_known_is_an_error_with_the_remedy(tables, quads, tmp_path):
    other = make_quad(tmp_path / "other.tif", "february", 7)
    NoStatsChipIndexer(other).create_index()  # now two items are remembered under one key
    index = pa.concat_tables(tables)
    with pytest.raises(ItemNotFound, match=r"'february'.*items=.*concat_indexes"):
        Chipper(index).chip(0, 0, platform="february")
    assert values_of(index, items=[quads["february"]]) == MONTHS


# -- given by hand ---------------------------------------------------------------------------------


def test_items_that_are_given_go_to_their_own_platforms(tables, quads, tmp_path):
    bare = pa.concat_tables(tables).replace_schema_metadata(None)
    assert values_of(bare, items=list(quads.values())[::-1]) == MONTHS
    write_index(bare, tmp_path / "index", items=list(quads.values()))
    assert values_of(str(tmp_path / "index")) == MONTHS
    keyed = {(month, quad["id"]): quad for month, quad in quads.items()}
    write_index(bare, tmp_path / "keyed", items=keyed)
    assert values_of(str(tmp_path / "keyed")) == MONTHS


def test_a_platform_of_ones_own_name_has_the_item_of_its_id(quads, tmp_path):
    table = Mine(quads["january"]).create_index()
    assert values_of(table) == {"mine": 1}
    bare = table.replace_schema_metadata(None)
    assert values_of(bare, items=quads["january"]) == {"mine": 1}
    write_index(
        bare, tmp_path / "i", items=[quads["january"]], headers=gather_headers([quads["january"]])
    )
    (record,) = read_records(tmp_path / "i")
    assert (record.platform, set(record.headers)) == ("mine", {"data"})
    with pytest.raises(UsageError, match="'february' and 'january'"):
        Chipper(bare, items=list(quads.values()))
    assert values_of(table, items=list(quads.values())) == {"mine": 1}


@pytest.mark.parametrize("form", ["table", "index"])
def test_an_item_of_another_collection_is_not_taken_by_its_id(tables, quads, tmp_path, form):
    write_index(tables[1], tmp_path / "index")
    index = tables[1] if form == "table" else read_index(tmp_path / "index")
    words = r"has '.*' \(january\), and the index has '.*' \(february\): another item"
    with pytest.raises(UsageError, match=words):
        Chipper(index, items=[quads["january"]]).cut_row(0)
    with pytest.raises(UsageError, match=words):
        write_index(index, tmp_path / "other", items=[quads["january"]])
    headers = gather_headers(quads["january"])
    with pytest.raises(UsageError, match=words):
        write_index(index, tmp_path / "other", headers=headers)
    with pytest.raises(UsageError, match=words):
        write_headers(tmp_path / "index", headers)
    assert values_of(index, items=[quads["february"]]) == {"february": 2}


def test_headers_are_those_of_their_own_item(quads, tables, tmp_path):
    headers = gather_headers(list(quads.values()))
    quad = quads["january"]["id"]
    assert set(headers) == {ItemKey("january", quad), ItemKey("february", quad)}
    write_index(concat_indexes(tables), tmp_path / "given", headers=headers)
    write_index(concat_indexes(tables), tmp_path / "added")
    assert add_headers(tmp_path / "added") == 2
    for name in ("given", "added"):
        assert values_of(str(tmp_path / name)) == MONTHS
        for record in read_records(tmp_path / name):
            assert record.headers["data"].identity == headers[record.key]["data"].identity
    with pytest.raises(UsageError, match="'february' and 'january'"):
        write_index(concat_indexes(tables), tmp_path / "plain", headers={quad: {}})


# -- two items of one key --------------------------------------------------------------------------


@pytest.fixture
def contradicting(tables: list[pa.Table], tmp_path: Path) -> list[pa.Table]:
    """Tables of two different items of one collection and id."""
    other = make_quad(tmp_path / "other.tif", "january", 9)
    return [tables[0], NoStatsChipIndexer(other, chip_size=128).create_index()]


def test_tables_of_two_items_of_one_key_are_not_put_together(contradicting, tmp_path):
    with pytest.raises(
        UsageError, match=r"\(january\): assets\.data\.href is .*january\.tif.*other"
    ):
        concat_indexes(contradicting)
    with pytest.raises(
        InvalidMetadata, match=r"1\.parquet differs .*0\.parquet: assets\.data\.href"
    ):
        read_index(write_each(contradicting, tmp_path / "parts"))


def test_rows_of_two_items_of_one_key_are_refused_and_of_one_are_not(tables, tmp_path):
    other = make_quad(tmp_path / "other.tif", "january", 9)
    later = NoStatsChipIndexer(other).create_index()
    with pytest.raises(
        UsageError, match=r"two different items .*\(january\): assets\.data\.href is"
    ):
        Chipper(pa.concat_tables([tables[0], later]))
    # a new version of an item is no other item while each has a table of its own
    assert [values_of(table) for table in (tables[0], later)] == [{"january": 1}, {"january": 9}]


def test_rows_of_another_date_than_their_item_are_refused(tables, tmp_path):
    other = make_quad(tmp_path / "other.tif", "january", 9)
    other["properties"]["datetime"] = "2024-02-01T00:00:00Z"
    both = pa.concat_tables([tables[0], NoStatsChipIndexer(other).create_index()])
    with pytest.raises(UsageError, match=r"\(january\): properties\.datetime is"):
        Chipper(both.slice(1))
    assert values_of(both.slice(0, 1)) == {"january": 1}
    assert values_of(both.slice(1), items=[other]) == {"january": 9}


def test_indexes_of_two_items_of_one_key_are_not_read_as_one(contradicting, tmp_path):
    path = folders(contradicting, tmp_path)
    with pytest.raises(InvalidMetadata, match=r"differs from that in .*assets\.data\.href"):
        read_records(path)
    with pytest.raises(InvalidMetadata, match=r"differs from that in .*assets\.data\.href"):
        Chipper(path).cut_row(0)
    parts = [read_index(part) for part in sorted(Path(path).iterdir())]
    with pytest.raises(InvalidMetadata, match=r"differs from that in .*assets\.data\.href"):
        Chipper(concat_indexes(parts)).cut_row(0)


def test_repeats_of_an_item_are_one_item(tables, tmp_path):
    assert tables[0].num_rows == 1
    both = concat_indexes([tables[0], tables[0].slice(0, 0)])
    assert values_of(both) == {"january": 1}
    path = folders([tables[0], tables[0].slice(0, 0)], tmp_path)
    assert add_headers(f"{path}/0") == 1
    (record,) = read_records(path)
    assert record.headers


# -- indexes that are written again ----------------------------------------------------------------


def test_an_index_that_is_read_and_written_keeps_its_items_and_headers(tables, quads, tmp_path):
    first = tmp_path / "first"
    write_index(concat_indexes(tables), first, headers=gather_headers(list(quads.values())))
    table = read_index(first, platform="february")
    write_index(table, tmp_path / "again")
    (record,) = read_records(tmp_path / "again")
    assert (record.platform, set(record.headers)) == ("february", {"data"})
    write_index(table, first)  # over itself
    assert read_records(first)[0].item == record.item
    write_index(read_index(first), tmp_path / "again.parquet")
    assert set(embedded_items(pq.read_schema(tmp_path / "again.parquet"))) == {record.key}


def test_a_table_may_be_written_after_its_index_is_gone(tables, tmp_path):
    write_index(tables[0], tmp_path / "first")
    table = read_index(tmp_path / "first")
    shutil.rmtree(tmp_path / "first")
    write_index(table, tmp_path / "again")
    assert read_records(tmp_path / "again") == []


# -- what earlier versions wrote -------------------------------------------------------------------


def test_an_earlier_table_of_one_platform_opens(quads):
    for table in (
        Mine(quads["january"]).create_index(),
        NoStatsChipIndexer(quads["january"]).create_index(),
    ):
        assert set(values_of(with_ids_alone(table)).values()) == {1}


def test_an_earlier_file_of_two_platforms_gives_its_item_to_the_platform_it_names(tmp_path):
    quads = {month: make_quad(tmp_path / f"{month}.tif", month) for month in MONTHS}
    tables = [NoStatsChipIndexer(quad).create_index() for quad in quads.values()]
    pq.write_table(with_ids_alone(pa.concat_tables(tables[::-1])), tmp_path / "both.parquet")
    program = (
        "import sys\n"
        "from stacchip.chipper import Chipper\n"
        "from stacchip.errors import ItemNotFound\n"
        "from stacchip.index import read_index\n"
        "path = sys.argv[1]\n"
        "print(Chipper(path).chip(0, 0, platform='february')['data'][0, 0, 0])\n"
        "for index in (path, read_index(path, platform='january')):\n"
        "    try:\n"
        "        Chipper(index).chip(0, 0, platform='january')\n"
        "    except ItemNotFound as error:\n"
        "        print('not found')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "both.parquet")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[:3] == ["2", "not found", "not found"]


def _in_two_files(quads: dict[str, dict[str, Any]], folder: Path, *columns: str) -> list[Path]:
    """Files of the rows of each quad, as a process writes them that remembers no other's items."""
    paths = []
    for month, quad in quads.items():
        place = folder / f"{month}.json"
        place.write_text(json.dumps(quad))
        table = NoStatsChipIndexer(str(place)).create_index()
        table = table.select(columns) if columns else table
        paths.append(folder / f"{month}.parquet")
        pq.write_table(table.replace_schema_metadata(None), paths[-1])
    return paths


def test_rows_of_one_key_and_two_dates_are_refused(quads, tmp_path):
    quads["february"] |= {"collection": "january", "properties": {"datetime": "2024-02-01T00:00Z"}}
    paths = _in_two_files(quads, tmp_path)
    joined = pq.read_table(paths)
    for options in ({}, {"items": [quads["january"]]}):
        with pytest.raises(UsageError, match=r"two different items .* 2024-01-01 .* 2024-02-01"):
            Chipper(joined, **options)
    pq.write_table(joined, tmp_path / "joined.parquet")
    for index in (paths, [tmp_path / "joined.parquet"]):
        with pytest.raises(InvalidMetadata, match="two items"):
            merge_indexes(index, tmp_path / "merged", duplicates="drop")


def test_thin_rows_find_the_item_at_their_own_address(quads, tmp_path):
    thin = pq.read_table(_in_two_files(quads, tmp_path, "chipid", "item_href"))
    assert values_of(thin) == MONTHS
    quads["february"] |= {"collection": "january", "properties": {"datetime": "2024-02-01T00:00Z"}}
    thin = pq.read_table(_in_two_files(quads, tmp_path, "chipid", "item_href"))
    with pytest.raises(UsageError, match="two different items"):
        Chipper(thin)


def test_one_item_at_two_addresses_is_one_item(quads, tmp_path):
    quads["february"] = quads["january"]
    joined = pq.read_table(_in_two_files(quads, tmp_path))
    assert values_of(joined.slice(0, 1)) == {"january": 1}
    assert [chip["data"][0, 0, 0] for _, _, chip in Chipper(joined)] == [1, 1]


def test_an_item_of_another_date_is_not_taken_by_its_id(quads, tmp_path):
    january = NoStatsChipIndexer(quads["january"]).create_index().replace_schema_metadata(None)
    assert values_of(january, items=[quads["february"]]) == {"january": 2}  # the dates agree
    quads["february"]["properties"] = {"datetime": "2024-02-01T00:00:00Z"}
    with pytest.raises(UsageError, match="another item"):
        Chipper(january, items=[quads["february"]])
    with pytest.raises(UsageError, match="another item"):
        write_index(january, tmp_path / "index", items=[quads["february"]])
    assert values_of(january, items=[quads["january"]]) == {"january": 1}
