"""The known sources, and which of them an item belongs to.

A third party adds one by a call, `register_source(source)`, or by an entry point of its package,
which works without an import:

```toml
[project.entry-points."stacchip.sources"]
planetscope = "my_package.sources:PLANETSCOPE"
```

The entry point names a `Source`, or an iterable of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.errors import SourceError, SourceNotFound
from stacchip.runtime import registry
from stacchip.sources.aerial import LINZ, NAIP
from stacchip.sources.dea import DEA_LANDSAT
from stacchip.sources.landsat import LANDSAT, LANDSAT_L1, LANDSAT_ST
from stacchip.sources.modis import MODIS
from stacchip.sources.sentinel1 import SENTINEL_1
from stacchip.sources.sentinel2 import SENTINEL_2
from stacchip.sources.source import Clouds, ItemLike, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTRY_POINT_GROUP = "stacchip.sources"
BUILT_IN = (
    *(SENTINEL_2, LANDSAT, LANDSAT_ST, LANDSAT_L1, NAIP, LINZ, SENTINEL_1, MODIS),
    DEA_LANDSAT,
)


class Registry:
    """Sources by name, the latest first; `runtime.registry` keeps them."""

    def __init__(self, sources: Iterable[Source], group: str | None = None) -> None:
        self._named = registry.Registry(
            Source, "stacchip.sources.Source", sources, group=group, error=SourceError
        )

    def register(self, source: Source, *, replace: bool = False) -> None:
        """Add a source; see `register_source`."""
        self._named.register(source, replace=replace)

    def all(self) -> tuple[Source, ...]:
        """Return every source, the latest registered first."""
        return tuple(reversed(self._named.all()))

    def find(self, item: ItemLike) -> Source | None:
        """Return the source of an item; see `find_source`."""
        sources = self.all()
        by_collection = (source for source in sources if source.has_collection(item))
        by_marks = (source for source in sources if source.matches(item))
        found = next(by_collection, None) or next(by_marks, None)
        return None if found is None else found.for_item(item)


_REGISTRY = Registry(BUILT_IN, ENTRY_POINT_GROUP)


def register_source(source: Source, *, replace: bool = False) -> None:
    """Make a source known to `find_source`, `get_source` and `Indexer` in this process.

    Workers that start fresh (spawn, forkserver) do not know it, and need not, since indexers carry
    their source with them. An entry point is known everywhere.

    Args:
        source: The source to add. Registering the same source again only makes it the latest.
        replace: Replace another source of the same name.

    Raises:
        SourceError: Another source has that name, and `replace` is False.

    Example:
        >>> from stacchip.sources import SENTINEL_2
        >>> register_source(SENTINEL_2)
    """
    _REGISTRY.register(source, replace=replace)


def list_sources() -> tuple[Source, ...]:
    """Return every known source, the latest registered first.

    Example:
        >>> "sentinel-2-l2a" in [source.name for source in list_sources()]
        True
    """
    return _REGISTRY.all()


def get_source(name: str) -> Source:
    """Return the source with a name.

    Raises:
        SourceNotFound: No source has that name.

    Example:
        >>> get_source("naip").title
        'NAIP'
    """
    for source in list_sources():
        if source.name == name:
            return source
    raise SourceNotFound(
        f"No source is named {name!r}. Known are: "
        f"{', '.join(sorted(source.name for source in list_sources()))}. "
        "Add one with stacchip.sources.register_source."
    )


def clouds_of(platform: str) -> Clouds:
    """Return what the source of a platform declares about clouds; "measured" if none is known.

    Example:
        >>> clouds_of("naip"), clouds_of("sentinel-1-rtc"), clouds_of("my-drone")
        ('none', 'not applicable', 'measured')
    """
    declared = {source.name: source.clouds for source in list_sources()}
    return declared.get(platform, "measured")


def find_source(item: ItemLike) -> Source | None:
    """Return the source of an item, fitted to it; None if no source knows it.

    A source that names the item's collection goes before one that recognises the item by other
    marks. Among equals the latest registered goes first, so yours goes before ours.

    Args:
        item: A `pystac.Item`, or anything with `id`, `collection_id`, `properties` and `assets`.
            Odd values in it raise no error.

    Raises:
        SourceError: An installed entry point is broken, or has the name of another source.

    Example:
        >>> from types import SimpleNamespace
        >>> item = SimpleNamespace(id="a", collection_id="naip", properties={}, assets={})
        >>> find_source(item).name
        'naip'
    """
    return _REGISTRY.find(item)
