"""The memory of workers over many epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacchip.stream import ChipStream

pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader

from stacchip.datasets import ChipStreamDataset


def proportional_bytes(pids: list[int]) -> int:
    """Return the memory of some processes; shared pages count by their share (PSS)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc/*/smaps_rollup")
def test_memory_stays_flat_over_twenty_thousand_chips(nested):
    stream = ChipStream(nested, order="shuffle", dtype="float32", memory_bytes=32 << 20)
    dataset = ChipStreamDataset(stream, batch_size=64)
    # spawned workers share no memory with other children of a fork server, which may end meanwhile
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="spawn",
        persistent_workers=True,
    )  # fmt: skip
    seen, measured = 0, []
    epoch = 0
    while seen < 20_000:
        dataset.set_epoch(epoch)
        batches = iter(loader)
        for batch in batches:
            seen += len(batch["chipid"])
        epoch += 1
        measured.append(proportional_bytes([worker.pid for worker in loader._iterator._workers]))
    # memory grows while the first epochs fill the pools
    assert max(measured[len(measured) // 2 :]) < 1.05 * max(measured[3 : len(measured) // 2])
    del loader
