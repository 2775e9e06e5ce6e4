from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stacchip.chipper import Chipper
from stacchip.errors import ChipOutOfRange, StorageError, UsageError
from stacchip.index import write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream, Shard
from stream.conftest import index_items, make_item

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader, DistributedSampler  # noqa: E402 - after the skip

from stacchip.datasets import ChipDataset, ChipStreamDataset, Label  # noqa: E402 - needs torch


def add_mean(sample: dict) -> dict:
    return {**sample, "mean": sample["pixels"].mean()}


def count_valid(chip) -> int:
    return int(chip.valid.sum())


def stream_of(path: str, **options) -> ChipStream:
    return ChipStream(path, order="shuffle", dtype="float32", **options)


def test_a_sample_has_pixels_place_and_time(nested):
    dataset = ChipDataset(nested, assets=["swir", "red"])
    sample = dataset[5]
    chip = Chipper(nested, assets=["swir", "red"]).cut_row(5)
    assert len(dataset) == 864
    np.testing.assert_array_equal(sample["pixels"], chip.array.astype(np.float32))
    np.testing.assert_array_equal(sample["valid"], chip.valid)
    assert sample["chipid"] == chip.chipid
    assert sample["time"] == chip.datetime.timestamp()
    assert sample["row"] == 5
    west, south, east, north = sample["bbox"].tolist()
    assert (east - west, north - south) == (640, 640)
    x, y = chip.geobox.crs.transformer_to_crs("EPSG:4326")((west + east) / 2, (south + north) / 2)
    assert sample["location"].tolist() == pytest.approx([x, y], abs=1e-6)
    with pytest.raises(ChipOutOfRange):
        dataset[864]


def test_a_batch_is_read_in_one_round_trip(nested, server):
    dataset = ChipDataset(nested)
    dataset[0]
    server.reset_counters()
    server.delay_s = 0.3
    rows = [0, 863, 150, 0]
    samples = dataset.__getitems__(rows)
    assert [int(sample["row"]) for sample in samples] == rows
    times = [request.time_s for request in server.log]
    assert len(times) == 6
    assert max(times) - min(times) < 0.3


