"""The STAC item as the archive keeps it: with the archive's hrefs, sizes and grids, unsigned."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pystac

from stacchip.errors import InvalidMetadata, LimitExceeded
from stacchip.items.reach import ORIGIN
from stacchip.storage import is_remote, join_href, local_path, parent_href, unsign
from stacchip.storage.documents import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.storage import Limits

CHOICES = "stacchip:choices"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
COG = pystac.MediaType.COG
KEPT_LINKS = ("collection", "license", "via", "derived_from", "cite-as")
OF_ALTERNATES = (
    "https://stac-extensions.github.io/alternate-assets/",
    "https://stac-extensions.github.io/storage/",
)
# no longer true of a file that was converted
OF_THE_OLD_BYTES = ("file:checksum", "file:header_size", "file:byte_order", "alternate",
                    "raster:bands", "proj:epsg")  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """One file of an item in the archive.

    Attributes:
        href: Its address, unsigned.
        size_bytes: Its size; `None` if it is not known.
        projection: Its grid, in the fields of the projection extension, if it was converted; `None`
            if the catalogue's item has its grid.
    """

    href: str
    size_bytes: int | None = None
    projection: Mapping[str, Any] | None = None


def make_stored_item(
    item: pystac.Item,
    files: Mapping[str, Placed],
    *,
    href: str,
    choices: Mapping[str, Any],
    collection_href: str | None = None,
) -> dict[str, Any]:
    """Return the item to write, with only the assets that are in `files`.

    The result depends only on the arguments, not on the time or the host. So a job that runs again
    writes the same bytes.

    In a folder, files beside the item have relative hrefs, and the item has no link to itself: the
    folder of the archive can be moved. In a bucket all addresses are absolute, as in the original.

    Args:
        item: The item, as the catalogue gave it.
        files: The files of its assets, by key.
        href: The address to write the item to.
        choices: How it was made; kept as the property `stacchip:choices`.
        collection_href: The address of its collection, if the item has no link to it.
    """
    origin = item.get_self_href()
    record = item.to_dict(include_self_link=False, transform_hrefs=False)
    record["assets"] = {
        key: _stored_asset(record["assets"][key], placed, href) for key, placed in files.items()
    }
    record["links"] = _stored_links(record.get("links", []), origin, href)
    _link_collection(record, collection_href)
    record["properties"][CHOICES] = dict(choices)
    if choices.get("assets") != "link":
        record.pop(ORIGIN, None)  # all its files are in the archive, which may be local
    # these describe the alternate addresses, which are gone
    record["stac_extensions"] = [
        url for url in record.get("stac_extensions", []) if not url.startswith(OF_ALTERNATES)
    ]
    projections = [placed.projection for placed in files.values() if placed.projection is not None]
    if projections:
        _forget_projection(record)
        if all(projection == projections[0] for projection in projections):
            record["properties"].update(projections[0])
        _declare(record, PROJECTION)
    if any("file:size" in asset for asset in record["assets"].values()):
        _declare(record, FILE)
    return record


def parse_stored_item(data: bytes, href: str, limits: Limits) -> dict[str, Any] | None:
    """Return an item of an archive, with properties, and assets that have hrefs.

    None if these bytes are something else: then the item is written again.
    """
    try:
        record = parse_object(data, href, limits, remedy="Delete it, and collect again.")
    except (InvalidMetadata, LimitExceeded):
        return None
    properties, assets = record.get("properties"), record.get("assets")
    if not isinstance(properties, dict) or not isinstance(assets, dict):
        return None
    for asset in assets.values():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            return None
    return record


def to_bytes(record: Mapping[str, Any]) -> bytes:
    r"""Return the item as JSON, as it is stored.

    JSON has no NaN and no infinity. As a nodata value they are written as texts (STAC raster
    extension, `nodata`), elsewhere as null. A lone surrogate is written as its escape.

    Raises:
        InvalidMetadata: The item contains itself, nests too deeply, or has a value that JSON lacks.

    Example:
        >>> to_bytes({"nodata": float("nan"), "eo:cloud_cover": float("nan")}).decode()
        '{\n  "nodata": "nan",\n  "eo:cloud_cover": null\n}\n'
    """
    try:
        try:
            text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        except ValueError:
            record = _with_finite_numbers(record)
            text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        name = str(record.get("id"))
        raise InvalidMetadata(
            f"Item {name!r} cannot be written as JSON ({type(error).__name__}). Mend the values "
            "that JSON lacks, and the objects that contain themselves.",
            item_id=name,
        ) from error
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(record, indent=2)}\n".encode()


def _with_finite_numbers(value: Any, *, is_nodata: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            str(name) if _is_odd(name) else name: _with_finite_numbers(
                inner, is_nodata=name in ("nodata", "file:nodata")
            )
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_finite_numbers(inner, is_nodata=is_nodata) for inner in value]
    if _is_odd(value):
        return str(float(value)) if is_nodata else None
    return value


def _is_odd(value: Any) -> bool:
    """Return True for NaN and infinity."""
    return isinstance(value, float) and not math.isfinite(value)


def stored_href(file: str, item: str) -> str:
    """Return the href of a file as its item in the archive holds it.

    Args:
        file: The address of the file.
        item: The address of the item.

    Example:
        >>> stored_href("/data/naip/m_1/m_1.tif", "/data/naip/m_1/stac_item.json")
        './m_1.tif'
        >>> stored_href("s3://bucket/naip/m_1/m_1.tif", "s3://bucket/naip/m_1/stac_item.json")
        's3://bucket/naip/m_1/m_1.tif'
    """
    folder = f"{parent_href(item)}/"
    if local_path(item) is not None and file.startswith(folder):
        return f"./{file.removeprefix(folder)}"
    return unsign(file)


def _stored_asset(asset: dict[str, Any], placed: Placed, item: str) -> dict[str, Any]:
    stored = {name: value for name, value in asset.items() if name != "href"}
    if placed.projection is not None:
        stored = {
            name: value
            for name, value in stored.items()
            if name not in OF_THE_OLD_BYTES and not name.startswith("proj:")
        }
        stored["type"] = COG
        stored.update(placed.projection)
    if placed.size_bytes is not None:
        stored["file:size"] = placed.size_bytes
    # an alternate is another address of the same bytes, and may be signed
    stored.pop("alternate", None)
    return {"href": stored_href(placed.href, item), **stored}


def _stored_links(
    links: list[dict[str, Any]], origin: str | None, href: str
) -> list[dict[str, Any]]:
    """Return the item's new address, the links that still lead somewhere, and its origin."""
    kept = []
    for link in links:
        if link.get("rel") not in KEPT_LINKS:
            continue
        target = str(link.get("href", ""))
        if origin is not None:
            target = join_href(origin, target)
        if "://" in target and not target.startswith("file:"):
            kept.append({**link, "href": unsign(target)})
    if origin is not None and "://" in origin and not origin.startswith("file:"):
        address = {"rel": "derived_from", "href": unsign(origin), "type": "application/geo+json"}
        kept.append(address)
    if not is_remote(href):
        return kept
    return [{"rel": "self", "href": href, "type": "application/geo+json"}, *kept]


def _link_collection(record: dict[str, Any], collection_href: str | None) -> None:
    """Link an item to the collection that it names, as STAC demands (item-spec, `collection`).

    Without an address to link to, the item may not name a collection.
    """
    if not record.get("collection") or any(link["rel"] == "collection" for link in record["links"]):
        return
    if collection_href is None:
        del record["collection"]
        return
    link = {"rel": "collection", "href": unsign(collection_href), "type": "application/json"}
    record["links"].append(link)


def _forget_projection(record: dict[str, Any]) -> None:
    properties = record["properties"]
    for name in [name for name in properties if name.startswith("proj:")]:
        del properties[name]


def _declare(record: dict[str, Any], schema: str) -> None:
    """Name an extension once, in the version that we write."""
    stem = schema.rsplit("/", 2)[0]
    named = [url for url in record.get("stac_extensions", []) if not url.startswith(f"{stem}/")]
    record["stac_extensions"] = [*named, schema]
