"""Samples: chips as dictionaries of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from stacchip.datasets.labels import Label
    from stacchip.grid.geobox import GeoBox
    from stacchip.stream import ChipBatch

Sample = dict[str, Any]


def to_tensors(batch: ChipBatch, label: Label | None) -> Sample:
    """Return a batch as a dictionary.

    Args:
        batch: The chips.
        label: Gives their labels; None for none.

    Returns:
        The tensors `pixels` (chip, band, y, x); `valid`, of the same shape, unless the stream
        leaves it out; `row` (chip); `time` (chip), UTC seconds since 1970 in float64; `location`
        (chip, 2), longitude and latitude of the middle in degrees; `bbox` (chip, 4), xmin, ymin,
        xmax, ymax in the chip's CRS. The lists `chipid`, `item_id`, `platform` and `crs`. With a
        label, `label`; and `label_valid` if it comes from an asset.
    """
    pixels = torch.from_numpy(batch.array)
    valid = None if batch.valid is None else torch.from_numpy(batch.valid)
    boxes = [batch.geobox(number).boundingbox for number in range(len(batch))]
    sample: Sample = {
        "pixels": pixels,
        "row": torch.from_numpy(batch.rows),
        "time": torch.tensor(
            [moment.timestamp() for moment in batch.datetimes], dtype=torch.float64
        ),
        "location": torch.tensor(_locations(batch), dtype=torch.float64),
        "bbox": torch.tensor([tuple(box) for box in boxes], dtype=torch.float64),
        "chipid": list(batch.chipids),
        "item_id": [key.item_id for key in batch.keys],
        "platform": [key.platform for key in batch.keys],
        "crs": [str(box.crs) for box in boxes],
    }
    if valid is not None:
        sample["valid"] = valid
    if label is not None:
        sample["label"] = label.of(batch)
        own = set(label.bands(batch.bands))
        if own:
            kept = [number for number in range(len(batch.bands)) if number not in own]
            sample["pixels"] = pixels[:, kept]
            if valid is not None:
                sample["label_valid"] = valid[:, sorted(own)]
                sample["valid"] = valid[:, kept]
    return sample


def split(sample: Sample) -> list[Sample]:
    """Split a batch into one dictionary for each chip."""
    return [
        {name: values[number] for name, values in sample.items()}
        for number in range(len(sample["chipid"]))
    ]


def _locations(batch: ChipBatch) -> list[tuple[float, float]]:
    """Return longitude and latitude of the middle of each chip."""
    if "bbox" in batch.table.column_names:
        boxes = batch.table["bbox"].to_pylist()
    else:
        boxes = [None] * len(batch)
    return [
        _project(batch.geobox(number)) if box is None else _middle(box)
        for number, box in enumerate(boxes)
    ]


def _middle(box: dict[str, float]) -> tuple[float, float]:
    west, east = box["xmin"], box["xmax"]
    if east < west:  # across the antimeridian
        east += 360
    middle = (west + east) / 2
    return (middle - 360 if middle > 180 else middle, (box["ymin"] + box["ymax"]) / 2)


def _project(geobox: GeoBox) -> tuple[float, float]:
    """Return longitude and latitude of the middle of a chip that has no bounds in the index."""
    height, width = geobox.shape
    x, y = geobox.affine * (width / 2, height / 2)
    crs: Any = geobox.crs  # a chip's geobox always has one
    longitude, latitude = crs.transformer_to_crs("OGC:CRS84")(np.array([x]), np.array([y]))
    return float(longitude[0]), float(latitude[0])
