"""Rows of an index, as they are built, stored, merged and removed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import TAKEN, make_grid, make_item, make_table, make_tables, rows_of
from stacchip.errors import (
    DuplicateChips,
    IndexFormatError,
    ItemNotFound,
    SourceNotFound,
    UsageError,
)
from stacchip.index import (
    SCHEMA,
    SHARE_COLUMNS,
    add_headers,
    build_table,
    concat_indexes,
    embed_items,
    embedded_items,
    gather_headers,
    merge_indexes,
    read_index,
    read_records,
    remove,
    write_index,
)
from stacchip.index.read import read_item_index
from stacchip.index.stored import stored_rows
from stacchip.items import Archive
from stacchip.storage import Storage

SIGNED = "https://h.blob.core.windows.net/c/B04.tif?sv=2024&se=2025&sr=c&sig=abc"
TABLES = make_tables(6)
ALL = concat_indexes(TABLES)
EVERY_ROW = rows_of(ALL)


# -- built -----------------------------------------------------------------------------------------


def build(shares=None, **options) -> pa.Table:
    return build_table(
        make_item("a"), make_grid(), platform="naip", datetime=TAKEN, shares=shares, **options
    )


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(SHARE_COLUMNS)), st.floats(0, 1) | st.none()),
    st.floats(0, 1),
)
def test_shares_go_to_their_columns_and_too_much_nodata_goes(shares, limit):
    given_ = {
        name: np.full((3, 4), np.nan if share is None else share) for name, share in shares.items()
    }
    table = build(given_, chip_max_nodata=limit)
    nodata = shares.get("nodata")
    stays = nodata is None or float(np.float32(nodata)) <= limit
    assert table.num_rows == (12 if stays else 0)
    for name, column in SHARE_COLUMNS.items():
        share = shares.get(name)
        expected = None if share is None else float(np.float32(share))
        assert set(table[column].to_pylist()) <= {expected}


def test_a_share_of_each_chip_stays_with_its_chip():
    cloud = np.arange(12).reshape(3, 4) / 12
    for row in build({"cloud": cloud}).to_pylist():
        place = row["chip_index_y"], row["chip_index_x"]
        assert row["cloud_cover_percentage"] == pytest.approx(cloud[place])
        assert row["chipid"] == f"a-{row['chip_index_x']}-{row['chip_index_y']}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shares": {"haze": 0.1}}, r"No share is called \['haze'\]"),
        ({"shares": {"cloud": np.zeros((4, 3))}}, r"shape \(4, 3\), but the grid has \(3, 4\)"),
        ({"datetime": datetime(2024, 1, 1)}, "no time zone"),
    ],
)
def test_what_cannot_be_a_row_is_refused(options, words):
    arguments = {"platform": "naip", "datetime": datetime(2024, 1, 1, tzinfo=UTC), **options}
    with pytest.raises(UsageError, match=words):
        build_table(make_item("a"), make_grid(), **arguments)


def test_a_built_table_keeps_the_item_without_its_signature():
    item = make_item("a", red=SIGNED)
    table = build_table(item, make_grid(), platform="naip", datetime=TAKEN, item_href=SIGNED)
    assert b"sig=" not in b"".join(table.schema.metadata.values())
    assert set(table["item_href"].to_pylist()) == {SIGNED.partition("?")[0]}
    assert item["assets"]["red"]["href"] == SIGNED


# -- stored ----------------------------------------------------------------------------------------


def test_no_item_is_embedded_with_its_signature():
    table = embed_items(SCHEMA.empty_table(), {"a": make_item("a", red=SIGNED)})
    assert (
        embedded_items(table)["unknown", "a"]["assets"]["red"]["href"] == SIGNED.partition("?")[0]
    )


@pytest.mark.parametrize("hrefs", [[SIGNED], [None], [SIGNED, None, "s3://b/a.json"], []])
def test_rows_are_stored_without_signatures(hrefs):
    hrefs = [hrefs[number % len(hrefs)] if hrefs else None for number in range(12)]
    place = SCHEMA.get_field_index("item_href")
    table = make_table().set_column(place, SCHEMA.field(place), pa.array(hrefs, pa.string()))
    stored = stored_rows(table)
    assert stored["item_href"].to_pylist() == [href and href.partition("?")[0] for href in hrefs]
    assert stored.schema.equals(SCHEMA)
    assert embedded_items(stored) == embedded_items(table)


def test_further_columns_are_stored_after_ours():
    table = make_table().append_column("label", pa.array(["x"] * 12))
    mixed = table.select(["label", *SCHEMA.names])
    assert stored_rows(mixed).column_names == [*SCHEMA.names, "label"]


def test_a_table_that_is_no_index_is_not_stored():
    with pytest.raises(IndexFormatError, match=r"^here\.parquet: .*column 'crs' is absent"):
        stored_rows(make_table().drop_columns("crs"), href="here.parquet")


def test_a_signed_index_of_another_tool_is_merged_without_signatures(tmp_path):
    place = SCHEMA.get_field_index("item_href")
    signed = make_table().set_column(place, SCHEMA.field(place), pa.array([SIGNED] * 12))
    metadata = {**signed.schema.metadata}
    key = b"stacchip:items"
    metadata[key] = metadata[key].replace(b"red.tif", b"red.tif?sig=abc")
    assert b"sig=" in metadata[key]
    pq.write_table(signed.replace_schema_metadata(metadata), tmp_path / "signed.parquet")
    merge_indexes([tmp_path / "signed.parquet"], tmp_path / "merged")
    (record,) = read_records(tmp_path / "merged")
    assert "sig=" not in str(record)
    assert "sig=" not in str(read_index(tmp_path / "merged").to_pydict())


def test_the_index_of_an_item_in_an_archive_is_read_or_absent(tmp_path):
    archive = Archive(str(tmp_path))
    assert read_item_index(archive, "sentinel-2-l2a", "item-1", Storage()) is None
    place = archive.place("sentinel-2-l2a", "item-1")
    write_index(make_table(), place.index_folder, name=place.index_name)
    found = read_item_index(archive, "sentinel-2-l2a", "item-1", Storage())
    assert found is not None
    assert rows_of(found) == rows_of(make_table())


def test_a_broken_index_in_an_archive_is_an_error_and_not_absent(tmp_path):
    archive = Archive(str(tmp_path))
    path = Path(archive.place("naip", "a").index_href)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(IndexFormatError):
        read_item_index(archive, "naip", "a", Storage())


def test_headers_can_be_gathered_and_added_from_the_package(tmp_path):
    assert gather_headers([]) == {}
    write_index(SCHEMA.empty_table(), tmp_path)
    assert add_headers(tmp_path) == 0


# -- merged ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 2), min_size=ALL.num_rows, max_size=ALL.num_rows), st.randoms())
def test_rows_that_are_dealt_out_anyhow_are_merged_again(tmp_path_factory, dealt, random):
    folder = tmp_path_factory.mktemp("dealt")
    paths = []
    for part in range(3):
        rows = [number for number, hand in enumerate(dealt) if hand == part]
        random.shuffle(rows)
        paths.append(folder / f"{part}.parquet")
        pq.write_table(ALL.take(pa.array(rows, pa.int64())), paths[-1])
    merged = merge_indexes(paths, folder / "merged")
    assert (merged.chips, merged.dropped, merged.items) == (ALL.num_rows, 0, 6)
    assert rows_of(read_index(folder / "merged")) == EVERY_ROW


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_repeated_chips_are_refused_or_dropped(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("repeated")
    paths = []
    for place, number in enumerate(numbers):
        paths.append(folder / f"{place}.parquet")
        pq.write_table(TABLES[number], paths[-1])
    kept = rows_of(concat_indexes([TABLES[number] for number in sorted(set(numbers))]))
    if len(set(numbers)) < len(numbers):
        with pytest.raises(DuplicateChips, match="drop-duplicates"):
            merge_indexes(paths, folder / "merged")
        assert not (folder / "merged").exists()
    merged = merge_indexes(paths, folder / "merged", duplicates="drop")
    assert merged.dropped == 12 * (len(numbers) - len(set(numbers)))
    assert rows_of(read_index(folder / "merged")) == kept


def test_merging_a_merged_index_changes_no_byte(tmp_path):
    for number, table in enumerate(TABLES):
        write_index(table, tmp_path / "parts" / str(number))
    merge_indexes([tmp_path / "parts"], tmp_path / "one")
    merge_indexes([tmp_path / "one"], tmp_path / "two")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# -- removed ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(
    st.none() | st.sampled_from(["sentinel-2-l2a", "landsat-c2l2-sr", "naip"]),
    st.none() | st.sampled_from(["item-000", "item-003", "item-009"]),
    st.booleans(),
)
def test_what_is_removed_is_gone_and_nothing_else(tmp_path_factory, platform, item_id, as_file):
    folder = tmp_path_factory.mktemp("removed")
    path = folder / ("index.parquet" if as_file else "index")
    write_index(ALL, path)
    gone = [
        row
        for row in EVERY_ROW
        if platform in (None, row["platform"]) and item_id in (None, row["item_id"])
    ]
    if platform is None and item_id is None:
        with pytest.raises(UsageError, match="what to remove"):
            remove(path)
        return
    if gone:
        assert remove(path, platform=platform, item_id=item_id) == len(gone)
    else:
        with pytest.raises((ItemNotFound, SourceNotFound), match="nothing was removed"):
            remove(path, platform=platform, item_id=item_id)
    left = [row for row in EVERY_ROW if row not in gone]
    assert rows_of(read_index(path)) == left
    kept = {row["item_id"] for row in left}
    if as_file:
        assert {key.item_id for key in embedded_items(pq.read_schema(path))} == kept
    else:
        assert {record.item_id for record in read_records(path)} == kept
