"""Stores that fail, files that are gone, consumers that stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import rasterio
from affine import Affine

from interrupts import heeding_interrupts
from servers.range_server import Fault, RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import AssetChanged, AssetNotFound, CorruptBlock, ObjectNotFound, UsageError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream
from stream.conftest import behind, index_items, make_item


def test_an_epoch_survives_a_store_that_fails_every_tenth_time(archive, nested, server):
    chipper = Chipper(nested)
    expected = {row: chipper.cut_row(row).array for row in range(0, 864, 7)}
    server.fail_rate = 0.1
    stream = ChipStream(nested, order="shuffle", seed=1)
    seen = 0
    for batch in stream.batches(32):
        for row, pixels in zip(batch.rows.tolist(), batch.array, strict=True):
            seen += 1
            if row in expected:
                np.testing.assert_array_equal(pixels, expected[row])
    assert seen == 864
    assert server.failed > 5


def test_a_lost_file_is_named(archive, nested, server):
    server.always("item-3/swir.tif", Fault(status=404))
    with pytest.raises(ObjectNotFound, match=r"Item 'item-3', asset 'swir'.*item-3/swir\.tif"):
        for _ in ChipStream(nested):
            pass


def test_a_lost_file_is_skipped_and_counted_where_asked(archive, nested, server):
    server.always("item-3/swir.tif", Fault(status=404))
    stream = ChipStream(nested, order="shuffle", errors="skip")
    items = [key.item_id for batch in stream.batches(32) for key in batch.keys]
    assert len(items) == 5 * 144
    assert "item-3" not in items
    assert (stream.report.delivered, stream.report.skipped) == (5 * 144, 144)
    reason = stream.report.reasons[0].error
    assert (reason.facts["item_id"], reason.facts["asset"]) == ("item-3", "swir")
    assert "item-3/swir.tif" in reason.facts["href"]


def test_an_item_without_headers_that_cannot_be_opened_is_skipped(tmp_path):
    scenes = [make_item(tmp_path / name, name, {"red": (10, 256)}) for name in ("a", "b")]
    items = [scene.item for scene in scenes]
    path = index_items(items, tmp_path / "index")
    chipper = Chipper(NoHeaders(path).table, items=items)
    scenes[0].path("red").unlink()
    stream = ChipStream(chipper, errors="skip")
    assert {chip.item_id for chip in stream} == {"b"}
    assert stream.report.skipped == 16
    assert ChipStream(chipper, errors="skip").explain().unreadable_chips == 16


def test_one_broken_block_costs_the_chips_in_it(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 512)})
    path = index_items([scene.item], tmp_path / "index")
    chipper = Chipper(path)
    header = chipper.open(0).placements["red"].reader.header
    with scene.path("red").open("r+b") as file:
        file.seek(int(header.block_offsets[5]) + 4)
        file.write(b"\xff" * 64)
    chipper = Chipper(NoHeaders(path).table, items=[scene.item])
    with pytest.raises(CorruptBlock, match="asset 'red'"):
        list(ChipStream(chipper))
    stream = ChipStream(chipper, errors="skip")
    assert len(list(stream)) == 64 - 4
    assert stream.report.skipped == 4


def break_block(scene, number: int) -> None:
    """Spoil a block of the scene's red band; the file keeps its time."""
    header = Chipper(NoStatsChipIndexer(scene.item)).open(0).placements["red"].reader.header
    times = scene.path("red").stat()
    with scene.path("red").open("r+b") as file:
        file.seek(int(header.block_offsets[number]) + 4)
        file.write(b"\xff" * 64)
    os.utime(scene.path("red"), ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_batch_whose_chips_are_all_skipped_is_not_given(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    stream = ChipStream(NoStatsChipIndexer(scene.item, 64), errors="skip")
    break_block(scene, 3)
    assert [len(batch) for batch in stream.batches(4)] == [4, 4, 4]
    assert len(list(stream)) == 12
    lost = [reason.row for reason in stream.report.reasons]
    assert stream.take(lost) == []


def test_what_was_skipped_holds_no_batch_in_memory(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 512)})
    stream = ChipStream(NoStatsChipIndexer(scene.item, 64), order="shuffle", errors="skip")
    break_block(scene, 5)
    places = {batch.array.ctypes.data for batch in stream.batches(4)}
    assert stream.report.skipped == 4
    assert len(places) <= 2, "one that is looked at, and the next"
    waiting = [stream.report.reasons[0].error]
    while waiting:
        error = waiting.pop()
        assert error.__traceback__ is None
        waiting += [each for each in (error.__cause__, error.__context__) if each is not None]


def test_a_band_that_cannot_be_placed_costs_the_chips_of_its_item(tmp_path):
    bands = {"red": (10, 256), "swir": (20, 128)}
    scenes = [make_item(tmp_path / name, name, bands) for name in ("a", "b")]
    rotated = Affine(20, 0.5, 500000, 0.5, -20, 4200000)
    with rasterio.open(scenes[1].path("swir"), "r+") as file:
        file.transform = rotated
    scenes[1].item.assets["swir"].extra_fields["proj:transform"] = list(rotated)[:6]
    path = index_items([scene.item for scene in scenes], tmp_path / "index")
    stream = ChipStream(path, errors="skip")
    assert {chip.item_id for chip in stream} == {"a"}
    assert stream.report.skipped == 16
    assert stream.explain().unreadable_chips == 16
    with pytest.raises(UsageError, match=r"(?s)Item 'b', asset 'swir'.*rotated"):
        list(ChipStream(path))


