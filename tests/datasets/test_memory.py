"""The memory of workers over many epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacchip.stream import ChipStream

pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader

from stacchip.datasets import ChipStreamDataset

pytestmark = pytest.mark.slow  # spawned workers import PyTorch, and read for ten epochs

ROLLUP = Path("/proc/self/smaps_rollup")


def measure_bytes(pids: list[int]) -> int:
    """Return the memory of some processes; what they share counts by their share (PSS).

    Pages of files do not count: the share of a library depends on what other processes use it.
    """
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total


@pytest.mark.skipif(
    not ROLLUP.exists() or "Pss_Anon" not in ROLLUP.read_text(), reason="no Pss_Anon"
)
def test_memory_stays_flat_over_ten_epochs(nested):
    stream = ChipStream(nested, order="shuffle", dtype="float32", memory_bytes=32 << 20)
    dataset = ChipStreamDataset(stream, batch_size=64)
    # spawned workers share no memory with other children of a fork server, which may end meanwhile
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="spawn",
        persistent_workers=True,
    )  # fmt: skip
    measured = []
    for epoch in range(10):
        dataset.set_epoch(epoch)
        assert sum(len(batch["chipid"]) for batch in loader) == 864
        measured.append(measure_bytes([worker.pid for worker in loader._iterator._workers]))
    # memory grows while the first epochs fill the pools
    assert max(measured[6:]) < 1.05 * max(measured[3:6])
    del loader
