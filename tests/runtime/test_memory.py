"""The pool's promises by themselves; tests/stream/test_memory.py tests them under a stream."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.runtime.memory import MemoryPool

MB = 1 << 20


def address(buffer: np.ndarray) -> int:
    return buffer.__array_interface__["data"][0]


def test_a_buffer_that_came_back_is_used_again() -> None:
    pool = MemoryPool(8 * MB, slab_bytes=0)
    first = pool.take(MB)
    place = address(first)
    pool.give_back(first)
    assert address(pool.take(MB)) == place


@given(st.integers(0, 3 * MB))
def test_a_buffer_is_large_enough_and_an_eighth_larger_at_most(size: int) -> None:
    buffer = MemoryPool(64 * MB, slab_bytes=0).take(size)
    assert size <= len(buffer) <= max(size * 9 // 8 + 64, 64)


def test_small_buffers_come_from_one_slab_and_do_not_overlap() -> None:
    pool = MemoryPool(64 * MB, slab_bytes=MB)
    buffers = [pool.take(100_000) for _ in range(8)]
    for number, buffer in enumerate(buffers):
        buffer[:] = number
    assert all((buffer == number).all() for number, buffer in enumerate(buffers))
    assert len({id(buffer.base) for buffer in buffers}) < len(buffers)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "complex128"])
def test_an_array_comes_back_when_its_last_view_is_gone(dtype: str) -> None:
    pool = MemoryPool(64 * MB, slab_bytes=0)
    array = pool.array((3, 100, 200), np.dtype(dtype))
    assert (array.shape, array.dtype, array.flags.c_contiguous) == ((3, 100, 200), dtype, True)
    array[...] = 7
    place, view = address(array), array[1, ::2, 5:]
    del array
    gc.collect()
    other = pool.array((3, 100, 200), np.dtype(dtype))
    assert address(other) != place
    other[...] = 9
    assert (view == 7).all()
    del view
    gc.collect()
    assert address(pool.array((3, 100, 200), np.dtype(dtype))) == place


def test_a_view_through_a_memoryview_keeps_the_memory_too() -> None:
    pool = MemoryPool(64 * MB, slab_bytes=0)
    array = pool.array((100_000,), np.dtype("uint8"))
    array[:] = 5
    view = np.frombuffer(memoryview(array.data)[10:], np.uint8)
    del array
    gc.collect()
    pool.array((100_000,), np.dtype("uint8"))[:] = 6
    assert (view == 5).all()


def test_idle_memory_makes_room_for_another_size() -> None:
    pool = MemoryPool(10 * MB, slab_bytes=0)
    for _ in range(3):
        held = [pool.take(MB) for _ in range(8)]
        for buffer in held:
            pool.give_back(buffer)
        del held, buffer
        held = [pool.take(2 * MB) for _ in range(4)]
        assert pool._held_bytes() <= 10 * MB + 2 * MB
        for buffer in held:
            pool.give_back(buffer)
        del held, buffer


def test_more_than_the_limit_is_given_if_it_is_needed_at_once() -> None:
    pool = MemoryPool(MB, slab_bytes=0)
    buffers = [pool.take(MB) for _ in range(5)]
    assert len({address(buffer) for buffer in buffers}) == 5


def test_threads_never_share_a_buffer() -> None:
    pool, wrong = MemoryPool(16 * MB, slab_bytes=MB), []

    def work(number: int) -> None:
        for turn in range(300):
            array = pool.array((50_000 + 1000 * (turn % 3),), np.dtype("uint16"))
            array[:] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
