"""What a store says that it holds, and what a chipper gets from it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import rasterio

from chipstore.conftest import (
    GB,
    assert_same,
    catalogue_rows,
    cut_all,
    cut_by_chipper,
    make_mixed,
    packs_of,
    spoil,
)
from stacchip import Chipper, ChipStore, ChipStream
from stacchip.chipstore import catalogue
from stacchip.index import concat_indexes
from stacchip.indexer import NoStatsChipIndexer
from stream.conftest import index_items, make_item


@pytest.fixture
def chipper(mixed_scene) -> Chipper:
    return Chipper(NoStatsChipIndexer(mixed_scene.item, 64))


def place_of(chipper: Chipper, row: int):
    return chipper.rows.key(row), chipper.open(row)


def test_a_chip_is_found_when_it_was_kept_and_when_its_pack_is_finished(chipper, tmp_path):
    store = ChipStore(tmp_path / "chips", GB)
    first, second = (place_of(chipper, row) for row in (0, 1))
    assert store.read(*first) == {}
    (held,) = store.find([first])
    assert (held.parts, held.is_complete) == ((), False)
    assert set(held.lacks) == {"red", "swir", "coastal", "scl"}
    raw = first[1].fetch(first[0].window, ["red", "scl"])
    store.keep(*first, raw)
    for _ in range(2):
        mine, other = store.find([first, second])
        assert set(mine.lacks) == {"swir", "coastal"}
        assert [set(part.assets) for part in mine.parts] == [{"red", "scl"}]
        assert set(other.lacks) == {"red", "swir", "coastal", "scl"}
        found = store.read(*first)
        assert found.keys() == raw.keys()
        for asset, (request, pixels, valid) in raw.items():
            assert found[asset].request.window == request.window
            np.testing.assert_array_equal(found[asset].pixels, pixels)
            assert found[asset].pixels.dtype == pixels.dtype
            np.testing.assert_array_equal(found[asset].valid, valid)
        store.flush()
    assert (store.kept, store.count_chips()) == (1, 1)
    store.keep(*first, first[1].fetch(first[0].window, ["swir", "coastal"]))
    (mine,) = ChipStore(tmp_path / "chips", GB).find([first])
    assert len(mine.parts) == 1, "another process sees it when the pack is finished"
    store.flush()
    (mine,) = ChipStore(tmp_path / "chips", GB).find([first])
    assert (mine.lacks, mine.is_complete, len(mine.parts)) == ((), True, 2)
    assert store.read(*first).keys() == {"red", "swir", "coastal", "scl"}


def test_a_chip_that_is_kept_twice_takes_the_place_of_one(chipper, tmp_path):
    store = ChipStore(tmp_path / "chips", GB)
    key, opened = place_of(chipper, 3)
    for _ in range(3):
        store.keep(key, opened, opened.fetch(key.window, opened.placements))
    assert (store.count_chips(), store.kept) == (1, 1)
    store.keep(key, opened, {})
    assert store.count_chips() == 1


@pytest.mark.parametrize("masked", [True, False])
def test_a_chipper_gives_the_same_with_and_without_a_store(tmp_path, masked):
    scene = make_mixed(tmp_path / "a")
    if masked:
        with rasterio.open(scene.path("swir"), "r+") as file:
            file.nodata = None
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(scene.path("swir"), "r+") as file,
        ):
            file.write_mask(np.tri(300, 350, dtype=bool))
    plain = Chipper(NoStatsChipIndexer(scene.item, 64))
    store = ChipStore(tmp_path / "chips", GB)
    kept = Chipper(NoStatsChipIndexer(scene.item, 64), store=store)
    for _ in range(2):
        for (x, y, pixels), (_, _, expected) in zip(kept, plain, strict=True):
            assert list(pixels) == list(expected), (x, y)
            for asset, values in expected.items():
                np.testing.assert_array_equal(pixels[asset], values)
                assert pixels[asset].dtype == values.dtype
        assert_same(cut_by_chipper(kept), cut_by_chipper(plain))
    assert store.count_chips() == len(plain)


def test_chips_whose_hashes_are_the_same_are_told_apart(small, tmp_path):
    """As if all chips had one hash: their keys decide."""
    scene, path = small
    folder = tmp_path / "chips"
    expected = cut_by_chipper(Chipper(path))
    cut_all(ChipStream(path, store=ChipStore(folder, GB)))
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database, database:
        chips = database.execute("SELECT hash, pack, row FROM chips").fetchall()
        database.executemany(
            "INSERT INTO chips VALUES (?, ?, ?)",
            [(one, pack, row) for one, _, own in chips for _, pack, row in chips if row != own],
        )
    for key in ("red", "swir"):
        spoil(scene.path(key))
    stream = ChipStream(path, store=ChipStore(folder, GB), order="shuffle")
    assert_same(cut_all(stream), expected)


def test_items_of_one_name_and_two_platforms_are_told_apart(tmp_path):
    tables = []
    for number, platform in enumerate(("sentinel-2-a", "sentinel-2-b")):
        scene = make_item(tmp_path / platform, "same", {"red": (10, 256)}, dtype="uint16")
        with rasterio.open(scene.path("red"), "r+") as file:
            file.write(file.read() + number * 7)
        scene.item.properties["platform"] = platform
        tables.append(NoStatsChipIndexer(scene.item, 64).create_index())
    table = concat_indexes(tables)
    plain = cut_by_chipper(Chipper(table))
    assert plain[0][0].tobytes() != plain[16][0].tobytes()
    store = ChipStore(tmp_path / "chips", GB)
    for order in ("blocks", "shuffle", "index"):
        assert_same(cut_all(ChipStream(table, store=store, order=order)), plain)
    assert store.count_chips() == 32


def test_chips_of_two_sizes_at_one_place_are_told_apart(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)}, dtype="uint16")
    store = ChipStore(tmp_path / "chips", GB)
    for size in (64, 128, 64, 32):
        path = index_items([scene.item], tmp_path / f"index-{size}", chip_size=size)
        stream = ChipStream(path, store=store)
        assert_same(cut_all(stream), cut_by_chipper(Chipper(path)))
    assert store.count_chips() == 16 + 4 + 64


def test_a_pack_has_the_same_number_in_every_catalogue(small, tmp_path):
    _, path = small
    folder = tmp_path / "chips"
    cut_all(ChipStream(path, store=ChipStore(folder, GB)))
    (pack,) = packs_of(folder)
    before = catalogue_rows(folder, "SELECT * FROM chips ORDER BY hash")
    assert catalogue_rows(folder, "SELECT number, name FROM packs") == [
        (catalogue.number_of(pack.name), pack.name)
    ]
    (folder / "catalogue.sqlite").unlink()
    assert cut_all(ChipStream(path, store=ChipStore(folder, GB)))
    assert catalogue_rows(folder, "SELECT * FROM chips ORDER BY hash") == before
