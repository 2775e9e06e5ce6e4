"""Samples: chips as dictionaries of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stacchip.grid.transform import map_points
from stacchip.index.centres import find_known_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        (chip, 2), longitude and latitude of the centre in degrees; `bbox` (chip, 4), xmin, ymin,
        xmax, ymax in the chip's CRS. The centre is the middle of the chip's bounds in the index, in
        longitude and latitude. Near a pole, or where the world's edge cuts the footprint, that is
        not the chip's middle pixel. Of a footprint that holds a pole it is the centroid, as seen
        from above. A row without bounds gets the place of its middle pixel.

        The lists `chipid`, `item_id`, `platform` and `crs`. With a label, `label`; and
        `label_valid` if it comes from an asset.
    """
    boxes = [batch.geobox(number).boundingbox for number in range(len(batch))]
    sample: Sample = {
        "pixels": torch.from_numpy(batch.array),
        "row": torch.from_numpy(batch.rows),
        "time": torch.tensor(
            [moment.timestamp() for moment in batch.datetimes], dtype=torch.float64
        ),
        "location": torch.from_numpy(_locations(batch)),
        "bbox": torch.tensor([tuple(box) for box in boxes], dtype=torch.float64),
        "chipid": list(batch.chipids),
        "item_id": [key.item_id for key in batch.keys],
        "platform": [key.platform for key in batch.keys],
        "crs": [str(box.crs) for box in boxes],
    }
    if batch.valid is not None:
        sample["valid"] = torch.from_numpy(batch.valid)
    if label is not None:
        sample["label"] = label.of(batch)
    if batch.apart is not None and batch.apart.valid is not None:
        sample["label_valid"] = torch.from_numpy(batch.apart.valid)
    return sample


def split(sample: Sample) -> list[Sample]:
    """Split a batch into one dictionary for each chip."""
    return [
        {name: values[number] for name, values in sample.items()}
        for number in range(len(sample["chipid"]))
    ]


def _locations(batch: ChipBatch) -> NDArray[np.float64]:
    """Return longitude and latitude of the centre of each chip, (chip, 2)."""
    if batch.is_in_memory:
        lonlat = np.stack(find_known_centres(batch.table), axis=-1)
    else:  # to read the rows from disk would take longer than to read the pixels
        lonlat = np.full((len(batch), 2), np.nan)
    for number in np.flatnonzero(np.isnan(lonlat[:, 0])).tolist():  # no index tells these
        lonlat[number] = _project(batch.geobox(number))
    return lonlat


def _project(geobox: GeoBox) -> tuple[float, float]:
    """Return longitude and latitude of the centre of a chip that has no bounds in the index."""
    height, width = geobox.shape
    x, y = map_points(geobox.affine, width / 2, height / 2)
    crs: Any = geobox.crs  # a chip's geobox always has one
    longitude, latitude = crs.transformer_to_crs("OGC:CRS84")(np.array([x]), np.array([y]))
    return float(longitude[0]), float(latitude[0])
