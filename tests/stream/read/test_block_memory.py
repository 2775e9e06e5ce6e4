"""Memory that is used again, and no more of it than was said."""

from __future__ import annotations

import numpy as np

from stacchip.runtime.memory import MemoryPool
from stacchip.stream.read.loading import BlockMemory

MOST = 8 << 20


def address_of(memory: memoryview) -> int:
    return np.frombuffer(memory, np.uint8).ctypes.data


def take_in_turn(pool: MemoryPool, sizes: list[int], at_once: int = 4) -> set[int]:
    """Blocks of these sizes, a few at once; the addresses they lay at."""
    held: list[BlockMemory] = []
    addresses = set()
    for size in sizes:
        held.append(BlockMemory(pool))
        memory = held[-1].take(size)
        assert len(memory) == size
        addresses.add(address_of(memory))
        del memory
        if len(held) == at_once:
            held.pop(0).release()
    for each in held:
        each.release()
    return addresses


def held_bytes(pool: MemoryPool) -> int:
    return pool._held_bytes()


def test_a_second_epoch_of_equal_sizes_needs_no_fresh_memory():
    pool = MemoryPool(MOST)
    sizes = [1 << 19, 1 << 17, 3 << 16] * 20
    first = take_in_turn(pool, sizes)
    held = held_bytes(pool)
    assert take_in_turn(pool, sizes) <= first
    assert held_bytes(pool) == held


def test_sizes_that_go_by_leave_nothing_behind():
    pool = MemoryPool(MOST)
    for size in range(1 << 16, 1 << 20, 50_000):
        take_in_turn(pool, [size] * 8)
        assert held_bytes(pool) <= MOST


def test_sizes_that_are_near_share_memory():
    pool = MemoryPool(MOST)
    take_in_turn(pool, [100_000] * 8)
    held = held_bytes(pool)
    take_in_turn(pool, [100_000 - 2 * number for number in range(100)])
    assert held_bytes(pool) == held


def test_what_is_in_use_is_never_given_twice():
    pool = MemoryPool(1 << 20)
    arrays = [pool.array((300, 1000), np.dtype("uint16")) for _ in range(8)]
    for number, array in enumerate(arrays):
        array[...] = number
    take_in_turn(pool, [70_000, 400_000, 90_000] * 5)
    assert [int(array.min()) for array in arrays] == list(range(8))
    assert [int(array.max()) for array in arrays] == list(range(8))


def test_an_array_may_be_empty():
    assert MemoryPool(MOST).array((0, 3), np.dtype("float64")).shape == (0, 3)
