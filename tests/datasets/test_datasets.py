"""Datasets in one process; `test_workers.py` and `test_ranks.py` are about several."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.chipper import Chipper
from stacchip.errors import ChipOutOfRange, UsageError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream
from stream.conftest import index_items, make_item

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader  # noqa: E402 - after the skip

from stacchip.datasets import ChipDataset, ChipStreamDataset, Label  # noqa: E402 - needs torch


def count_valid(chip) -> int:
    return int(chip.valid.sum())


def scale(sample: dict) -> dict:
    sample["pixels"].div_(2)
    return sample


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
    server.delay_s = 1.5
    rows = [0, 863, 150, 0]
    samples = dataset.__getitems__(rows)
    assert [int(sample["row"]) for sample in samples] == rows
    times = [request.time_s for request in server.log]
    assert len(times) == 6
    assert max(times) - min(times) < 1.5


def halve(sample: dict) -> dict:
    sample["pixels"].div_(2)
    sample["label"].sub_(1)
    return sample


@pytest.mark.parametrize("label", [Label(asset="swir"), Label(function=count_valid)])
def test_a_chip_that_comes_twice_is_two_samples(nested, label):
    raw = ChipDataset(nested, label=label)
    dataset = ChipDataset(nested, label=label, transform=halve)
    rows = [3, 7, 3, 3]
    samples = dataset.__getitems__(rows)
    for row, sample in zip(rows, samples, strict=True):
        assert sample["row"] == row
        assert torch.equal(sample["pixels"], raw[row]["pixels"] / 2)
        assert torch.equal(sample["label"], raw[row]["label"] - 1)
    for name in ("pixels", "valid", "label", "location", "bbox", "row", "time"):
        assert len({sample[name].data_ptr() for sample in samples}) == 4


def test_chips_given_one_by_one_share_no_memory(nested):
    raw = ChipDataset(nested)
    dataset = ChipStreamDataset(ChipStream(nested, dtype="float32"), transform=scale)
    for number, sample in enumerate(dataset):
        assert torch.equal(sample["pixels"], raw[int(sample["row"])]["pixels"] / 2)
        if number == 40:
            break


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


def test_chips_one_by_one_and_collated(nested):
    dataset = ChipStreamDataset(ChipStream(nested, order="shuffle", dtype="float32"))
    batch = next(iter(DataLoader(dataset, batch_size=16)))
    assert batch["pixels"].shape == (16, 2, 64, 64)
    assert len(batch["chipid"]) == 16
