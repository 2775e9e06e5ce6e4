"""Measure the bands of a platform, over the chips of an index or over cubes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any

from stacchip.cubes.left_out import count_left_out
from stacchip.cubes.plan import read_plan
from stacchip.cubes.sinks import CubeFolder, find_cubes, find_platforms
from stacchip.cubes.sinks.cube import VALID, VERSION, not_a_cube
from stacchip.errors import (
    IndexFormatError,
    InvalidMetadata,
    NothingFound,
    ObjectNotFound,
    UsageError,
)
from stacchip.index.draws import count_items
from stacchip.items.archive import Archive
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.sources.training_bands import get_platform
from stacchip.statistics.folder import StatisticsFolder, merge_statistics
from stacchip.statistics.platform import PlatformStatistics
from stacchip.statistics.sample import Sample
from stacchip.storage import redact
from stacchip.stream import ChipStream, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.cubes.imagery import Imagery
    from stacchip.cubes.sinks import CubeReader
    from stacchip.sources.training_bands import PlatformBands
    from stacchip.storage import Storage

    # pixels (chip, band, y, x), and which of them count; None leaves that to the platform's nodata
    _Chips = tuple[NDArray[Any], NDArray[np.bool_] | None]

# pickles of 0.x look for `StatisticsFolder` and `merge_statistics` here, where they were defined
__all__ = [
    "StatisticsFolder",
    "cube_statistics",
    "index_statistics",
    "list_platforms",
    "merge_statistics",
]

_MOST_LISTED = 1000  # one page of a store's listing
_MOST_NAMED = 5
_BATCH = 16  # chips: of ten bands in 16 bits, 21 MB


def index_statistics(
    imagery: Imagery,
    storage: Storage,
    *,
    shard: Shard | None = None,
    max_chips: int | None = None,
    seed: int = 0,
    dtype: str | None = None,
    threads: int = 2,
    memory_bytes: int = 1 << 30,
    on_chips: Callable[[int, int | None], None] = lambda *_: None,
) -> PlatformStatistics:
    """Return the statistics of the chips of an index; every block is decoded once.

    A pixel counts if it is valid: not nodata, not masked out, not NaN and not beyond the edge. The
    file says what nodata is, else the item, else the source. A shard may get no chips; its
    statistics are empty.

    Args:
        imagery: The chips.
        storage: Reads the index and the files.
        shard: The part of the chips to measure. The shards together have every chip once.
        max_chips: Number of chips to draw at random; None to measure all.
        seed: Seed of the draw.
        dtype: Type in which the pixels are counted; by default that of the files. An integer type
            must hold every valid pixel as it is.
        threads: Number of bands that are counted at the same time.
        memory_bytes: Limit for decoded blocks.
        on_chips: Called with the number of chips that were just counted, and that of all; None if
            a shard does not know it.

    Raises:
        ChipNotFound: No chip of the index is within the limits.
        AssetNotFound: An item lacks an asset or a band.
        UsageError: A valid pixel is not a value of `dtype`.
    """
    # in the files' own type: a conversion by the stream would not say which values do not fit
    options: dict[str, Any] = {"shard": shard, "memory_bytes": memory_bytes}
    is_stored = imagery.open_stored(storage) is not None
    wanted = imagery.count(storage) if is_stored else 0
    if is_stored and (max_chips is None or wanted <= max_chips):  # the rows stay on disk
        stream = imagery.stream(storage, **options)
    else:
        chipper = (
            imagery.open(storage) if max_chips is None else imagery.draw(max_chips, seed, storage)
        )
        wanted, stream = len(chipper), ChipStream(chipper, **options)
    platform = imagery.platform_bands  # after it: the index may lack the platform, which is told
    chips = _read_chips(stream, platform)
    total = wanted if shard is None or shard == Shard() else None
    statistics = _count(platform, _each(chips, total, on_chips), dtype, threads)
    statistics.sample = _sample_of_index(imagery, storage, wanted)
    settings = stream.state_dict()["settings"]
    chosen = asdict(imagery)
    for name in ("item_id", "datetime", "bbox", "split"):  # parts of earlier versions lack them
        if chosen[name] is None:
            del chosen[name]
    statistics.measured = {
        **chosen,
        "index": imagery.index_name,
        "data": None if imagery.data is None else redact(imagery.data),
        "bands": list(platform.names),
        "dtype": dtype,
        "max_chips": max_chips,
        "seed": seed,
        # these say which chips there are, and how jobs share them out
        "chips": settings["chips"],
        "areas": settings["areas"],
    }
    return statistics


def _sample_of_index(imagery: Imagery, storage: Storage, measured: int) -> Sample:
    """Return which chips a run measures; some of those within the limits may not be drawn."""
    count = count_left_out(imagery, storage)
    left_out = dict(count.left_out)
    not_drawn = count.there - sum(left_out.values()) - measured
    if not_drawn:
        left_out["max_chips"] = not_drawn
    return Sample(imagery.index_name, count.there, left_out, imagery.limits)


def _read_chips(stream: ChipStream, platform: PlatformBands) -> Iterator[_Chips]:
    for batch in stream.batches(_BATCH):
        places = platform.places_in(batch.bands, item_id=batch.keys[0].item_id)
        valid = None if batch.valid is None else batch.valid[:, places]
        yield batch.array[:, places], valid


def _each(
    parts: Iterable[_Chips], total: int | None, on_chips: Callable[[int, int | None], None]
) -> Iterator[_Chips]:
    """Yield parts, and tell of each once it has been counted."""
    for part in parts:
        yield part
        on_chips(len(part[0]), total)


def _count(
    platform: PlatformBands, chips: Iterable[_Chips], dtype: Any, threads: int
) -> PlatformStatistics:
    """Count chips, several bands at the same time.

    The threads are this call's own. Counting keeps a core busy: in the threads of
    `stacchip.runtime.concurrently` it would hold up those that wait for stores.
    """
    if not isinstance(threads, Integral) or threads < 1:
        raise UsageError(f"threads is {threads!r}; it must be a whole number, at least 1.")
    statistics: PlatformStatistics | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="stacchip-stats") as pool:
        for pixels, valid in chips:
            statistics = statistics or PlatformStatistics(platform, dtype or pixels.dtype)
            statistics.add(pixels, valid, run=pool.map)
    return statistics or PlatformStatistics(platform, dtype or platform.dtype or "float32")


def cube_statistics(
    root: str,
    platform: str,
    storage: Storage,
    *,
    form: str | None = None,
    shard: Shard | None = None,
    max_cubes: int | None = None,
    bands: tuple[str, ...] | None = None,
    dtype: str | None = None,
    threads: int = 2,
    on_chips: Callable[[int, int | None], None] = lambda *_: None,
) -> PlatformStatistics:
    """Return the statistics of the cubes of a platform, in any form.

    A pixel counts if it is valid. Cubes of earlier versions do not say so: there, a pixel counts if
    it is neither NaN nor the platform's nodata value (`stacchip.sources.training_bands`). A shard
    may get no cubes; its statistics are empty.

    Args:
        root: The folder of all cubes, or the address of their bucket. A bare name is a folder.
        platform: Name of the platform.
        storage: Reads the cubes.
        form: Form of the cubes. Needed if there are several.
        shard: The part of the cubes to measure.
        max_cubes: Number of cubes to measure, the first by number; None for all. Chips are mixed
            over all cubes, so the first ones are a fair sample.
        bands: The bands of the cubes; by default those recorded beside the cubes, else the
            platform's.
        dtype: Type of the pixels before they became float32; by default the platform's. Types of
            8 and 16 bits have exact percentiles.
        threads: Number of cubes that are read ahead, and of bands that are counted at the same
            time.
        on_chips: Called with the number of chips of a cube that was just counted, and None.

    Raises:
        ChipNotFound: There are no cubes.
        IndexFormatError: A file is not a cube.
        UsageError: There are cubes of several forms, and none was chosen.
    """
    folder = CubeFolder(Archive.named(root, bare="folder").href.rstrip("/"), platform)
    cubes = find_cubes(folder, storage, form)
    chosen = cubes.numbers[:max_cubes]
    numbers = (shard or Shard()).take(chosen)
    record = _read_record(folder, storage)
    known = get_platform(platform, bands or _recorded_bands(record))

    def read(number: int) -> _Chips:
        return _read_cube(cubes.reader, number, known)

    chips = _each(stream_concurrently(read, numbers, ahead=threads), None, on_chips)
    statistics = _count(known, chips, dtype or known.dtype or "float32", threads)
    statistics.measured = {
        "cubes": redact(folder.href),
        "bands": list(known.names),
        "dtype": dtype,
        "max_cubes": max_cubes,
        "cube_numbers": hashlib.blake2b(repr(chosen).encode(), digest_size=8).hexdigest(),
    }
    statistics.sample = Sample(
        redact(folder.href),
        limits=record.get("limits"),
        cubes_measured=len(chosen),
        cubes_there=len(cubes.numbers),
    )
    return statistics


def _read_record(folder: CubeFolder, storage: Storage) -> dict[str, Any]:
    """Return what `stacchip prechip` recorded beside its cubes; nothing if there is no record."""
    try:
        record = read_plan(folder, storage)
    except ObjectNotFound:
        return {}
    bands, limits = record.get("bands"), record.get("limits", {})
    if not record or (_are_names(bands) and isinstance(limits, dict)):
        return record
    href = redact(folder.plan_href)
    raise InvalidMetadata(
        f"{href} does not say how the cubes were made: bands is {str(bands)[:60]!r}. Delete it, "
        "and name the bands (bands=, --bands).",
        field="bands",
        href=href,
    )


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _recorded_bands(record: dict[str, Any]) -> tuple[str, ...] | None:
    return tuple(record["bands"]) if record else None


def _read_cube(reader: CubeReader, number: int, platform: PlatformBands) -> _Chips:
    """Return a cube's pixels, and which are valid; None if the cube does not say so."""
    wanted = ("pixels", *getattr(reader, "optional", ()))  # a reader of another package has none
    arrays = reader.read(number, wanted)
    pixels, valid = arrays["pixels"], arrays.get(VALID)
    if pixels.ndim != 4 or pixels.shape[1] != len(platform.bands):
        href = redact(reader.cube_href(number))
        raise IndexFormatError(
            f"{href} has pixels of shape {pixels.shape}, but chips of {platform.platform!r} are "
            f"(chip, {len(platform.bands)}, y, x). Name its bands (bands=, --bands).",
            href=href,
        )
    if valid is not None and valid.shape != pixels.shape:
        raise not_a_cube(reader.cube_href(number))
    return pixels, None if valid is None else valid.astype(bool, copy=False)


def list_platforms(storage: Storage, *, index: str | None, cubes: str | None) -> list[str]:
    """Return the names of the platforms of an index, or of the cubes in a bucket, sorted.

    Raises:
        NothingFound: The index has no chips, or there are no cubes.
    """
    if cubes is not None:
        href = Archive.named(cubes, bare="folder").href
        found = find_platforms(href, storage)
        if not found:
            raise NothingFound(f"There are no cubes at {redact(href)}: {_tell(href, storage)}")
        return found
    counts = count_items(index or "", storage, {})
    if not counts:
        raise NothingFound(f"The index {redact(index or '')} has no chips; see: stacchip info.")
    return sorted({key.platform for key in counts})


def _tell(href: str, storage: Storage) -> str:
    """Return what lies at a place without cubes, and where cubes would lie."""
    start = f"{href.rstrip('/')}/"
    entries = islice(storage.list(start), _MOST_LISTED)
    names = {entry.href.rpartition(start)[2].partition("/")[0] for entry in entries}
    held = f"it holds {', '.join(sorted(names)[:_MOST_NAMED])}" if names else "nothing is there"
    return f"{held}. `stacchip prechip` writes them to {VERSION}/PLATFORM/ below its target."
