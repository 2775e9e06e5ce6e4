"""Requests for blocks: few, bounded, and an error of one of them ends as the caller wants."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import CorruptBlock
from stacchip.raster import Header
from stacchip.raster.allowance import for_fetching
from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.block_requests import BlockAddress, plan_requests
from stacchip.raster.blocks import Block
from stacchip.raster.cache import Caches, DiskCache
from stacchip.raster.fetch import Fetching, start_fetching
from stacchip.storage import Identity, Storage

MIB = 1 << 20


def header_of(spans: list[tuple[int, int]], size_bytes: int | None = None) -> Header:
    """A header whose blocks, one row of them, have these (start, length)."""
    starts, lengths = zip(*spans, strict=True)
    return Header(
        identity=Identity(size_bytes), shape=(16, 16 * len(spans)), count=1, dtype="uint8",
        nodata=None, fill=0, block_shape=(16, 16), is_planar=False, is_tiled=True,
        compression="none", predictor=1, bits=8, sample_format=1, byteorder="<", fill_order=1,
        places=BlockPlaces.of(np.array(starts, np.uint64), np.array(lengths, np.uint64)),
        crs=None, transform=None, scales=None, shifts=None, alpha=None, validity="all", mask=None,
        why_unsupported=None,
    )  # fmt: skip


class MemoryStorage:
    """Files in memory; counts the ranges that are read, and fails where it is told to."""

    def __init__(self, size: int = 32 * MIB, fails_at: int | None = None) -> None:
        self.data = np.arange(size, dtype=np.uint32).astype(np.uint8).tobytes()
        self.ranges: list[tuple[int, int]] = []
        self.fails_at = fails_at
        self._lock = threading.Lock()

    def filesystem_path(self, _href: str) -> None:
        return None

    def read_range(self, _href: str, start: int, length: int, *, expect: Any) -> Any:
        with self._lock:
            self.ranges.append((start, length))
        if self.fails_at is not None and start <= self.fails_at < start + length:
            raise OSError("the store is gone")
        return SimpleNamespace(data=self.data[start : start + length])


def addresses_of(
    spans: list[tuple[int, int]], storage: Any = None, size_bytes: int | None = None
) -> list[BlockAddress]:
    header = header_of(spans, size_bytes)
    storage = storage or Storage()
    return [
        BlockAddress(storage, "s3://a/a.tif", header, Block(0, 0, col)) for col in range(len(spans))
    ]


def test_blocks_in_a_row_are_one_request():
    requests = plan_requests(addresses_of([(100, 50), (158, 50), (216, 50)]))
    assert [(request.start, request.length) for request in requests] == [(100, 166)]
    assert [(first, stop) for _, first, stop in requests[0].members] == [
        (0, 50),
        (58, 108),
        (116, 166),
    ]


@pytest.mark.parametrize(("gap", "count"), [(16 << 10, 1), ((16 << 10) + 1, 2)])
def test_a_gap_is_fetched_up_to_16_kib(gap, count):
    assert len(plan_requests(addresses_of([(0, 50), (50 + gap, 50)]))) == count


def test_a_request_is_4_mib_at_most_unless_one_block_is_larger():
    requests = plan_requests(addresses_of([(i * MIB, MIB) for i in range(10)]))
    assert [request.length for request in requests] == [4 * MIB, 4 * MIB, 2 * MIB]
    assert plan_requests(addresses_of([(0, 9 * MIB)]))[0].length == 9 * MIB


@given(
    st.lists(st.tuples(st.integers(0, 8 * MIB), st.integers(0, 2 * MIB)), min_size=1, max_size=12)
)
def test_every_block_lies_in_one_request_at_its_place(spans):
    addresses = addresses_of(spans)
    found = {}
    for request in plan_requests(addresses):
        for address, first, stop in request.members:
            assert address not in found
            assert 0 <= first <= stop <= request.length
            found[address] = (request.start + first, stop - first)
    assert len(found) == len(addresses)
    for address, span in zip(addresses, spans, strict=True):
        assert found[address] == (span if span[1] else (0, 0))


def test_files_and_stores_are_not_mixed():
    spans = [(0, 50), (50, 50)]
    one, other = addresses_of(spans), addresses_of(spans)
    renamed = [replace(address, href="s3://a/b.tif") for address in one]
    requests = plan_requests([*one, *other, *renamed])
    assert len(requests) == 3
    assert sum(len(request.members) for request in requests) == 6


def test_a_block_outside_its_file_is_an_error_or_is_reported_alone():
    addresses = addresses_of([(0, 50), (60, 50)], size_bytes=100)
    with pytest.raises(CorruptBlock, match=r"bytes 60 to 110, but the file has 100"):
        plan_requests(addresses)
    told: list[Any] = []
    requests = plan_requests(addresses, on_error=lambda failed, error: told.append((failed, error)))
    assert [address.block for address, _, _ in requests[0].members] == [Block(0, 0, 0)]
    assert told[0][0] == [addresses[1]]
    assert isinstance(told[0][1], CorruptBlock)


def test_each_block_is_handled_once_with_its_bytes():
    storage = MemoryStorage()
    spans = [(i * 5 * MIB, 1000 + i) for i in range(6)] + [(0, 0)]
    handled: dict[Block, bytes] = {}
    start_fetching(
        addresses_of(spans, storage), lambda at, data: handled.update({at.block: bytes(data)})
    ).wait()
    assert len(handled) == len(spans)
    for col, (start, length) in enumerate(spans):
        assert handled[Block(0, 0, col)] == storage.data[start : start + length]
    assert len(storage.ranges) == 6


def test_a_large_block_counts_while_it_is_put_into_the_cache(tmp_path):
    held = []

    class SlowDisk(DiskCache):
        def put(self, key: Any, data: Any) -> None:
            time.sleep(0.2)  # its decoding, which does nothing here, could end meanwhile
            held.append(for_fetching().held_bytes)
            super().put(key, data)

    caches = Caches(encoded=SlowDisk(tmp_path, 64 * MIB))
    (address,) = addresses_of([(0, 5 * MIB)], MemoryStorage())
    start_fetching([replace(address, caches=caches)], lambda _at, _data: None).wait()
    assert held == [5 * MIB]
    assert for_fetching().held_bytes == 0


def test_the_first_error_is_raised_by_wait():
    storage = MemoryStorage(fails_at=5 * MIB)
    fetching = start_fetching(addresses_of([(0, 9), (5 * MIB, 9)], storage), lambda at, data: None)
    with pytest.raises(OSError, match="the store is gone"):
        fetching.wait()
    assert fetching.cancelled
    assert fetching.is_done


def test_with_on_error_the_other_blocks_are_handled():
    storage = MemoryStorage(fails_at=5 * MIB)
    addresses = addresses_of([(0, 9), (5 * MIB, 9), (5 * MIB + 9, 9), (20 * MIB, 9)], storage)
    handled: list[int] = []
    failed: list[int] = []
    start_fetching(
        addresses,
        lambda at, data: handled.append(at.block.col),
        on_error=lambda blocks, error: failed.extend(at.block.col for at in blocks),
    ).wait()
    assert sorted(handled) == [0, 3]
    assert sorted(failed) == [1, 2]  # they share a request


def test_an_error_of_the_handler_is_reported_for_its_block_alone():
    def handle(address: BlockAddress, _data: Any) -> None:
        if address.block.col == 1:
            raise ValueError("broken")

    failed: list[tuple[int, str]] = []
    start_fetching(
        addresses_of([(0, 9), (9, 9), (18, 9)], MemoryStorage()),
        handle,
        on_error=lambda blocks, error: failed.extend((at.block.col, str(error)) for at in blocks),
    ).wait()
    assert failed == [(1, "broken")]


def test_an_error_that_no_file_explains_reaches_on_failure():
    def handle(_address: BlockAddress, _data: Any) -> None:
        raise MemoryError

    ended: list[BaseException] = []
    is_told = threading.Event()

    def on_failure(error: BaseException) -> None:
        ended.append(error)
        is_told.set()

    start_fetching(addresses_of([(0, 9)], MemoryStorage()), handle, on_failure=on_failure)
    assert is_told.wait(10)
    assert isinstance(ended[0], MemoryError)


def test_other_tasks_run_meanwhile_and_are_waited_for():
    done: list[str] = []
    start_fetching(
        [], lambda at, data: None, lambda: done.append("a"), lambda: done.append("b")
    ).wait()
    assert sorted(done) == ["a", "b"]


def test_a_cancelled_fetch_runs_no_further_task():
    fetching, done = Fetching(), []
    fetching.cancel()
    fetching.run(lambda: done.append(1))
    fetching.decode(lambda: done.append(2))
    fetching.finish()
    fetching.wait()
    assert done == []
