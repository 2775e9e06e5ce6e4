"""What a source adds to the one pipeline: data, and at most two small functions.

The pipeline is: search, choose, copy or convert, write the item, index, write the index. A `Recipe`
says where to search, which items and assets to take, and where the pixels are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pystac

from stacchip.collect.choice import Chosen
from stacchip.collect.sample import Row
from stacchip.errors import UsageError
from stacchip.runtime.names import names_of
from stacchip.storage.href import split_href

if TYPE_CHECKING:
    import shapely

    from stacchip.items.dates import Period


@dataclass(frozen=True)
class Choices:
    """The choices of a user. A field that is `None` does not apply to the source.

    Attributes:
        seed: Seed of every draw; with the row's number it makes a run repeatable.
        chip_size: Edge of a chip in pixels.
        years: First and last year to draw from.
        year_count: Number of different years to draw.
        per_period: Number of items to take of each quarter or month.
        max_cloud: Largest `eo:cloud_cover`, 0..100.
        max_nodata: Largest `s2:nodata_pixel_percentage`, 0..100.
        share: Share of a survey's items to take, 0..1.
        minimum: Smallest number of items to take of a survey.
        maximum: Largest number of items to take of a survey.
        crs: The CRS that files are reprojected to.
        resolution: The pixel size that files are resampled to, in the unit of the CRS.
        band_count: Number of bands to keep of each file, from the first.
        bands: Asset keys to take in place of the source's own list.
    """

    seed: int = 0
    chip_size: int = 256
    years: tuple[int, int] | None = None
    year_count: int | None = None
    per_period: int | None = None
    max_cloud: float | None = None
    max_nodata: float | None = None
    share: float | None = None
    minimum: int | None = None
    maximum: int | None = None
    crs: str | None = None
    resolution: float | None = None
    band_count: int | None = None
    bands: tuple[str, ...] | None = None

    def need(self, name: str) -> Any:
        """Return a field that the source cannot do without.

        Raises:
            UsageError: The field is `None`.
        """
        value = getattr(self, name)
        if value is None:
            raise UsageError(f"The choice {name!r} must have a value for this source.")
        return value


class Catalogue(Protocol):
    """A place to find items: a STAC API, or JSON files beside the imagery."""

    def search(
        self,
        collection: str,
        *,
        period: Period | None = None,
        geometry: shapely.Geometry | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> list[pystac.Item]:
        """Return every item of a collection that meets all conditions."""
        ...

    def item_hrefs(self, prefix: str) -> list[str]:
        """Return the absolute hrefs of the items that a prefix's `collection.json` links to."""
        ...

    def read_item(self, href: str) -> pystac.Item:
        """Return the item in a file."""
        ...


Choose = Callable[[Row, Choices, Catalogue, np.random.Generator, "Recipe"], Chosen]
FindHrefs = Callable[[pystac.Item, str], tuple[str, ...]]


@dataclass(frozen=True)
class BucketAccess:
    """Access options of a source bucket.

    Attributes:
        prefix: What the hrefs of the bucket begin with, such as `s3://usgs-landsat/`.
        region: The region of the bucket.
        requester_pays: True if reading is billed to us, which needs credentials and a header.
        anonymous: True if requests are not signed.
    """

    prefix: str
    region: str
    requester_pays: bool = False
    anonymous: bool = False


Bucket = BucketAccess  # pickles of 0.x name it so


def own_href(item: pystac.Item, key: str) -> tuple[str, ...]:
    """Return the asset's own href, made absolute with the item's."""
    asset = item.assets[key]
    return (asset.get_absolute_href() or asset.href,)


@dataclass(frozen=True)
class Recipe:
    """One source for the pipeline.

    Attributes:
        name: Its name on the command line.
        title: A line about it for people.
        catalogue: URL of the STAC API, or href of a static catalogue.
        collections: The collections to search, in order.
        assets: The asset keys to take, by collection (`""` for any other).
        choices: The defaults of the choices. Those that are `None` do not exist for this source.
        choose: Chooses the items of a row.
        find_hrefs: Returns the places where an asset may be; the first one that exists is read.
        buckets: Access options of the buckets to read from.
        list_name: A list of rows that comes with the source: a file in `collect/data`, or
            `package:file`. `None` if rows come from a sample layer.
        converts: True to convert files to COGs, False to copy them as they are.
        platform: The folder of its items; if `None`, that of the item's source or collection.
        extra_assets: Keys of further assets, which are taken of items that have them.
        choice_names: The choices that exist for this source.
    """

    name: str
    title: str
    catalogue: str
    collections: tuple[str, ...]
    assets: Mapping[str, tuple[str, ...]]
    choices: Choices
    choose: Choose
    find_hrefs: FindHrefs = own_href
    buckets: tuple[BucketAccess, ...] = ()
    list_name: str | None = None
    converts: bool = False
    platform: str | None = None
    extra_assets: tuple[str, ...] = ()
    choice_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        always = {"seed", "chip_size", "bands"}
        given = {
            option.name
            for option in dataclasses.fields(self.choices)
            if getattr(self.choices, option.name) is not None
        }
        object.__setattr__(self, "choice_names", frozenset(always | given))

    def asset_keys(self, collection: str, choices: Choices) -> tuple[str, ...]:
        """Return the keys of the assets that an item of this collection must have."""
        if choices.bands is not None:
            return names_of(choices.bands, "bands")
        return names_of(self.assets.get(collection, self.assets.get("", ())), "assets")

    def asset_keys_of(self, item: pystac.Item, choices: Choices) -> tuple[str, ...]:
        """Return the keys of the assets to take of an item."""
        keys = self.asset_keys(item.collection_id or "", choices)
        if choices.bands is not None:
            return keys
        return (*keys, *(key for key in self.extra_assets if key in item.assets))

    def with_choices(self, wanted: Mapping[str, Any]) -> Choices:
        """Return the choices of a user, with defaults for those that are `None`.

        Raises:
            UsageError: A choice does not exist for this source.
        """
        decided = {name: value for name, value in wanted.items() if value is not None}
        unknown = sorted(decided.keys() - self.choice_names)
        if unknown:
            raise UsageError(
                f"{self.name} has no choice of {', '.join(unknown)}; "
                f"it has: {', '.join(sorted(self.choice_names))}."
            )
        return dataclasses.replace(self.choices, **decided)


def bucket_href(href: str) -> str:
    """Return an AWS address over https as `s3://bucket/key`, and any other address unchanged.

    Understands the virtual-hosted and the path form (docs.aws.amazon.com, "Virtual hosting of
    buckets").

    Example:
        >>> bucket_href("https://sentinel-cogs.s3.us-west-2.amazonaws.com/a/B02.tif")
        's3://sentinel-cogs/a/B02.tif'
        >>> bucket_href("https://s3.us-west-2.amazonaws.com/sentinel-cogs/a/B02.tif")
        's3://sentinel-cogs/a/B02.tif'
    """
    parts = split_href(href)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host.endswith(".amazonaws.com"):
        return href
    if host.startswith(("s3.", "s3-")):
        return f"s3:/{parts.path}"
    bucket, found, _ = host.partition(".s3")
    return f"s3://{bucket}{parts.path}" if found else href


def first_of(candidates: Sequence[str]) -> tuple[str, ...]:
    """Return the candidates in order, without repeats and without empty ones."""
    return tuple(dict.fromkeys(candidate for candidate in candidates if candidate))
