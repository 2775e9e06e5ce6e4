"""Ranks of a training that is spread over several processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacchip.stream import ChipStream
from stream.conftest import behind, index_items

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader, DistributedSampler  # noqa: E402 - after the skip

from stacchip.datasets import ChipDataset, ChipStreamDataset  # noqa: E402 - needs torch


def train_rank(rank: int, path: str, folder: str, meeting: str) -> None:
    """Train as one of two processes, and write the rows that came to a file."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    dataset = ChipStreamDataset(ChipStream(path, order="shuffle", dtype="float32"), batch_size=16)
    rows = []
    for batch in DataLoader(dataset, batch_size=None):
        # as DistributedDataParallel does: a rank that has a batch more would wait for ever
        torch.distributed.all_reduce(batch["pixels"].mean())
        rows += batch["row"].tolist()
    sampled = []
    chips = ChipDataset(path)
    sampler = DistributedSampler(chips, shuffle=True)
    for batch in DataLoader(chips, batch_size=16, sampler=sampler):
        sampled += batch["row"].tolist()
    Path(folder, f"{rank}.json").write_text(json.dumps([rows, sampled]))
    torch.distributed.destroy_process_group()


def test_two_ranks_cover_each_chip_once(archive, server, tmp_path):
    path = index_items([behind(scene, server) for scene in archive[:3]], tmp_path / "index")
    torch.multiprocessing.start_processes(
        train_rank, (path, str(tmp_path), str(tmp_path / "meeting")), nprocs=2,
        start_method="forkserver",
    )  # fmt: skip
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for way in (0, 1):
        assert sorted(parts[0][way] + parts[1][way]) == list(range(432))
