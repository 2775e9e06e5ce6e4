"""A batch as tensors, and its labels, of batches made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from odc.geo.geobox import GeoBox

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from stacchip.datasets import Label  # noqa: E402 - after the skip
from stacchip.datasets.samples import split, to_tensors  # noqa: E402 - needs torch

START = datetime(2024, 2, 29, 12, tzinfo=UTC)
BOXES = [(10.0, 20.0, 11.0, 22.0), (179.5, -1.0, -179.7, 1.0), (179.8, 0.0, -179.0, 1.0)]


@dataclass
class Batch:
    """The parts of a `ChipBatch` that samples are made of; every pixel is distinct."""

    bands: tuple[str, ...] = ("red", "nir", "swir")
    dtype: str = "float32"
    columns: dict = field(default_factory=dict)
    has_bbox: bool = True
    has_valid: bool = True
    apart: Batch | None = None

    def __post_init__(self) -> None:
        shape = (3, len(self.bands), 4, 4)
        self.array = np.arange(np.prod(shape)).reshape(shape).astype(self.dtype)
        self.valid = self.array % 3 != 0 if self.has_valid else None
        self.is_in_memory = True
        self.rows = np.array([7, 3, 5])
        self.datetimes = [START + timedelta(days=number) for number in range(3)]
        self.chipids = [f"chip-{number}" for number in range(3)]
        self.keys = [SimpleNamespace(item_id=f"item-{n}", platform="naip") for n in range(3)]
        boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in BOXES]
        columns = {**({"bbox": boxes} if self.has_bbox else {}), **self.columns}
        self.table = self.index = pa.table(columns or {"chipid": self.chipids})

    def __len__(self) -> int:
        return 3

    def __iter__(self):
        return (SimpleNamespace(array=array) for array in self.array)

    def geobox(self, number: int) -> GeoBox:
        return GeoBox.from_bbox((500_000 + 40 * number, 0, 500_040 + 40 * number, 40),
                                "EPSG:32631", resolution=10)  # fmt: skip


def sum_of(chip) -> float:
    return chip.array.sum()


def test_the_label_is_that_of_each_chip():
    classes = Batch(dtype="int64")
    sample = to_tensors(Batch(apart=classes), Label(asset="classes"))
    np.testing.assert_array_equal(sample["label"], classes.array)
    np.testing.assert_array_equal(sample["label_valid"], classes.valid)


def test_a_sample_holds_the_memory_of_its_batch():
    batch = Batch()
    sample = to_tensors(batch, None)
    assert sample["pixels"].data_ptr() == batch.array.ctypes.data
    assert sample["valid"].data_ptr() == batch.valid.ctypes.data
    assert "label" not in sample


def test_times_are_seconds_and_bounds_are_in_the_chips_crs():
    sample = to_tensors(Batch(), None)
    assert sample["time"].dtype == torch.float64
    assert sample["time"].tolist() == [START.timestamp() + 86_400 * n for n in range(3)]
    assert sample["bbox"][1].tolist() == [500_040, 0, 500_080, 40]
    assert sample["crs"] == ["EPSG:32631"] * 3


def test_a_chip_across_the_antimeridian_has_its_middle_there():
    locations = to_tensors(Batch(), None)["location"].tolist()
    assert locations == [[10.5, 21.0], pytest.approx([179.9, 0.0]), pytest.approx([-179.6, 0.5])]


def test_a_chip_around_the_globe_has_the_centre_of_its_footprint_or_of_its_geobox():
    around = {"xmin": -180.0, "ymin": 0.0, "xmax": 180.0, "ymax": 1.0}
    parts = shapely.MultiPolygon([shapely.box(179.5, 0, 180, 1), shapely.box(-180, 0, -179.7, 1)])
    columns = {"bbox": [around, around, None], "geometry": [shapely.to_wkb(parts), None, None]}
    locations = to_tensors(Batch(columns=columns), None)["location"]
    assert locations.dtype == torch.float64
    assert locations[0].tolist() == pytest.approx([179.9, 0.5])
    for number in (1, 2):
        metres_east = 20 + 40 * number
        expected = [3 + metres_east / 111_320, 20 / 110_574]
        assert locations[number].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_chip_without_bounds_has_the_middle_of_its_geobox():
    (longitude, latitude), *_ = to_tensors(Batch(has_bbox=False), None)["location"].tolist()
    # 20 m east of the central meridian of UTM zone 31, and 20 m north of the equator
    assert longitude == pytest.approx(3 + 20 / 111_320, abs=1e-6)
    assert latitude == pytest.approx(20 / 110_574, abs=1e-6)


def test_what_the_stream_leaves_out_is_not_in_the_sample():
    assert "valid" not in to_tensors(Batch(has_valid=False), None)
    without = Batch(has_valid=False, apart=Batch(has_valid=False))
    sample = to_tensors(without, Label(asset="classes"))
    assert "label" in sample
    assert {"valid", "label_valid"}.isdisjoint(sample)


def test_a_batch_is_split_into_its_chips():
    sample = to_tensors(Batch(), Label(function=sum_of))
    chips = split(sample)
    assert [chip["chipid"] for chip in chips] == ["chip-0", "chip-1", "chip-2"]
    for number, chip in enumerate(chips):
        assert set(chip) == set(sample)
        assert chip["pixels"].shape == (3, 4, 4)
        assert chip["label"] == sample["label"][number]
