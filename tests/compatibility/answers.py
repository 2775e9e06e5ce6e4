"""Answers of objects, as plain values that JSON takes.

An answer holds what a user relies on: the fields of a value, the pixels of a chipper, the order of
a stream. It uses public names only, so that it still works after modules have moved.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import PurePath
from re import Pattern
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.chipper import Chipper
from stacchip.datasets.statistics import PlatformStatistics, make_report
from stacchip.errors import StacchipError
from stacchip.indexer import ChipIndexer
from stacchip.raster import Header, Window
from stacchip.storage import Storage
from stacchip.stream import ChipBatch, ChipStream


def answer(value: Any) -> Any:
    """Return the answer of a value, or of a container of values."""
    if value is None or isinstance(value, bool | int | str):
        return value
    name = type(value).__name__
    if name in BY_NAME:
        return BY_NAME[name](value)
    for kinds, ask in BY_KIND:
        if isinstance(value, kinds):
            return ask(value)
    if is_dataclass(value):
        return ask_fields(value)
    raise TypeError(f"{name} has no answer: add it to BY_NAME or BY_KIND")


def ask_float(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


def ask_header(header: Header) -> dict[str, Any]:
    places = {name: answer(getattr(header, name)) for name in ("block_offsets", "block_lengths")}
    return ask_fields(header) | places


def ask_fields(value: Any) -> dict[str, Any]:
    names = [each.name for each in fields(value) if not each.name.startswith("_")]
    return {"kind": type(value).__name__, **{name: answer(getattr(value, name)) for name in names}}


def ask_array(value: np.ndarray) -> list[Any]:
    plain = np.ascontiguousarray(value)
    return [value.dtype.str, list(value.shape), zlib.crc32(plain.view(np.uint8).data)]


def ask_column(value: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; for polygons, their bounds."""
    values = value.to_pylist()
    if values and isinstance(values[0], bytes):
        values = shapely.bounds(shapely.from_wkb(values)).tolist()
    return [answer(each) for each in values]


def ask_table(value: pa.Table) -> dict[str, Any]:
    return {name: ask_column(value[name]) for name in value.column_names}


def ask_geobox(value: GeoBox) -> list[Any]:
    return [str(value.crs), list(value.shape), list(value.affine)[:6]]


def ask_item(value: pystac.Item) -> dict[str, Any]:
    return answer(value.to_dict(include_self_link=True, transform_hrefs=False))


def ask_error(value: StacchipError) -> dict[str, Any]:
    bases = [kind.__name__ for kind in type(value).__mro__]
    facts = {name: answer(getattr(value, name)) for name in value.facts}
    return {"kind": bases, "message": str(value), "facts": facts}


def ask_indexer(value: ChipIndexer) -> dict[str, Any]:
    table = value.create_index()
    shares = [name for name in table.column_names if name.endswith("_percentage")]
    return {
        "kind": type(value).__name__,
        "item": value.item.id,
        "platform": value.platform,
        "sizes": [value.x_size, value.y_size, value.size, value.chip_size],
        "stats": list(value.get_stats(1, 0)),
        "shares": answer(table.select(["chipid", *shares])),
    }


def ask_chipper(value: Chipper) -> dict[str, Any]:
    chips = [[x, y, *map(ask_array, arrays.values())] for x, y, arrays in value]
    return {"keys": list(value[0][2]), "chips": chips, "last": answer(value.cut_row(-1))}


def ask_stream(value: ChipStream) -> dict[str, Any]:
    """Return the chips that the stream gives out, and their order."""
    length, order = len(value), value.rows().tolist()
    batches = [answer(batch) for batch in value.batches(4)]
    return {"length": length, "order": order, "epoch": value.epoch, "batches": batches}


def ask_batch(value: ChipBatch) -> dict[str, Any]:
    return {
        **ask_fields(value),
        "chipids": list(value.chipids),
        "times": answer(value.datetimes),
        "first": answer(value[0]),
        "table": answer(value.table["chipid"]),
    }


def ask_reader(value: Any) -> dict[str, Any]:
    facts = answer([value.href, value.shape, value.count, value.dtype, value.nodata, value.geobox])
    if type(value).__name__ == "GdalReader":
        # it remembers when its file was changed, and refuses a copy that was written later
        return {"facts": facts}
    window = Window(3, 5, 40, 50)
    read, valid = value.read(window), value.read_valid(window)
    return {"facts": facts, "pixels": answer(read), "valid": answer(valid)}


def ask_cubes(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__, "href": value.cube_href(1), "cube": answer(value.read(1))}


def ask_sink(value: Any) -> dict[str, Any]:
    there = sorted(value.find_complete([0, 1]))
    return {"kind": type(value).__name__, "href": value.cube_href(0), "there": there}


