from __future__ import annotations

import time

import numpy as np
import pytest

from stacchip.chipper import Chipper
from stacchip.raster.cache import BlockCache, Caches, DiskCache
from stacchip.stream import ChipStream


def test_a_second_epoch_from_the_disk_asks_no_store(nested, server, tmp_path):
    def epoch(number: int) -> dict[int, np.ndarray]:
        caches = Caches(encoded=DiskCache(tmp_path / "cache", 1 << 30))
        stream = ChipStream(nested, order="shuffle", epoch=number, caches=caches)
        return {
            row: pixels.copy()
            for batch in stream.batches(32)
            for row, pixels in zip(batch.rows.tolist(), batch.array, strict=True)
        }

    first = epoch(0)
    deadline = time.monotonic() + 30
    while len(list((tmp_path / "cache").glob("*/[!.]*"))) < 6 * (36 + 9):  # blocks of the archive
        assert time.monotonic() < deadline, "chips come before their blocks are kept, but not long"
        time.sleep(0.01)
    server.reset_counters()
    second = epoch(1)
    assert server.requests == 0
    assert second.keys() == first.keys()
    for row in first:
        np.testing.assert_array_equal(first[row], second[row])


def test_decoded_blocks_are_kept_for_chips_at_random(nested, server):
    cache = BlockCache(1 << 30)
    chipper = Chipper(nested, caches=Caches(decoded=cache))
    expected = [batch.array.copy() for batch in ChipStream(nested).batches(64)]
    for _ in ChipStream(chipper).batches(64):
        pass
    server.reset_counters()
    for batch, pixels in zip(ChipStream(chipper).batches(64), expected, strict=True):
        np.testing.assert_array_equal(batch.array, pixels)
    chipper.cut_row(17)
    assert server.requests == 0
    assert cache.hits > 0


class BrokenCache(DiskCache):
    """A cache whose blocks cannot be read into memory."""

    def get(self, *_arguments, **_options):
        raise MemoryError("none left")


def test_a_failure_that_no_store_caused_ends_the_stream_and_hangs_nobody(nested, tmp_path):
    list(ChipStream(nested, caches=Caches(encoded=DiskCache(tmp_path / "cache", 1 << 30))))
    broken = Caches(encoded=BrokenCache(tmp_path / "cache", 1 << 30))
    with pytest.raises(MemoryError, match="none left"):
        list(ChipStream(nested, caches=broken))
