"""What a source adds to the one pipeline: data, and at most two small functions.

The pipeline is search, choose, copy or convert, write the item, index, write the index; a `Recipe`
tells it where to search, what to take and where the pixels lie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import pystac

from stacchip.collect.choice import Chosen
from stacchip.collect.sample import Row
from stacchip.errors import UsageError

if TYPE_CHECKING:
    import shapely

    from stacchip.items.dates import Period


@dataclass(frozen=True)
class Choices:
    """What a user may decide; a field that is `None` does not apply to the source.

    Attributes:
        seed: Of every draw; with the row's number it makes a run repeatable.
        chip_size: Edge of a chip in pixels.
        years: First and last year to draw from.
        year_count: How many different years are drawn.
        per_period: Items taken of each quarter or month.
        max_cloud: Limit of `eo:cloud_cover`, 0..100.
        max_nodata: Limit of `s2:nodata_pixel_percentage`, 0..100.
        share: Part of a survey that is taken, 0..1.
        minimum: At least so many of a survey.
        maximum: At most so many of a survey.
        crs: Pixels are brought to this reference system.
        resolution: Pixels are brought to this size, in the unit of the CRS.
        band_count: Bands that are kept of each file, from the first on.
        bands: Asset keys that are taken in place of the source's own list.
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
        """A field that the source cannot do without.

        Raises:
            UsageError: It is `None`.
        """
        value = getattr(self, name)
        if value is None:
            raise UsageError(f"The choice {name!r} must have a value for this source.")
        return value


class Catalogue(Protocol):
    """Where items are found: a STAC API, or JSON files beside the imagery."""

    def search(
        self,
        collection: str,
        *,
        period: Period | None = None,
        geometry: shapely.Geometry | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> list[pystac.Item]:
        """Every item of a collection that answers to all of this."""
        ...

    def item_hrefs(self, prefix: str) -> list[str]:
        """The absolute hrefs of the items that the `collection.json` below a prefix links to."""
        ...

    def read_item(self, href: str) -> pystac.Item:
        """One item from its file."""
        ...


Choose = Callable[[Row, Choices, Catalogue, np.random.Generator, "Recipe"], Chosen]
FindHrefs = Callable[[pystac.Item, str], tuple[str, ...]]


@dataclass(frozen=True)
class BucketAccess:
    """How a bucket that we read from wants to be asked.

    Attributes:
        prefix: The hrefs it is about, such as `s3://usgs-landsat/`.
        region: Where it lies.
        requester_pays: Reading is billed to us, and needs credentials and a header.
        anonymous: Requests are not signed.
    """

    prefix: str
    region: str
    requester_pays: bool = False
    anonymous: bool = False


Bucket = BucketAccess  # pickles of 0.x name it so


def own_href(item: pystac.Item, key: str) -> tuple[str, ...]:
    """The asset's own href, made absolute by the item's."""
    asset = item.assets[key]
    return (asset.get_absolute_href() or asset.href,)


@dataclass(frozen=True)
class Recipe:
    """One source for the pipeline.

    Attributes:
        name: As the command line calls it.
        title: One line for people.
        catalogue: URL of the STAC API, or href of a static catalogue.
        collections: Where it searches, in order.
        assets: The asset keys that are taken, by collection (`""` for any other).
        choices: The defaults.
        choose: What of a row is taken.
        find_hrefs: Where an asset's pixels lie: the first that exists is read.
        buckets: How the stores of the pixels want to be asked.
        list_name: The package's list of rows; `None` where rows come from a sample layer.
        converts: Pixels are written anew as COGs; else files are copied as they are.
        platform: The folder of its items; `None`: the item's own source or collection tells.
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
        """The assets that are taken of an item of this collection."""
        if choices.bands is not None:
            return choices.bands
        return self.assets.get(collection, self.assets.get("", ()))

    def with_choices(self, wanted: Mapping[str, Any]) -> Choices:
        """The defaults with what the user decided; `None` leaves a default.

        Raises:
            UsageError: Something was decided that does not apply to this source.
        """
        decided = {name: value for name, value in wanted.items() if value is not None}
        strange = sorted(decided.keys() - self.choice_names)
        if strange:
            raise UsageError(
                f"{self.name} has no choice of {', '.join(strange)}; "
                f"it has: {', '.join(sorted(self.choice_names))}."
            )
        return dataclasses.replace(self.choices, **decided)


def bucket_href(href: str) -> str:
    """An AWS address over https as `s3://bucket/key`; anything else as it is.

    Both the virtual-hosted and the path form (docs.aws.amazon.com, "Virtual hosting of buckets").

    Example:
        >>> bucket_href("https://sentinel-cogs.s3.us-west-2.amazonaws.com/a/B02.tif")
        's3://sentinel-cogs/a/B02.tif'
        >>> bucket_href("https://s3.us-west-2.amazonaws.com/sentinel-cogs/a/B02.tif")
        's3://sentinel-cogs/a/B02.tif'
    """
    parts = urlsplit(href)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host.endswith(".amazonaws.com"):
        return href
    if host.startswith(("s3.", "s3-")):
        return f"s3:/{parts.path}"
    bucket, found, _ = host.partition(".s3")
    return f"s3://{bucket}{parts.path}" if found else href


def first_of(candidates: Sequence[str]) -> tuple[str, ...]:
    """The candidates without repeats and without empty ones, in order."""
    return tuple(dict.fromkeys(candidate for candidate in candidates if candidate))
