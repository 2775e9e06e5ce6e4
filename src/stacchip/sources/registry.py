"""Which sources there are, and which of them an item is of.

A third party adds one by a call, `register_source(source)`, or by an entry point of its package,
which needs no import by anyone:

```toml
[project.entry-points."stacchip.sources"]
planetscope = "my_package.sources:PLANETSCOPE"
```

The entry point names a `Source`, or an iterable of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from stacchip.errors import SourceError, SourceNotFound
from stacchip.sources.aerial import LINZ, NAIP
from stacchip.sources.dea import DEA_LANDSAT
from stacchip.sources.landsat import LANDSAT, LANDSAT_L1, LANDSAT_ST
from stacchip.sources.modis import MODIS
from stacchip.sources.sentinel1 import SENTINEL_1
from stacchip.sources.sentinel2 import SENTINEL_2
from stacchip.sources.source import ItemLike, Source

ENTRY_POINT_GROUP = "stacchip.sources"
BUILT_IN = (
    *(SENTINEL_2, LANDSAT, LANDSAT_ST, LANDSAT_L1, NAIP, LINZ, SENTINEL_1, MODIS),
    DEA_LANDSAT,
)


class Registry:
    """Sources by name, the latest first; entry points are loaded when first asked for one."""

    def __init__(self, sources: Iterable[Source], group: str | None = None) -> None:
        self._lock = threading.RLock()
        self._sources = {source.name: source for source in sources}
        self._group = group

    def register(self, source: Source, *, replace: bool = False) -> None:
        """Add a source; see `register_source`."""
        if not isinstance(source, Source):
            raise SourceError(f"{source!r} is no Source. Pass a stacchip.sources.Source.")
        with self._lock:
            self._load()
            self._add(source, replace=replace)

    def all(self) -> tuple[Source, ...]:
        """Every source, the latest registered first."""
        with self._lock:
            self._load()
            return tuple(reversed(self._sources.values()))

    def find(self, item: ItemLike) -> Source | None:
        """The source that an item is of; see `find_source`."""
        sources = self.all()
        by_collection = (source for source in sources if source.has_collection(item))
        by_marks = (source for source in sources if source.matches(item))
        found = next(by_collection, None) or next(by_marks, None)
        return None if found is None else found.for_item(item)

    def _add(self, source: Source, *, replace: bool) -> None:
        known = self._sources.get(source.name)
        if known is not None and known != source and not replace:
            raise SourceError(
                f"A source named {source.name!r} is there already ({known.title}), and differs. "
                "Give yours another name, or pass replace=True."
            )
        # the latest comes last, also where it replaces one
        self._sources.pop(source.name, None)
        self._sources[source.name] = source

    def _load(self) -> None:
        """Load the entry points, once; one that fails raises now, and again when next asked."""
        if self._group is None:
            return
        for point in entry_points(group=self._group):
            for source in _load_entry_point(point):
                self._add(source, replace=False)
        self._group = None


def _load_entry_point(point: EntryPoint) -> tuple[Source, ...]:
    """The sources that an entry point names; `SourceError` where it names something else."""
    try:
        loaded = point.load()
    except Exception as error:
        raise SourceError(
            f"Entry point {point.name!r} = {point.value!r} of group {ENTRY_POINT_GROUP!r} cannot "
            f"be loaded: {error}. Mend or uninstall the package that declares it."
        ) from error
    sources = (loaded,) if isinstance(loaded, Source) else loaded
    if not isinstance(sources, Iterable):
        sources = (sources,)
    sources = tuple(sources)
    strangers = [source for source in sources if not isinstance(source, Source)]
    if strangers:
        raise SourceError(
            f"Entry point {point.name!r} = {point.value!r} of group {ENTRY_POINT_GROUP!r} gives "
            f"{strangers[0]!r}, which is no Source. Name a stacchip.sources.Source, or several."
        )
    return sources


_REGISTRY = Registry(BUILT_IN, ENTRY_POINT_GROUP)


def register_source(source: Source, *, replace: bool = False) -> None:
    """Make a source known to `find_source`, `get_source` and `Indexer` in this process.

    Workers that start fresh (spawn, forkserver) do not know of it; they need none, since indexers
    carry their source with them. An entry point is known everywhere.

    Args:
        source: What to add. Registering the same source again does nothing.
        replace: Take the place of another source of the same name.

    Raises:
        SourceError: Another source has that name, and `replace` is False.

    Example:
        >>> from stacchip.sources import SENTINEL_2
        >>> register_source(SENTINEL_2)
    """
    _REGISTRY.register(source, replace=replace)


def list_sources() -> tuple[Source, ...]:
    """Every known source, the latest registered first.

    Example:
        >>> "sentinel-2-l2a" in [source.name for source in list_sources()]
        True
    """
    return _REGISTRY.all()


def get_source(name: str) -> Source:
    """The source of a name.

    Raises:
        SourceNotFound: There is none.

    Example:
        >>> get_source("naip").title
        'NAIP'
    """
    for source in list_sources():
        if source.name == name:
            return source
    raise SourceNotFound(
        f"No source is named {name!r}. There are: "
        f"{', '.join(sorted(source.name for source in list_sources()))}. "
        "Add one with stacchip.sources.register_source."
    )


def find_source(item: ItemLike) -> Source | None:
    """The source that an item is of, fitted to it; None where no source knows it.

    A source that names the item's collection goes before one that recognises the item by other
    marks; among equals, the latest registered goes first, so that yours goes before ours.

    Args:
        item: A `pystac.Item`, or anything with `id`, `collection_id`, `properties` and `assets`.
            Odd values in it raise nothing.

    Raises:
        SourceError: An installed entry point is broken, or takes the name of another source.

    Example:
        >>> from types import SimpleNamespace
        >>> item = SimpleNamespace(id="a", collection_id="naip", properties={}, assets={})
        >>> find_source(item).name
        'naip'
    """
    return _REGISTRY.find(item)
