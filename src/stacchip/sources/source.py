"""A source: a kind of imagery, as data and one pure function from QA pixels to shares."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

from stacchip.errors import SourceError
from stacchip.runtime.names import names_of
from stacchip.sources.classify import Classes, Classify, classify_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARES = ("cloud", "nodata", "shadow", "cirrus", "snow", "water")
"""The shares that an index has columns for; a source measures some of them."""

Clouds: TypeAlias = Literal["measured", "none", "not applicable"]
"""What a source declares about clouds; see `Source`."""

_log = logging.getLogger(__name__)


class ItemLike(Protocol):
    """The parts of a STAC item that a source looks at; `pystac.Item` has them."""

    id: str
    collection_id: str | None
    properties: dict[str, Any]

    @property
    def assets(self) -> Mapping[str, Any]:
        """Assets by key; only keys and hrefs are looked at, except by `harmonize`."""


@dataclass(frozen=True)
class Source:
    """A kind of imagery: how to recognise its items, and what its QA band means.

    Everything is a value: make a variant with `dataclasses.replace`, and pickle a source to a
    worker. (Its functions must be importable for that, not lambdas.)

    Args:
        name: The `platform` of its chips, and the folder of its items in a bucket.
        title: A name for people.
        collections: STAC collection ids whose items are of this source.
        recognises: Recognises its items if the collection does not: old files name none, and each
            catalogue has its own names. An error on an odd item counts as no.
        qa_assets: Keys of the QA band, the preferred one first; catalogues spell it differently.
        classes: For each share that the QA band gives, the values or bits that count. A share that
            no band gives is null in the index: it was not measured.
        classify: `(pixels, classes, nodata) -> {share: bool array}`; must be pure. Its pixels are
            a strip of any height of the QA band (its first band), in native byte order.
        bands: Keys of the bands, in their order of use, without the QA band.
        rgb: The names (common names, or keys) of red, green and blue, for pictures; None if there
            are none.
        nodata: Nodata value if neither the file nor the item has one. It holds for the bands and
            the QA band: leave it None if that number means something in the QA band.
        adapt: Fits the source to one item if sensors of one collection differ (Landsat MSS has no
            shadow bit): `(source, item) -> source`.
        clouds: What is known of clouds without a QA band: `"none"` for imagery that is only
            published free of clouds (each chip's cloud is 0), `"not applicable"` for radar, which
            sees through them (cloud is null, and no limit on cloud leaves a chip out). With
            `"measured"`, the QA band says where clouds are; without such a band cloud is null.
        is_complete: True if a file of this source that declares neither nodata nor a mask is known
            to be full of imagery. Its nodata is then 0, otherwise null.

    Example:
        >>> from dataclasses import replace
        >>> from stacchip.sources import SENTINEL_2
        >>> strict = replace(SENTINEL_2, classes={**SENTINEL_2.classes, "cloud": (8, 9)})
        >>> strict.classes["cloud"]
        (8, 9)
    """

    name: str
    title: str
    collections: tuple[str, ...] = ()
    recognises: Callable[[ItemLike], bool] | None = None
    qa_assets: tuple[str, ...] = ()
    classes: Classes = field(default_factory=dict, hash=False)
    classify: Classify = classify_nothing
    bands: tuple[str, ...] = ()
    rgb: tuple[str, str, str] | None = ("red", "green", "blue")
    nodata: float | None = None
    adapt: Callable[[Source, ItemLike], Source] | None = None
    clouds: Clouds = "measured"
    is_complete: bool = False

    def __post_init__(self) -> None:
        for names in ("collections", "qa_assets", "bands"):
            object.__setattr__(self, names, names_of(getattr(self, names), names))
        if not self.name or "/" in self.name or "\\" in self.name or self.name.startswith("."):
            raise SourceError(
                f"{self.name!r} cannot name a source: it names a folder in a bucket, too. "
                "Use letters, digits, '-' and '_'."
            )
        unknown = sorted(set(self.classes) - set(SHARES))
        if unknown:
            raise SourceError(
                f"Source {self.name!r} has classes for {', '.join(unknown)}, but an index has no "
                f"column for that. Its shares are: {', '.join(SHARES)}."
            )
        if self.classes and not self.qa_assets:
            raise SourceError(
                f"Source {self.name!r} has classes, but no qa_assets to find them in. "
                "Name the asset keys of the QA band."
            )
        self._check_clouds()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state of a pickle; one of an earlier version declares what held there.

        There, imagery without a QA band counted as clear and full, and a QA band that tells no
        cloud was radar's.
        """
        self.__dict__.update(state)
        if "clouds" not in state and "cloud" not in self.classes:
            without_band: Clouds = "not applicable" if self.qa_assets else "none"
            self.__dict__.update(clouds=without_band, is_complete=not self.qa_assets)

    def _check_clouds(self) -> None:
        if self.clouds not in get_args(Clouds):
            raise SourceError(
                f"Source {self.name!r}: clouds is {self.clouds!r}, and must be one of "
                f"{', '.join(map(repr, get_args(Clouds)))}."
            )
        if self.clouds != "measured" and "cloud" in self.classes:
            raise SourceError(
                f"Source {self.name!r} has classes for cloud, but says clouds={self.clouds!r}. "
                'Leave one of them out: clouds="measured" is the default.'
            )

    def has_collection(self, item: ItemLike) -> bool:
        """Return True if the item says that it is of one of the source's collections.

        Example:
            >>> from types import SimpleNamespace
            >>> from stacchip.sources import NAIP
            >>> NAIP.has_collection(SimpleNamespace(id="x", collection_id="naip"))
            True
        """
        return getattr(item, "collection_id", None) in self.collections

    def matches(self, item: ItemLike) -> bool:
        """Return True if an item is of this source, by its collection or else by `recognises`.

        Never raises.

        Example:
            >>> from types import SimpleNamespace
            >>> from stacchip.sources import NAIP
            >>> item = SimpleNamespace(id="m_4709963_se_14_1_20120731", collection_id=None,
            ...                        properties={}, assets={})
            >>> NAIP.matches(item)
            True
        """
        if self.has_collection(item):
            return True
        if self.recognises is None:
            return False
        try:
            return bool(self.recognises(item))
        except Exception:  # noqa: BLE001 - any foreign function, any item: an error is a no
            _log.debug("source %s cannot judge item %r", self.name, item, exc_info=True)
            return False

    def for_item(self, item: ItemLike) -> Source:
        """Return the source fitted to one item; the source itself if its sensors do not differ.

        Example:
            >>> from types import SimpleNamespace
            >>> from stacchip.sources import LANDSAT_L1
            >>> mss = SimpleNamespace(id="LM01_L1GS_001010_19720908_02_T2")
            >>> sorted(LANDSAT_L1.for_item(mss).classes)
            ['cloud', 'nodata']
        """
        return self if self.adapt is None else self.adapt(self, item)

    def qa_asset(self, item: ItemLike) -> str | None:
        """Return the key of the item's QA band; None if it has none.

        Example:
            >>> from types import SimpleNamespace
            >>> from stacchip.sources import SENTINEL_2
            >>> SENTINEL_2.qa_asset(SimpleNamespace(assets={"B02": ..., "SCL": ...}))
            'SCL'
        """
        return next((key for key in self.qa_assets if key in item.assets), None)
