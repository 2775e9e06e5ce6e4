"""A store never takes more bytes than it may, and what is needed stays."""

from __future__ import annotations

import multiprocessing
import threading
import time
from typing import Self

import numpy as np
import pyarrow as pa
import pystac
import pytest

from chipstore.conftest import (
    GB,
    assert_same,
    catalogue_rows,
    cut_all,
    cut_by_chipper,
    folder_bytes,
    open_stream,
    packs_of,
    spoil,
    write_noise,
)
from scenes import Scene
from servers.range_server import RangeServer
from stacchip import Chipper, ChipStore, ChipStream
from stacchip.indexer import NoStatsChipIndexer
from stream.conftest import behind, index_items, make_item

MB = 1 << 20


class Watch:
    """Looks again and again how many bytes a folder takes.

    While it looks, some files go and others come, so that it may count both: what counts is what it
    finds twice.
    """

    def __init__(self, folder) -> None:
        self.most = 0
        self._folder = folder
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        before = 0
        while not self._end.wait(0.002):
            found = folder_bytes(self._folder)
            self.most = max(self.most, min(before, found))
            before = found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._end.set()
        self._thread.join()
        self.most = max(self.most, folder_bytes(self._folder))


def noisy(tmp_path, name: str, seed: int, side: int = 1024) -> str:
    """The index of an item of 2 MB of random pixels: 256 chips of 8 kB."""
    scene = make_item(tmp_path / name, name, {"red": (10, side)}, dtype="uint16")
    write_noise(scene, "red", 10, side, seed)
    return index_items([scene.item], tmp_path / f"index-{name}")


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
@pytest.mark.parametrize("limit", [100_000, MB, 3 * MB // 2])
def test_the_rest_is_not_kept_when_the_store_is_full(tmp_path, order, limit):
    path = noisy(tmp_path, "a", 1)
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    store = ChipStore(folder, limit)
    with Watch(folder) as watch:
        for _ in range(2):
            stream = ChipStream(path, store=store, order=order)
            assert_same(cut_all(stream), expected)
    assert watch.most <= limit
    if limit > MB // 2:
        assert watch.most > 0.5 * limit
    assert "limit_bytes" in stream.report.why_not_kept
    again = open_stream(path, folder, limit, order=order)
    assert_same(cut_all(again), expected)
    assert again.report.from_store >= 0.5 * limit / 8192 - 16
    assert folder_bytes(folder) <= limit


def test_what_a_full_store_lacks_of_a_batch_is_read_at_once(tmp_path):
    noisy(tmp_path, "a", 1)
    with RangeServer(tmp_path, delay_s=0.05) as server:
        path = index_items(
            [behind(Scene(item_of(tmp_path / "a"), tmp_path / "a"), server)], tmp_path / "i"
        )
        server.reset_counters()
        stream = open_stream(path, tmp_path / "chips", 200_000, order="shuffle", open_areas="all")
        begin = time.monotonic()
        assert len(cut_all(stream, size=64)) == 256
        assert time.monotonic() - begin < 256 * 0.05 / 3, "many at the same time"
        assert server.requests <= 64 + 4 * 64, "a block once in a batch"


def item_of(folder):
    return pystac.Item.from_file(str(folder / "item.json"))


def test_a_full_shuffle_may_be_asked_for_though_not_all_is_kept(tmp_path):
    path = noisy(tmp_path, "a", 1)
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    for _ in range(2):
        stream = open_stream(path, folder, MB, order="shuffle", open_areas="all")
        assert_same(cut_all(stream), expected)
    assert folder_bytes(folder) <= MB


def test_chips_that_nobody_has_used_for_longest_go_first(tmp_path):
    paths = [noisy(tmp_path, name, seed) for seed, name in enumerate("abc")]
    folder, limit = tmp_path / "chips", 5 * MB
    expected = [cut_by_chipper(Chipper(path)) for path in paths]
    with Watch(folder) as watch:
        for path, pixels in zip(paths[:2], expected, strict=False):
            assert_same(cut_all(open_stream(path, folder, limit)), pixels)
        used = open_stream(paths[0], folder, limit)
        cut_all(used)
        assert used.report.from_store == 256
        del used
        assert_same(cut_all(open_stream(paths[2], folder, limit)), expected[2])
    assert watch.most <= limit
    first, second, third = (open_stream(path, folder, limit).explain() for path in paths)
    assert (first.from_store, third.from_store) == (256, 256)
    assert second.from_store < 256


def test_a_run_never_throws_out_its_own_chips(tmp_path):
    path = noisy(tmp_path, "a", 1)
    folder = tmp_path / "chips"
    store = ChipStore(folder, MB)
    for epoch in range(3):
        stream = ChipStream(path, store=store, order="shuffle", epoch=epoch, open_areas=64)
        cut_all(stream)
        if epoch == 0:
            kept = [name for (name,) in catalogue_rows(folder, "SELECT name FROM packs")]
    assert {pack.name for pack in packs_of(folder)} >= set(kept)
    assert stream.report.from_store > 50


def test_new_processes_of_a_training_do_not_throw_out_what_the_last_epoch_has_kept(tmp_path):
    """Workers of a DataLoader may be new in each epoch."""
    path = noisy(tmp_path, "a", 1)
    folder = tmp_path / "chips"
    found = []
    for _ in range(3):
        stream = open_stream(path, folder, MB)
        cut_all(stream)
        found.append(stream.report.from_store)
    assert found[0] == 0
    assert 50 < found[1] <= found[2]


@pytest.mark.parametrize("kinds", [1, 12])
def test_small_chips_and_many_kinds_stay_within_the_limit(tmp_path, kinds):
    """Empty chips take little; what is said of them counts as well."""
    items, tables = [], []
    for number in range(kinds):
        name = f"item-{number}"
        bands = {f"b{place}": (10, 256) for place in range(1 + number % 6)}
        scene = make_item(tmp_path / name, name, bands, dtype="uint8")
        items.append(scene.item)
        size = 16 if kinds == 1 else 32 + 4 * (number // 6)
        tables.append(NoStatsChipIndexer(scene.item, size).create_index())
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    table = table.take(np.random.default_rng(0).permutation(len(table)))
    chipper = Chipper(table, items=items)
    expected = cut_all(ChipStream(chipper), size=16)
    folder = tmp_path / "chips"
    for limit in (MB // 4, 2 * MB):
        with Watch(folder) as watch:
            for order in ("index", "shuffle"):
                own = Chipper(table, items=items, store=ChipStore(folder, limit))
                assert_same(cut_all(ChipStream(own, order=order), size=16), expected)
        assert watch.most <= limit


def fill(path: str, folder, limit: int) -> None:
    cut_all(open_stream(path, folder, limit))


def test_processes_share_the_limit(tmp_path):
    paths = [noisy(tmp_path, name, seed) for seed, name in enumerate("ab")]
    folder, limit = tmp_path / "chips", 3 * MB
    context = multiprocessing.get_context("forkserver")
    with Watch(folder) as watch:
        children = [context.Process(target=fill, args=(path, folder, limit)) for path in paths]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert MB < watch.most <= limit


def test_bytes_are_counted_and_come_back_when_the_catalogue_is_made_again(tmp_path):
    path = noisy(tmp_path, "a", 1)
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder))
    counted = ChipStore(folder, GB).count_bytes()
    assert counted == pytest.approx(folder_bytes(folder / "packs"), rel=0.05)
    assert counted >= folder_bytes(folder / "packs")
    (folder / "catalogue.sqlite").unlink()
    stream = open_stream(path, folder)
    cut_all(stream)
    assert stream.report.from_store == 256
    assert ChipStore(folder, GB).count_bytes() == counted


def test_a_catalogue_takes_less_when_chips_go(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 1024)}, dtype="uint8")
    path = index_items([scene.item], tmp_path / "index", chip_size=16)
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder), size=64)
    before = (folder / "catalogue.sqlite").stat().st_size
    store = ChipStore(folder, GB)
    store._catalogue.forget(
        [number for (number,) in catalogue_rows(folder, "SELECT number FROM packs")]
    )
    assert (folder / "catalogue.sqlite").stat().st_size < before / 4


def test_what_is_kept_takes_no_more_bytes_than_its_pixels(tmp_path):
    """Of random pixels, which cannot be compressed: a hundredth more at most, and their index."""
    path = noisy(tmp_path, "a", 1)
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder))
    assert folder_bytes(folder / "packs") < 1.05 * 256 * 8192
    spoil(tmp_path / "a" / "red.tif")
    assert open_stream(path, folder).explain().from_store == 256
