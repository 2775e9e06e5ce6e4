"""Chips of an index as pictures: choosing chips, and their red, green and blue bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.chipper import Chipper
from stacchip.cli import console
from stacchip.errors import AssetNotFound
from stacchip.items import find_band, read_assets
from stacchip.preview import ChipPicture, contact_sheet, describe_chip
from stacchip.sources import clouds_of, find_source

if TYPE_CHECKING:
    from pathlib import Path

    import pystac
    from numpy.typing import NDArray

    from stacchip.storage import Storage

    Bands = list[tuple[str, int]]


def choose_chips(table: pa.Table, number: int, seed: int = 0) -> pa.Table:
    """Return at most `number` rows, an equal share of each source, in the order of the index."""
    random = np.random.default_rng(seed)
    platforms = np.asarray(table["platform"].to_pylist())
    names = np.unique(platforms)
    chosen: list[NDArray[np.int64]] = []
    left = number
    # sources with few chips come first, and leave the rest of their share to the others
    for place, name in enumerate(sorted(names, key=lambda name: (platforms == name).sum())):
        rows = np.flatnonzero(platforms == name)
        share = min(len(rows), left // (len(names) - place))
        chosen.append(random.choice(rows, share, replace=False))
        left -= share
    return table.take(pa.array(np.sort(np.concatenate(chosen)) if chosen else [], pa.int64()))


def rgb_bands(item: pystac.Item) -> Bands:
    """Return the bands to show as red, green and blue, as (asset key, band from 0).

    These are the bands that the item's source names, or else its bands called red, green and blue,
    or else its first band three times.

    Raises:
        AssetNotFound: The item has no raster.
    """
    infos = read_assets(item)
    source = find_source(item)
    names = (source.rgb if source else None) or ("red", "green", "blue")
    found = [find_band(infos, name) for name in names]
    bands = [band for band in found if band is not None]
    if len(bands) == 3:
        return bands
    first = next((key for key, info in infos.items() if info.is_raster), None)
    if first is None:
        raise AssetNotFound(f"Item {item.id!r} has no raster to show.", item_id=item.id)
    return [(first, 0)] * 3


def make_picture(chipper: Chipper, row: int) -> ChipPicture:
    """Return a row's chip in true colour, with its shares of cloud and nodata."""
    bands = rgb_bands(chipper.find_item(row))
    chip = chipper.with_assets(dict.fromkeys(key for key, _ in bands)).cut_row(row)
    places = [chip.find_band(key, band + 1) for key, band in bands]
    names = ("cloud_cover_percentage", "nodata_percentage")
    cloud, nodata = (chipper.rows.value(row, name) for name in names)
    day = chipper.rows.value(row, "date") or chip.datetime.date()
    valid = np.asarray(chip.valid[places].all(axis=0))
    if _is_unmeasured(cloud, nodata, valid):
        cloud = nodata = None
    if cloud is None and clouds_of(chip.platform) == "not applicable":
        cloud = np.nan
    return ChipPicture(
        rgb=chip.array[places],
        valid=valid,
        platform=chip.platform,
        captions=describe_chip(
            chip.platform,
            chip.x,
            chip.y,
            day,
            cloud=cloud,
            nodata=nodata,
        ),
    )


def _is_unmeasured(cloud: float | None, nodata: float | None, valid: NDArray[np.bool_]) -> bool:
    """Return True if a padded chip's shares, both 0, were never measured.

    Indexes of earlier versions, and those by `NoStatsChipIndexer`, hold 0 for what was not
    measured. A measured index counts padding, the last rows or columns of a chip, as nodata. For
    chips without padding, a measured 0 cannot be told from one that was never measured.
    """
    is_padded = not (valid[-1].any() and valid[:, -1].any())
    return is_padded and cloud == 0 and nodata == 0


def draw_sheet(table: pa.Table, path: Path, storage: Storage, *, title: str) -> None:
    """Draw a contact sheet of all rows of an index."""
    chipper = Chipper(table, storage=storage)
    pictures = []
    with console.progress("Cutting", len(chipper)) as advance:
        for row in range(len(chipper)):
            pictures.append(make_picture(chipper, row))
            advance(table["chipid"][row].as_py())
    contact_sheet(pictures, title=title).save(path)


def count_by_platform(table: pa.Table) -> str:
    """Return the number of chips of each source, such as `"120 naip, 64 sentinel-2-l2a"`."""
    counts = pc.value_counts(table["platform"]).to_pylist()
    return ", ".join(f"{entry['counts']:,} {entry['values']}" for entry in counts)