def test_chips_without_bounds_in_the_index_have_a_location(archive):
    item = archive[0].item
    bare, full = ChipDataset(NoStatsChipIndexer(item, 64)), NoStatsChipIndexer(item, 64)
    full = ChipDataset(full.create_index())
    expected = full[7]["location"]
    assert bare[7]["location"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_labels_come_from_a_function_a_column_or_an_asset(nested):
    chipper = Chipper(nested)
    by_function = ChipDataset(nested, label=Label(function=count_valid))
    assert by_function[3]["label"] == chipper.cut_row(3).valid.sum()
    by_column = ChipDataset(nested, label=Label(column="chip_index_x"))
    assert [int(by_column[row]["label"]) for row in (0, 1, 13)] == [0, 1, 1]
    by_asset = ChipDataset(nested, label=Label(asset="swir"), dtype=None)
    sample = by_asset[3]
    np.testing.assert_array_equal(sample["label"], chipper.cut_row(3).array[1:])
    np.testing.assert_array_equal(sample["pixels"], chipper.cut_row(3).array[:1])
    for wrong in (Label(column="nothing"), Label(asset="nothing")):
        with pytest.raises(UsageError, match="nothing"):
            ChipDataset(nested, label=wrong)[0]
    with pytest.raises(UsageError, match="one of"):
        Label()


def test_a_dataset_by_number_skips_nothing(archive):
    indexer = NoStatsChipIndexer(archive[0].item, 64)
    with pytest.raises(UsageError, match="ChipStreamDataset"):
        ChipDataset(indexer, errors="skip")
    assert len(ChipDataset(indexer, errors="raise")) == 144


def test_without_workers_the_stream_reports_what_the_dataset_gave(tmp_path):
    scenes = [make_item(tmp_path / f"item-{n}", f"item-{n}", {"red": (10, 256)}) for n in range(2)]
    path = index_items([scene.item for scene in scenes], tmp_path / "index")
    scenes[0].path("red").unlink()
    stream = ChipStream(path, errors="skip")
    dataset = ChipStreamDataset(stream, batch_size=8)
    for _ in range(2):
        assert sum(len(batch["row"]) for batch in dataset) == 16
        assert (stream.report.delivered, stream.report.skipped) == (16, 16)
    scenes[1].path("red").unlink()
    stream = ChipStream(path, errors="skip")
    assert list(ChipStreamDataset(stream, batch_size=8)) == []
    assert (stream.report.delivered, stream.report.skipped) == (0, 32)


@pytest.mark.parametrize("context", ["spawn", "forkserver", "fork", None])
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_give_each_chip_once(nested, context, workers):
    if context is None:
        context, workers = None, 0
    # a worker that is forked after the parent read remote chips must not hang
    Chipper(nested).cut_row(0)
    dataset = ChipStreamDataset(stream_of(nested), batch_size=32, transform=add_mean)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    chipids = Counter(chipid for batch in loader for chipid in batch["chipid"])
    assert len(chipids) == chipids.total() == 864


def lies_in_shared_memory(tensor: torch.Tensor) -> bool:
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if first <= address < last:
            return "torch_" in line
    return False


def test_pixels_reach_the_parent_through_shared_memory(nested):
    dataset = ChipStreamDataset(stream_of(nested), batch_size=32)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    chipper = Chipper(nested)
    for batch in loader:
        for name in ("pixels", "valid"):
            assert lies_in_shared_memory(batch[name])
    kept = list(loader)
    for batch in kept[::8]:
        for row, pixels in zip(batch["row"].tolist(), batch["pixels"], strict=True):
            np.testing.assert_array_equal(pixels, chipper.cut_row(row).array)


def test_chips_one_by_one_and_collated(nested):
    dataset = ChipStreamDataset(stream_of(nested))
    batch = next(iter(DataLoader(dataset, batch_size=16)))
    assert batch["pixels"].shape == (16, 2, 64, 64)
    assert len(batch["chipid"]) == 16


def test_a_map_dataset_in_workers(nested):
    loader = DataLoader(
        ChipDataset(nested), batch_size=16, shuffle=True, num_workers=2,
        multiprocessing_context="forkserver", generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    rows = [row for batch in loader for row in batch["row"].tolist()]
    assert sorted(rows) == list(range(864))
    assert rows != sorted(rows)


@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_set_by_the_parent_reaches_its_workers(nested, persistent):
    dataset = ChipStreamDataset(stream_of(nested), batch_size=32)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=persistent,
        multiprocessing_context="spawn",
    )  # fmt: skip
    epochs = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        epochs.append([row for batch in loader for row in batch["row"].tolist()])
    assert epochs[0] != epochs[1]
    assert epochs[1] == ChipStream(nested, order="shuffle", epoch=1, shard=Shard()).rows().tolist()


def train_rank(rank: int, path: str, folder: str, meeting: str) -> None:
    """Train as one of two processes, and write the rows that came to a file."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Conv2d(2, 1, 1))
    dataset = ChipStreamDataset(stream_of(path), batch_size=16)
    rows = []
    for batch in DataLoader(dataset, batch_size=None):
        model(batch["pixels"]).mean().backward()
        rows += batch["row"].tolist()
    sampled = []
    chips = ChipDataset(path)
    sampler = DistributedSampler(chips, shuffle=True)
    for batch in DataLoader(chips, batch_size=16, sampler=sampler):
        sampled += batch["row"].tolist()
    Path(folder, f"{rank}.json").write_text(json.dumps([rows, sampled]))
    torch.distributed.destroy_process_group()


def test_two_ranks_cover_each_chip_once(nested, tmp_path):
    torch.multiprocessing.spawn(
        train_rank, (nested, str(tmp_path), str(tmp_path / "meeting")), nprocs=2
    )
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for way in (0, 1):
        assert sorted(parts[0][way] + parts[1][way]) == list(range(864))


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
    dataset = ChipStreamDataset(stream_of(nested, memory_bytes=32 << 20), batch_size=64)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver",
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


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_after_an_object_store_was_used_fails_at_once_with_the_remedy(
    archive, server, tmp_path
):
    item = archive[0].item.clone()
    for key, asset in item.assets.items():
        asset.href = f"s3://item-0/{key}.tif"
    options = StorageOptions(endpoint=server.url().rstrip("/"), region="x", skip_signature=True)
    storage = Storage(options=options)
    headers = gather_headers(item, storage=storage)
    path = tmp_path / "s3-index"
    write_index(NoStatsChipIndexer(item, 64).create_index(), path, headers=headers)
    stream = ChipStream(str(path), storage=storage)
    next(iter(stream))
    dataset = ChipStreamDataset(stream, batch_size=8)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="fork")
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        with pytest.raises(StorageError, match="forkserver"):
            next(iter(loader))
        seconds.append(time.monotonic() - begin)
    assert min(seconds) < 1  # the best of three, because other processes share the machine
    spawned = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert sum(len(batch["chipid"]) for batch in spawned) == 144
