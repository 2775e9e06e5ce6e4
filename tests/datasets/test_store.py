"""Workers of a DataLoader share a store."""

from __future__ import annotations

from collections import Counter

import pytest

from stacchip import ChipStore
from stacchip.chipper import Chipper
from stacchip.stream import ChipStream

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader  # noqa: E402 - after the skip

from stacchip.datasets import ChipDataset, ChipStreamDataset  # noqa: E402 - needs torch

GB = 1 << 30


def epoch_of(dataset, **options) -> dict[str, int]:
    """Return the sum of the pixels of each chip, by its id, in a whole epoch."""
    loader = DataLoader(dataset, num_workers=2, multiprocessing_context="forkserver", **options)
    sums: dict[str, int] = {}
    for batch in loader:
        for chipid, pixels in zip(batch["chipid"], batch["pixels"], strict=True):
            assert chipid not in sums
            sums[chipid] = int(pixels.sum(dtype=torch.int64))
    return sums


@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_workers_fill_a_store_and_ask_no_server_in_the_next_epoch(nested, server, tmp_path, order):
    expected = {chip.chipid: int(chip.array.sum(dtype="int64")) for chip in ChipStream(nested)}
    store = ChipStore(tmp_path / "chips", GB)
    stream = ChipStream(nested, store=store, order=order, dtype="int32", with_valid=False)
    dataset = ChipStreamDataset(stream, batch_size=32)
    for number in range(3):
        server.reset_counters()
        dataset.set_epoch(number)
        assert epoch_of(dataset, batch_size=None) == expected
        assert (server.requests > 0) == (number == 0)
    assert store.count_chips() == 864
    again = ChipStream(nested, store=ChipStore(tmp_path / "chips", GB))
    assert Counter(int(row) for batch in again.batches(64) for row in batch.rows).total() == 864
    assert again.report.decoded_blocks == 0


def test_chips_at_random_come_from_the_store(nested, server, tmp_path):
    expected = {chip.chipid: int(chip.array.sum(dtype="int64")) for chip in ChipStream(nested)}
    store = ChipStore(tmp_path / "chips", GB)
    for number in range(2):
        server.reset_counters()
        dataset = ChipDataset(Chipper(nested, store=store), dtype="int32")
        assert epoch_of(dataset, batch_size=64) == expected
        assert (server.requests > 0) == (number == 0)
