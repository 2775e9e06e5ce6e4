"""Ranks of a training that is spread over several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from stacchip.errors import UsageError
from stacchip.stream import ChipStream, Shard
from stream.conftest import index_items

from .conftest import end_workers

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")
pytest.importorskip("accelerate", reason="Accelerate is absent: make torch")

from torch.utils.data import DataLoader, DistributedSampler  # noqa: E402 - after the skip

from stacchip.datasets import ChipDataset, ChipStreamDataset  # noqa: E402 - needs torch

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of what Accelerate calls
]


def numbers_of(sample: dict) -> dict:
    return {"pixels": sample["pixels"], "row": sample["row"]}


def rows_of(loader) -> list[int]:
    return [row for batch in loader for row in batch["row"].tolist()]


def dataset_of(path: str, size: int | None = 16, **options) -> ChipStreamDataset:
    stream = ChipStream(path, order="shuffle", dtype="float32")
    return ChipStreamDataset(stream, batch_size=size, **options)


def loader_of(
    dataset: ChipStreamDataset, workers: int, size: int | None = None, start: str = "fork"
) -> DataLoader:
    return DataLoader(
        dataset, batch_size=size, num_workers=workers,
        multiprocessing_context=start if workers else None,
        persistent_workers=bool(workers) and start != "fork",
    )  # fmt: skip


def prepare(loader: DataLoader, *, dispatch: bool | None) -> DataLoader:
    from accelerate import Accelerator, DataLoaderConfiguration
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state()
    GradientState._reset_state()
    configuration = DataLoaderConfiguration(dispatch_batches=dispatch)
    return Accelerator(cpu=True, dataloader_config=configuration).prepare(loader)


def train_rank(rank: int, path: str, folder: str, with_accelerate: bool) -> None:
    """Train as one of two processes, and write the rows that came to a file, way by way."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    multiprocessing.set_forkserver_preload(["torch", "stacchip.datasets.stream_dataset"])
    before = [loader_of(dataset_of(path), 0)]
    if with_accelerate:
        before.append(loader_of(dataset_of(path), 2, start="forkserver"))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    rows: dict[str, list[int]] = {"synchronized": []}
    for batch in loader_of(dataset_of(path), 0):
        # as DistributedDataParallel does: a rank that has a batch more would wait for ever
        torch.distributed.all_reduce(batch["pixels"].mean())
        rows["synchronized"] += batch["row"].tolist()
    for loader in before:
        rows[f"made before, {loader.num_workers} workers"] = rows_of(loader)
        rows[f"made before, {loader.num_workers} workers, second epoch"] = rows_of(loader)
    chips = ChipDataset(path)
    sampler = DistributedSampler(chips, shuffle=True)
    rows["sampler"] = rows_of(DataLoader(chips, batch_size=16, sampler=sampler))
    rows |= accelerated_rows(path) if with_accelerate else {}
    Path(folder, f"{rank}.json").write_text(json.dumps(rows))
    torch.distributed.destroy_process_group()


def accelerated_rows(path: str) -> dict[str, list[int]]:
    rows = {}
    for dispatch in (None, False):
        for workers in (0, 2):
            loader = loader_of(dataset_of(path, None, transform=numbers_of), workers, 9)
            way = f"accelerate, dispatch_batches={dispatch}, {workers} workers"
            rows[way] = rows_of(prepare(loader, dispatch=dispatch))
    loader = prepare(loader_of(dataset_of(path, transform=numbers_of), 0), dispatch=None)
    rows["accelerate, batches of the dataset"] = rows_of(loader)
    return rows


@pytest.mark.parametrize(
    "with_accelerate",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["plain", "workers and Accelerate"],
)
def test_two_ranks_cover_each_chip_once(archive, tmp_path, with_accelerate):
    path = index_items([scene.item for scene in archive[:2]], tmp_path / "index")
    torch.multiprocessing.start_processes(
        train_rank, (path, str(tmp_path), with_accelerate), nprocs=2, start_method="forkserver"
    )
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for way in parts[0]:
        assert sorted(parts[0][way] + parts[1][way]) == list(range(288)), way


def test_a_rank_that_is_stated_counts_and_a_launchers_variables_do_not(
    archive, tmp_path, monkeypatch
):
    path = index_items([archive[0].item], tmp_path / "index")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert len(rows_of(dataset_of(path))) == 144
    stated = [
        rows_of(ChipStreamDataset(ChipStream(path, shard=Shard(rank, 2)), batch_size=16))
        for rank in range(2)
    ]
    assert sorted(stated[0] + stated[1]) == list(range(144))


@pytest.mark.parametrize("workers", [0, 1])
def test_accelerate_is_not_given_what_it_would_share_out_again_or_cannot_send(
    archive, tmp_path, workers
):
    path = index_items([archive[0].item], tmp_path / "index")
    part = ChipStreamDataset(ChipStream(path, shard=Shard(0, 2)), transform=numbers_of)
    with pytest.raises(UsageError, match=r"share its chips out again. Leave the loader out"):
        next(iter(prepare(loader_of(part, workers, 8, "forkserver"), dispatch=True)))
    loader = prepare(loader_of(dataset_of(path), workers, start="forkserver"), dispatch=True)
    with pytest.raises(UsageError, match="cannot send chipid, item_id, platform, crs"):
        next(iter(loader))
    if workers:
        end_workers(loader.base_dataloader._iterator)
