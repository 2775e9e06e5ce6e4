"""What the paths of an index's files say of their chips.

Two layouts put columns into paths, and leave them out of the files:

- Hive's: `platform=naip/chip_size=256/x.parquet`, as DuckDB's `PARTITION_BY`, pyarrow, polars and
  Spark write it. Values are percent-encoded; `__HIVE_DEFAULT_PARTITION__` stands for null.
- The original stacchip's: `index/{platform}/{item_id}/index_{item_id}.parquet`, with the item at
  `{platform}/{item_id}/stac_item.json` beside `index` (`stacchip.items.archive`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import pyarrow as pa

from stacchip.errors import IndexFormatError
from stacchip.index.schema import SCHEMA
from stacchip.items.archive import Archive
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Told = dict[str, pa.Scalar]

__all__ = ["told_by_paths"]

_KEY: Final = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_INDEX_FOLDER: Final = "index"


def told_by_paths(root: str, hrefs: Iterable[str]) -> dict[str, Told]:
    """Return the columns that each file's path gives one value for all its rows.

    A folder above `root` gives columns of `SCHEMA` only, and only if its value has their type: it
    may have been named for another purpose. One below it may give any column. Those that are not
    in `SCHEMA` are whole numbers if they are so in all paths, else texts.

    Args:
        root: The folder or file of the index.
        hrefs: Its files.

    Raises:
        IndexFormatError: A folder below `root` gives a column of `SCHEMA` a value of another type.

    Example:
        >>> path = "idx/platform=naip/split=1/data_0.parquet"
        >>> {name: value.as_py() for name, value in told_by_paths("idx", [path])[path].items()}
        {'platform': 'naip', 'split': 1}
        >>> path = "s3://b/index/naip/m_1/index_m_1.parquet"
        >>> told_by_paths("s3://b/index", [path])[path]["item_href"].as_py()
        's3://b/naip/m_1/stac_item.json'
    """
    texts = {href: {**_read_archive(root, href), **_read_hive(root, href)} for href in hrefs}
    kinds = _find_types(texts.values())
    return {
        href: {name: _convert(name, text, kinds[name], href) for name, text in told.items()}
        for href, told in texts.items()
    }


def _read_hive(root: str, href: str) -> dict[str, str | None]:
    """Return the `name=value` of a path's folders."""
    above, below = _absolute(root), _absolute(href)
    told: dict[str, str | None] = {}
    folders = below.split("/")[:-1]
    for number, folder in enumerate(folders):
        match = _KEY.fullmatch(folder)
        if match is None:
            continue
        name, value = unquote(match[1]), unquote(match[2])
        text = None if value == _NULL else value
        if number >= len(above.split("/")) or _is_of_schema(name, text):
            told[name] = text
    return told


def _is_of_schema(name: str, text: str | None) -> bool:
    """Return True if a text is a value of a column of `SCHEMA`."""
    return name in SCHEMA.names and _cast(text, SCHEMA.field(name).type) is not None


def _cast(text: str | None, kind: pa.DataType) -> pa.Scalar | None:
    try:
        return pa.scalar(text, pa.string()).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _read_archive(root: str, href: str) -> dict[str, str | None]:
    """Return what the original's layout says of a file; nothing if it is not laid out so."""
    parts = _absolute(href).split("/")
    if len(parts) < 4 or parts[-1] != f"index_{parts[-2]}.parquet":
        return {}
    above, platform, item_id = parts[-4], parts[-3], parts[-2]
    is_archive = above == _INDEX_FOLDER
    if not is_archive and parts[:-3] != _absolute(root).split("/"):
        return {"item_id": item_id}  # the folder above it may have any name
    told: dict[str, str | None] = {"platform": platform, "item_id": item_id}
    archive = "/".join(parts[:-4])
    if is_archive and archive:
        told["item_href"] = Archive(archive).place(platform, item_id).item_href
    return told


def _absolute(href: str) -> str:
    local = local_path(href)
    return href.partition("?")[0].rstrip("/") if local is None else local.absolute().as_posix()


def _find_types(texts: Iterable[Mapping[str, str | None]]) -> dict[str, pa.DataType]:
    """Return the type of each column that paths name."""
    values: dict[str, set[str]] = {}
    for told in texts:
        for name, text in told.items():
            values.setdefault(name, set()).update(() if text is None else (text,))
    return {
        name: SCHEMA.field(name).type
        if name in SCHEMA.names
        else pa.int64()
        if found and all(map(_WHOLE.fullmatch, found))
        else pa.string()
        for name, found in values.items()
    }


def _convert(name: str, text: str | None, kind: pa.DataType, href: str) -> pa.Scalar:
    value = _cast(text, kind)
    if value is None:
        raise IndexFormatError(
            f"The path {redact(href)} says {name}={text!r}, but the column '{name}' has type "
            f"{kind}. Rename the folder.",
            column=name,
            href=redact(href),
        )
    return value
