"""rasteret 0.4.1: its own table of headers, one `read_window` per chip, in several threads."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import rasteret
from obstore.store import HTTPStore

from benchmarks.contender import answer

CHIP = 256
AT_ONCE = 4
"""Calls in flight; more were not faster on two cores."""

_state: dict[str, Any] = {}


class PlainHttp:
    """The store that rasteret would use, but with `http://`, which rasteret refuses."""

    def __init__(self, origin: str) -> None:
        self._store = HTTPStore.from_url(origin, client_options={"allow_http": True})

    async def get_range(self, url: str, start: int, length: int) -> Any:
        path = urlsplit(url).path.lstrip("/")
        return await self._store.get_range_async(path, start=start, length=length)

    async def get_ranges(self, url: str, ranges: list[tuple[int, int]]) -> Any:
        starts, lengths = zip(*ranges, strict=True)
        path = urlsplit(url).path.lstrip("/")
        return await self._store.get_ranges_async(path, starts=starts, lengths=lengths)


def prepare(item: dict[str, Any]) -> None:
    assets = {key: {"href": asset["href"]} for key, asset in item["assets"].items()}
    properties = item["properties"]
    row = {
        "id": item["id"],
        "collection": item["collection"],
        "datetime": datetime.fromisoformat(properties["datetime"]),
        "geometry": _wkb(item["geometry"]["coordinates"][0]),
        "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), item["bbox"], strict=True)),
        "proj:epsg": properties["proj:epsg"],
        "assets": assets,
    }
    address = urlsplit(item["assets"]["blue"]["href"])
    backend = PlainHttp(f"{address.scheme}://{address.netloc}")
    collection = rasteret.build_from_table(
        pa.Table.from_pylist([row]),
        name="scene",
        data_source=item["collection"],
        workspace_dir=tempfile.mkdtemp(),
        enrich_cog=True,
        band_codes=list(assets),
        force=True,
        backend=backend,
    )
    transform = item["assets"]["blue"]["proj:transform"]
    _state.update(
        collection=collection,
        backend=backend,
        bands=list(assets),
        id=item["id"],
        epsg=properties["proj:epsg"],
        origin=(transform[2], transform[5]),
        pool=ThreadPoolExecutor(AT_ONCE),
    )


def _wkb(ring: list[list[float]]) -> bytes:
    import shapely

    return bytes(shapely.to_wkb(shapely.Polygon(ring)))


def chips(chips: list[tuple[int, int]]) -> dict[str, Any]:
    begin = time.perf_counter()
    arrays = list(_state["pool"].map(lambda chip: _read(*chip), chips))
    seconds = time.perf_counter() - begin
    total = sum(int(np.asarray(array, np.float64).sum()) for array in arrays)
    return {"seconds": seconds, "checksum": total, "dtype": str(arrays[0].dtype)}


def _read(x: int, y: int) -> np.ndarray:
    west, north = _state["origin"]
    xmin, ymax = west + x * CHIP * 10, north - y * CHIP * 10
    pixels: np.ndarray = _state["collection"].read_window(
        record_ids=[_state["id"]],
        bounds=(xmin, ymax - CHIP * 10, xmin + CHIP * 10, ymax),
        res=(10, 10),
        bands=_state["bands"],
        target_crs=_state["epsg"],
        max_concurrent=50,
        backend=_state["backend"],
    )
    return pixels


if __name__ == "__main__":
    answer({"prepare": prepare, "chips": chips})
