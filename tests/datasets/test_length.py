"""The number of batches, against counting them in random orders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.stream import Shard

pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from stacchip.datasets.length import count_batches


@settings(deadline=None)
@given(
    kinds=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    workers=st.integers(1, 5),
    size=st.integers(1, 20),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_order_gives_more_batches_and_one_kind_or_process_is_exact(
    kinds, workers, size, drop_last, seed
):
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(kinds)), kinds))
    shards = [Shard(worker=number, workers=workers) for number in range(workers)]
    parts = [shard.take(order) for shard in shards]
    batches = sum(
        count // size if drop_last else -(-count // size)
        for part in parts
        for count in np.bincount(part).tolist()
    )
    shares = [shard.size(len(order)) for shard in shards]
    counted = count_batches(shares, kinds, size, drop_last=drop_last)
    assert shares == [len(part) for part in parts]
    assert batches <= counted <= batches + workers * (len(kinds) - 1)
    if workers == 1 or len(kinds) == 1:
        assert counted == batches


@settings(deadline=None)
@given(
    kinds=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    known=st.integers(0, 4),
    workers=st.integers(1, 3),
    size=st.integers(1, 20),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_order_gives_more_batches_if_some_chips_are_of_an_unknown_kind(
    kinds, known, workers, size, drop_last, seed
):
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(kinds)), kinds))
    parts = [Shard(worker=number, workers=workers).take(order) for number in range(workers)]
    batches = sum(
        count // size if drop_last else -(-count // size)
        for part in parts
        for count in np.bincount(part).tolist()
    )
    fewer = [max(1, count - known) for count in kinds]
    counted = count_batches(
        [len(part) for part in parts], fewer, size, drop_last=drop_last, is_exact=False
    )
    assert batches <= counted