def an_item_without_its_band(tmp_path):
    """An index of two items of sixteen chips; the second lacks a band."""
    scenes = [
        make_item(tmp_path / name, name, dict.fromkeys(bands, (10, 256)))
        for name, bands in (("a", ("red", "nir")), ("b", ("red",)))
    ]
    return index_items([scene.item for scene in scenes], tmp_path / "index")


def test_explain_raises_for_an_item_that_cannot_be_opened_unless_it_may_be_skipped(tmp_path):
    path = an_item_without_its_band(tmp_path)
    with pytest.raises(AssetNotFound, match="Item 'b' has no asset 'nir'"):
        ChipStream(path, assets=["red", "nir"]).explain()
    explained = ChipStream(path, assets=["red", "nir"], errors="skip").explain()
    assert (explained.chips, explained.items, explained.unreadable_chips) == (16, 1, 16)
    assert explained.unreadable_items == ("b",)
    assert isinstance(explained.first_error, AssetNotFound)
    assert "cannot read 16 more chips, of the items 'b'" in str(explained)
    assert "Item 'b' has no asset 'nir'" in str(explained)


def test_what_is_skipped_is_logged_once_for_an_item_and_epoch(tmp_path, caplog):
    stream = ChipStream(an_item_without_its_band(tmp_path), assets=["red", "nir"], errors="skip")
    for epoch in range(2):
        caplog.clear()
        stream.set_epoch(epoch)
        assert sum(map(len, stream.batches(4))) == 16
        first, total = (record.getMessage() for record in caplog.records)
        assert first.startswith("Chips of item 'b' (asset 'nir') are skipped: Item 'b' has no")
        assert total == "16 chips were skipped (16 of item 'b' (asset 'nir'): AssetNotFound)."
    assert len(stream.report.reasons) == stream.report.skipped == 16


def test_what_is_logged_of_skipped_chips_holds_no_secret(tmp_path, caplog):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    table = NoStatsChipIndexer(scene.item, 64).create_index().replace_schema_metadata()
    with RangeServer(tmp_path) as server:
        item = behind(scene, server)
        item.assets["red"].href += "?X-Amz-Signature=secret"
        server.always("a/red.tif", Fault(status=404))
        stream = ChipStream(Chipper(table, items=[item]), errors="skip")
        assert list(stream) == []
    assert stream.report.skipped == 16
    assert "a/red.tif" in caplog.text
    assert "secret" not in caplog.text


def test_many_broken_blocks_of_an_asset_are_logged_once(tmp_path, caplog):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    stream = ChipStream(NoStatsChipIndexer(scene.item, 64), errors="skip")
    break_block(scene, 0)
    break_block(scene, 3)
    assert len(list(stream)) == 8
    assert sum("are skipped" in record.getMessage() for record in caplog.records) == 1
    assert stream.report.causes == {("a", "red", "CorruptBlock"): 8}
    assert "8 of item 'a' (asset 'red'): CorruptBlock" in caplog.records[-1].getMessage()


def test_an_epoch_that_is_left_early_still_counts_what_it_skipped(tmp_path, caplog):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    stream = ChipStream(NoStatsChipIndexer(scene.item, 64), errors="skip")
    break_block(scene, 0)
    batches = stream.batches(1)
    next(batches)
    batches.close()
    assert "4 chips were skipped" in caplog.records[-1].getMessage()


class NoHeaders:
    """The rows of an index without its records."""

    def __init__(self, path: str) -> None:
        from stacchip.index import read_index

        self.table = read_index(path).replace_schema_metadata()


def test_a_file_that_changed_is_noticed(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    path = index_items([scene.item], tmp_path / "index")
    os.utime(scene.path("red"), ns=(0, 0))
    with pytest.raises(AssetChanged, match="'a', asset 'red'"):
        list(ChipStream(path))


def test_a_consumer_that_stops_leaves_nothing_running(nested, server):
    server.delay_s = 0.05
    stream = ChipStream(nested, memory_bytes=64 << 20)
    for number, _ in enumerate(stream.batches(4)):
        if number == 2:
            break
    asked = server.requests
    time.sleep(0.5)
    late = server.requests
    time.sleep(0.5)
    assert server.requests == late <= asked + 32
    assert late < stream.explain().requests


def test_an_interrupt_ends_the_process_though_a_store_hangs(archive, tmp_path):
    with RangeServer(archive[0].folder.parent) as server:
        path = index_items([behind(scene, server) for scene in archive], tmp_path / "index")
        server.delay_s = 20.0  # a store that hangs
        code = f"""
            from stacchip.stream import ChipStream
            print("begin", flush=True)
            for batch in ChipStream({path!r}).batches(8):
                pass
        """
        with heeding_interrupts():
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert process.stdout.readline() == "begin\n"
        until = time.monotonic() + 20
        while not server.requests and time.monotonic() < until:
            time.sleep(0.05)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - begin < 10
        assert process.returncode != 0
        assert "KeyboardInterrupt" in said


def test_a_stream_in_a_thread_starts_no_thread_for_each_chip(nested):
    list(ChipStream(nested).batches(32))
    before = threading.active_count()
    for _ in range(3):
        list(ChipStream(nested).batches(32))
    assert threading.active_count() <= before + 32


def test_a_slow_store_times_out_with_item_and_asset(archive, nested, server):
    server.delay_s = 5.0
    storage = Storage(options=StorageOptions(timeout_s=0.2, deadline_s=0.6))
    with pytest.raises(TimeoutError, match="asset"):
        list(ChipStream(nested, storage=storage))
