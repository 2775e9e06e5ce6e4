"""A generated index of many chips: five sources over the Earth's land latitudes, six years.

stacchip's own writers write it part by part, and `merge_indexes` puts the parts in order. A tile
has a grid of 42 x 42 chips in some UTM zone, and eight dates, whose shares of cloud and nodata vary
smoothly. All items read the four bands of 10 m of the benchmarks' scene.

Run `python -m benchmarks.big_index ITEMS FOLDER` to make one. 59,000 items have 10^8 chips, and
take 20 minutes on two cores.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import resource
import shutil
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from affine import Affine
from odc.geo.geobox import GeoBox

from benchmarks.contender import peak_mb
from benchmarks.scene import DATA, ensure_scene
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.geobox import RecordedGrid, record_grid
from stacchip.index import gather_headers, merge_indexes, write_index
from stacchip.index.build import build_table
from stacchip.items.keys import ItemKey
from stacchip.items.record import parse_item

if TYPE_CHECKING:
    from stacchip.raster import Header

CHIP_PX: Final = 256
SIZE: Final = 10_980
ASSETS: Final = ("blue", "green", "red", "nir")
ITEMS_OF_1E8: Final = 59_000
_DATES: Final = 8  # of a tile
_PART: Final = 256  # items; about 1 GB in memory
_DAYS: Final = 6 * 365
_VERSION: Final = 2


class Source(NamedTuple):
    """A source of the index: its name, the form of its ids, its share of all items, its pixels."""

    name: str
    item_id: str
    share: float
    gsd: float


SOURCES: Final = (
    Source("sentinel-2-l2a", "S2{satellite}_{tile:05d}_{date:%Y%m%d}_0_L2A", 0.60, 10),
    Source("landsat-c2l2-sr", "LC0{landsat}_L2SP_{tile:06d}_{date:%Y%m%d}_02_T1", 0.20, 30),
    Source(
        "sentinel-1-rtc", "S1{satellite}_IW_GRDH_1SDV_{date:%Y%m%dT%H%M%S}_{tile:05d}_rtc", 0.10, 10
    ),
    Source("naip", "nd_m_{tile:07d}_nw_14_060_{date:%Y%m%d}", 0.06, 0.6),
    Source("linz", "linz-{tile:05d}-{date:%Y%m%d}", 0.04, 0.3),
)


@dataclass(frozen=True)
class BigIndex:
    """A generated index.

    Attributes:
        path: Its folder.
        facts: What was measured while it was made: items, rows, the peak and CPU of the merge.
    """

    path: Path
    facts: dict[str, Any]


def ensure_big_index(items: int, first: int = 0) -> BigIndex:
    """Return the generated index of so many items; make it first if it is missing.

    Args:
        items: How many.
        first: The number of the first; items of other numbers have other ids.
    """
    path = DATA / f"index-{first}-{items}"
    told = path.with_suffix(".json")
    if not told.exists() or json.loads(told.read_text())["version"] != _VERSION:
        make_big_index(items, path, first)
    return BigIndex(path, json.loads(told.read_text()))


def make_big_index(items: int, path: Path, first: int = 0) -> None:
    """Write an index of so many items, and a JSON file with facts of it beside."""
    shutil.rmtree(path, ignore_errors=True)
    parts = path.with_name(path.name + "-parts")
    parts.mkdir(parents=True, exist_ok=True)
    ensure_scene()
    begins = range(first, first + items, _PART)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2) as pool:
        made = pool.imap_unordered(partial(_write_part, stop=first + items, folder=parts), begins)
        for number, _ in enumerate(made, 1):
            print(f"  {path.name}: part {number} of {len(begins)}", file=sys.stderr, flush=True)
    with spawn.Pool(1) as pool:  # a new process, so that the peak is that of the merge
        facts = pool.apply(_merge, (sorted(map(str, parts.glob("*[0-9]"))), str(path)))
    facts |= {"version": _VERSION, "items": items}
    path.with_suffix(".json").write_text(json.dumps(facts))
    shutil.rmtree(parts)


def _merge(parts: list[str], path: str) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    merged = merge_indexes(parts, path)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "merge_peak_mb": peak_mb(),
        "merge_cpu_s": cpu_s,
        "merge_s": time.perf_counter() - begin,
        "rows": merged.chips,
    }


def _write_part(first: int, stop: int, folder: Path) -> None:
    out = folder / f"{first:06d}"
    if out.exists():  # an earlier run has written it
        return
    tables, records, headers = [], [], {}
    for number in range(first, min(first + _PART, stop)):
        record, grid, source = make_item(number)
        tables.append(make_rows(record, number))
        records.append(record)
        headers[ItemKey(source.name, record["id"])] = _headers(grid)
    begun = out.with_name(out.name + "-begun")
    shutil.rmtree(begun, ignore_errors=True)
    write_index(pa.concat_tables(tables), begun, items=records, headers=headers)
    begun.rename(out)


def make_item(number: int) -> tuple[dict[str, Any], ChipGrid, Source]:
    """Return the item with a number: its record, its grid and its source."""
    tile, source, grid = _tile(number // _DATES)
    rng = np.random.default_rng((7, number))
    day = timedelta(days=int(rng.integers(_DAYS)), seconds=number % 86_400)
    date = datetime(2019, 1, 1, tzinfo=UTC) + day
    record = copy.deepcopy(_template())
    name = source.item_id.format(
        tile=tile, date=date, satellite="AB"[number % 2], landsat=8 + number % 2
    )
    record["id"] = f"{name}-{number % _DATES}"
    record["collection"] = source.name
    a = grid.geobox.transform
    record["properties"] = {
        "datetime": date.isoformat(),
        "platform": source.name,
        "proj:code": _code(grid),
        "proj:shape": [SIZE, SIZE],
        "proj:transform": [a.a, a.b, a.c, a.d, a.e, a.f],
    }
    # as an indexer keeps it
    return record_grid(record, RecordedGrid(grid.geobox, ASSETS[0])), grid, source


def make_rows(record: dict[str, Any], number: int) -> pa.Table:
    """Return the rows of an item, without chips that are more than half nodata."""
    _, source, grid = _tile(number // _DATES)
    rng = np.random.default_rng((8, number))
    cloud = np.clip(_smooth(rng, grid) * rng.choice([0, 0.5, 1, 2]), 0, 1)
    ramp = np.add.outer(np.arange(grid.y_size), np.arange(grid.x_size)) / grid.y_size
    nodata = np.clip((ramp - 1.6) * 3, 0, 1) if number % 5 == 0 else np.zeros_like(ramp)
    shares = {"nodata_percentage": nodata, "cloud_cover_percentage": cloud}
    if source.name == "sentinel-1-rtc":
        del shares["cloud_cover_percentage"]
    table = _rows_of_tile(number // _DATES)
    when = datetime.fromisoformat(record["properties"]["datetime"])
    known: dict[str, Any] = {
        "item_id": record["id"],
        "datetime": when,
        "date": when.date(),
        "item_href": str(DATA / source.name / f"{record['id']}.json"),
    }
    x, y = (table[name].cast(pa.string()) for name in ("chip_index_x", "chip_index_y"))
    columns = {
        "chipid": pc.binary_join_element_wise(record["id"], x, y, "-"),
        **{name: pa.repeat(pa.scalar(each), len(table)) for name, each in known.items()},
        **{name: np.round(each.ravel() * 65_536) / 65_536 for name, each in shares.items()},
    }
    for name, values in columns.items():
        place = table.column_names.index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.chunked_array([values]).cast(field.type))
    chosen: pa.Table = table.filter(pc.field("nodata_percentage") <= 0.5)
    return chosen


@lru_cache(2)
def _rows_of_tile(tile: int) -> pa.Table:
    """Return rows of a tile, in which what belongs to an item is to be replaced."""
    record, grid, source = make_item(tile * _DATES)
    when = datetime(2019, 1, 1, tzinfo=UTC)
    table = build_table(
        record, grid, platform=source.name, datetime=when, shares={"nodata": 0}, item_href=""
    )
    return table.replace_schema_metadata()


@lru_cache(2)
def _tile(number: int) -> tuple[int, Source, ChipGrid]:
    """Return a tile: its number, its source, which all parts of an index have, and its grid."""
    ends = np.cumsum([source.share for source in SOURCES])
    place = number * 0.6180339887 % 1
    source = SOURCES[min(int(np.searchsorted(ends, place, side="right")), len(SOURCES) - 1)]
    return number, source, ChipGrid(_geobox(source, number), CHIP_PX)


def _code(grid: ChipGrid) -> str:
    return str(grid.geobox.crs)


def _smooth(rng: np.random.Generator, grid: ChipGrid) -> np.ndarray:
    """Return a field over the grid out of 6 x 6 random values."""
    coarse = rng.random((6, 6))
    y, x = (np.linspace(0, 4.999, size) for size in (grid.y_size, grid.x_size))
    (y0, dy), (x0, dx) = ((axis.astype(int), axis % 1) for axis in (y, x))
    low = coarse[y0][:, x0] * (1 - dx) + coarse[y0][:, x0 + 1] * dx
    high = coarse[y0 + 1][:, x0] * (1 - dx) + coarse[y0 + 1][:, x0 + 1] * dx
    field: np.ndarray = low * (1 - dy[:, None]) + high * dy[:, None]
    return field


def _geobox(source: Source, tile: int) -> GeoBox:
    """Return the grid of a tile: somewhere between 55 degrees south and 70 north."""
    rng = np.random.default_rng((9, tile, len(source.name)))
    zone, south = int(rng.integers(1, 61)), bool(rng.random() < 0.3)
    step = source.gsd * SIZE
    west = 200_000 + step * int(rng.integers(max(1, int(500_000 / step))))
    top = (4_000_000 if south else 200_000) + step * int(rng.integers(int(5_900_000 / step)))
    transform = Affine(source.gsd, 0, west, 0, -source.gsd, top + step)
    return GeoBox((SIZE, SIZE), transform, f"EPSG:{32700 + zone if south else 32600 + zone}")


@cache
def _template() -> dict[str, Any]:
    item = ensure_scene().item()
    assets = {
        key: {"href": item["assets"][key]["href"], "type": item["assets"][key].get("type"),
              "roles": ["data"]}
        for key in ASSETS
    }  # fmt: skip
    # nothing here asks for the geometry, and it takes as long as all footprints
    empty = {"type": "Feature", "stac_version": "1.0.0", "geometry": None, "links": []}
    return {**empty, "assets": assets}


@cache
def _scene_headers() -> dict[str, Header]:
    (headers,) = gather_headers([parse_item(ensure_scene().item())], ASSETS).values()
    return headers


def _headers(grid: ChipGrid) -> dict[str, Header]:
    """Return the headers of the scene's files, as if these lay on a grid."""
    return {
        key: replace(header, crs=_code(grid), transform=grid.geobox.transform)
        for key, header in _scene_headers().items()
    }


if __name__ == "__main__":
    make_big_index(int(sys.argv[1]), Path(sys.argv[2]))