def ask_dataset(value: Any) -> dict[str, Any]:
    return {"kind": "ChipDataset", "length": len(value), "fourth": answer(value[3])}


def ask_stream_dataset(value: Any) -> dict[str, Any]:
    return {"kind": "ChipStreamDataset", "samples": answer(list(value))}


def ask_some(*names: str) -> Callable[[Any], dict[str, Any]]:
    """Return a function that answers with some of an object's attributes."""

    def ask(value: Any) -> dict[str, Any]:
        kind = type(value).__name__
        return {"kind": kind, **{name: answer(getattr(value, name)) for name in names}}

    return ask


def ask_statistics(value: PlatformStatistics) -> dict[str, Any]:
    return {"report": answer(make_report([value])), "part": answer(value.part)}


def ask_storage(value: Storage) -> dict[str, Any]:
    options = [repr(value.options_for(href)) for href in ("s3://usgs-landsat/a", "s3://b/a")]
    return {"text": repr(value), "options": options, "read": answer(value.read("note.txt"))}


def ask_partial(value: partial[Any]) -> list[Any]:
    return [answer(value.func), answer(value.args), answer(value.keywords)]


BY_NAME: dict[str, Callable[[Any], Any]] = {
    "FastReader": ask_reader,
    "GdalReader": ask_reader,
    "NpzReader": ask_cubes,
    "WebDatasetReader": ask_cubes,
    "ZarrReader": ask_cubes,
    "NpzSink": ask_sink,
    "WebDatasetSink": ask_sink,
    "ChipDataset": ask_dataset,
    "ChipStreamDataset": ask_stream_dataset,
    "Tensor": lambda value: answer(value.numpy()),
    "BlockCache": ask_some("limit_bytes"),
    "DiskCache": ask_some("folder", "limit_bytes", "revalidate"),
    "Pace": ask_some("per_second"),
}
"""The answers of classes that no package exports, or that need PyTorch."""

BY_KIND: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (float, ask_float),
    (np.generic, lambda value: answer(value.item())),
    (np.dtype, str),
    (np.ndarray, ask_array),
    (date | timedelta | PurePath, str),
    (bytes | bytearray | memoryview, lambda value: bytes(value).hex()),
    (Pattern, lambda value: value.pattern),
    (type | FunctionType | BuiltinFunctionType, lambda value: value.__qualname__),
    (MethodType, lambda value: [value.__qualname__, answer(value.__self__)]),
    (partial, ask_partial),
    (attrgetter | methodcaller, repr),
    (shapely.Geometry, lambda value: value.wkb_hex),
    (pa.Table, ask_table),
    (pa.Array | pa.ChunkedArray, ask_column),
    (pa.Schema, lambda value: [[each.name, str(each.type)] for each in value]),
    (Affine, lambda value: list(value)[:6]),
    (GeoBox, ask_geobox),
    (pystac.Item, ask_item),
    (StacchipError, ask_error),
    (ChipIndexer, ask_indexer),
    (Chipper, ask_chipper),
    (ChipStream, ask_stream),
    (ChipBatch, ask_batch),
    (Header, ask_header),
    (PlatformStatistics, ask_statistics),
    (Storage, ask_storage),
    (Mapping, lambda value: {str(key): answer(each) for key, each in value.items()}),
    (set | frozenset, lambda value: sorted(answer(each) for each in value)),
    (tuple | list | range, lambda value: [answer(each) for each in value]),
)
"""The answers of other classes; the first entry that fits is used."""


RENAMED = {
    "Bucket": ("Archive", "BucketAccess"),
    "Layout": ("Archive",),
    "Choice": ("Chosen",),
}
"""Names of classes before, and those that took their place."""


def differ(before: Any, today: Any, place: str = "") -> list[str]:
    """List the places where today's answer lacks something of the earlier one, or contradicts it.

    Today's answer may hold more: a class may have gained a field.
    """
    if isinstance(before, dict) and isinstance(today, dict):
        lacking = [f"{place}/{name} is gone" for name in before.keys() - today.keys()]
        both = (
            differ(before[name], today[name], f"{place}/{name}")
            for name in before.keys() & today.keys()
        )
        return sorted(lacking) + [each for found in both for each in found]
    if isinstance(before, list) and isinstance(today, list) and len(before) == len(today):
        pairs = enumerate(zip(before, today, strict=True))
        return [each for n, (a, b) in pairs for each in differ(a, b, f"{place}/{n}")]
    if isinstance(before, float) and isinstance(today, float):
        # the last bits of projected coordinates and deviations depend on libraries and processors
        is_same = math.isclose(before, today, rel_tol=1e-9, abs_tol=1e-9)
    else:
        is_renamed = place.endswith("/kind") and today in RENAMED.get(before, ())
        is_same = before == today or is_renamed
    return [] if is_same else [f"{place}: was {before!r}, is {today!r}"]
