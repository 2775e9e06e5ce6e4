"""Small chip indexes whose rows are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.index import ChipGrid, build_table
from stacchip.raster import Header
from stacchip.raster.block_places import BlockPlaces
from stacchip.storage import Identity

if TYPE_CHECKING:
    import pyarrow as pa

TAKEN = datetime(2024, 1, 1, 10, 30, tzinfo=UTC)


def make_item(item_id: str, **assets: str) -> dict[str, Any]:
    """A STAC item; assets are given as key and href."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "geometry": None,
        "properties": {"datetime": TAKEN.isoformat()},
        "links": [],
        "assets": {key: {"href": href} for key, href in assets.items()},
    }


def make_grid(
    *, east: float = 500_000, north: float = 4_000_000, chips: tuple[int, int] = (3, 4),
    chip_size: int = 256, zone: int = 33,
) -> ChipGrid:  # fmt: skip
    """A grid of (rows, columns) of chips of 10 m pixels in UTM."""
    shape = (chips[0] * chip_size, chips[1] * chip_size)
    geobox = GeoBox(shape, Affine(10, 0, east, 0, -10, north), f"EPSG:{32600 + zone}")
    return ChipGrid(geobox, chip_size)


def make_table(
    item_id: str = "item-1", *, platform: str = "sentinel-2-l2a", day: int = 0, **grid: Any
) -> pa.Table:
    """The index of one item; cloud rises from 0 along the chips, nodata falls from 0.5."""
    made = make_grid(**grid)
    rising = np.linspace(0, 1, made.size, endpoint=False).reshape(made.y_size, made.x_size)
    return build_table(
        make_item(item_id, red=f"https://example.com/{item_id}/red.tif"),
        made,
        platform=platform,
        datetime=TAKEN + timedelta(days=day),
        shares={"cloud": rising, "nodata": (1 - rising) / 2},
        item_href=f"https://example.com/{item_id}.json",
    )


def make_header(etag: str = '"1"') -> Header:
    """The header of a tiled 512 x 512 image that nobody wrote."""
    return Header(
        identity=Identity(10_000, etag),
        shape=(512, 512),
        count=1,
        dtype="uint16",
        nodata=0,
        fill=0,
        block_shape=(256, 256),
        is_planar=False,
        is_tiled=True,
        compression="deflate",
        predictor=2,
        bits=16,
        sample_format=1,
        byteorder="<",
        fill_order=1,
        places=BlockPlaces.of(
            np.array([100, 900, 5000, 7000], np.uint64), np.array([800, 700, 0, 600], np.uint64)
        ),
        crs="EPSG:32633",
        transform=Affine(10, 0, 500000, 0, -10, 4000000),
        scales=None,
        shifts=None,
        alpha=None,
        validity="nodata",
        mask=None,
        why_unsupported=None,
    )


def make_tables(number: int) -> list[pa.Table]:
    """Indexes of many items: another place and day each, two sources, two chip sizes."""
    return [
        make_table(
            f"item-{i:03d}",
            platform=("sentinel-2-l2a", "landsat-c2l2-sr")[i % 2],
            day=7 * i,
            east=300_000 + 100_000 * (i % 5),
            north=1_000_000 + 900_000 * (i % 7),
            zone=1 + (11 * i) % 60,
            chip_size=(256, 128)[i % 3 == 2],
        )
        for i in range(number)
    ]


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table by key, so that two tables can be compared."""
    from stacchip.index import KEY, SCHEMA, conform

    rows = conform(table).select(SCHEMA.names).to_pylist()
    return sorted(rows, key=lambda row: [row[name] for name in KEY])
