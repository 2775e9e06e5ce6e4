"""Statistics of the bands of platforms, over an index or over cubes, by one job or by many."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.cubes.sinks import CubeFolder, find_cubes, find_platforms
from stacchip.errors import ChipNotFound, IndexFormatError, ObjectNotFound, UsageError
from stacchip.index import read_index
from stacchip.items.archive import Archive
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import Part, PlatformStatistics
from stacchip.storage import child_href, redact
from stacchip.stream import ChipStream, Shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.cubes.imagery import Imagery
    from stacchip.cubes.sinks import CubeReader
    from stacchip.sources.training_bands import PlatformBands
    from stacchip.storage import Storage

_BATCH = 16  # chips: of ten bands in 16 bits, 21 MB
_STATE = re.compile(r"statistics_.+_\d+\.npz")
_MOST_NAMED = 10  # jobs in one message


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
) -> PlatformStatistics:
    """Statistics of the chips of an index; every block is decoded once.

    A pixel counts where it is valid: not nodata as the file says, else the item, else the source,
    not masked out, not NaN, not beyond the edge. A part without chips has statistics of none.

    Args:
        imagery: The chips.
        storage: Where files are read from.
        shard: Which part of the chips; those of all shards make up all chips.
        max_chips: At most so many, drawn at random from all.
        seed: Of the draw.
        dtype: Of the pixels; by default that of the files.
        threads: How many bands are counted at the same time.
        memory_bytes: What decoded blocks may take.

    Raises:
        ChipNotFound: No chip of any part is within the limits.
        AssetNotFound: An item lacks an asset or a band.
    """
    platform = imagery.platform_bands
    chipper = imagery.open(storage)
    if max_chips is not None and max_chips < len(chipper):
        draw = np.random.default_rng(seed)
        rows = np.sort(draw.choice(len(chipper), max_chips, replace=False))
        chipper = imagery.chipper_of(chipper.rows.table.take(pa.array(rows)), storage)
    stream = ChipStream(chipper, shard=shard, dtype=dtype, memory_bytes=memory_bytes)
    statistics: PlatformStatistics | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="stacchip-stats") as pool:
        for batch in stream.batches(_BATCH):
            places = platform.places_in(batch.bands, item_id=batch.keys[0].item_id)
            statistics = statistics or PlatformStatistics(platform, batch.array.dtype)
            valid = None if batch.valid is None else batch.valid[:, places]
            statistics.add(batch.array[:, places], valid, run=pool.map)
    if statistics is None:
        statistics = PlatformStatistics(platform, dtype or platform.dtype or "float32")
    settings = stream.state_dict()["settings"]
    statistics.measured = {
        **asdict(imagery),
        "index": redact(imagery.index),
        "data": None if imagery.data is None else redact(imagery.data),
        "bands": list(platform.names),
        "dtype": dtype,
        "max_chips": max_chips,
        "seed": seed,
        # which chips there are, and how they are shared out among jobs
        "chips": settings["chips"],
        "areas": settings["areas"],
    }
    return statistics


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
) -> PlatformStatistics:
    """Statistics of the cubes of a platform, in whichever form `stacchip prechip` wrote them.

    Cubes are floats that tell no nodata: a pixel counts where it is neither NaN nor the platform's
    nodata value (`stacchip.sources.training_bands`). A part without cubes has statistics of none.

    Args:
        root: The bucket or folder of all cubes.
        platform: Whose.
        storage: How to reach them.
        form: Which, where cubes of several forms lie there.
        shard: Which part of the cubes.
        max_cubes: At most so many, the first by number; their chips are mixed already.
        bands: The bands of the cubes; by default those that were recorded beside them, else the
            platform's.
        dtype: What the pixels were before they became float32; by default the platform's. Those of
            8 and 16 bits have exact percentiles.
        threads: How many cubes are read ahead, and bands counted at the same time.

    Raises:
        ChipNotFound: There are no cubes.
        IndexFormatError: A file is no cube.
        UsageError: There are cubes of several forms, and none was chosen.
    """
    folder = CubeFolder(Archive.named(root).href.rstrip("/"), platform)
    cubes = find_cubes(folder, storage, form)
    chosen = cubes.numbers[:max_cubes]
    numbers = (shard or Shard()).take(np.array(chosen)).tolist()
    known = get_platform(platform, bands or _recorded_bands(folder, storage))
    statistics = PlatformStatistics(known, dtype or known.dtype or "float32")
    statistics.measured = {
        "cubes": redact(folder.href),
        "bands": list(known.names),
        "dtype": dtype,
        "max_cubes": max_cubes,
        "cube_numbers": hashlib.blake2b(repr(chosen).encode(), digest_size=8).hexdigest(),
    }

    def read(number: int) -> NDArray[Any]:
        return _read_pixels(cubes.reader, number, known)

    with ThreadPoolExecutor(threads, thread_name_prefix="stacchip-stats") as pool:
        for pixels in stream_concurrently(read, numbers, ahead=threads):
            statistics.add(pixels, run=pool.map)
    return statistics


def _recorded_bands(folder: CubeFolder, storage: Storage) -> tuple[str, ...] | None:
    """The bands that `stacchip prechip` recorded beside its cubes."""
    try:
        return tuple(json.loads(storage.read(folder.plan_href))["bands"])
    except ObjectNotFound:
        return None


def _read_pixels(reader: CubeReader, number: int, platform: PlatformBands) -> NDArray[Any]:
    pixels = reader.read(number, ("pixels",))["pixels"]
    if pixels.ndim != 4 or pixels.shape[1] != len(platform.bands):
        href = redact(reader.cube_href(number))
        raise IndexFormatError(
            f"{href} has pixels of shape {pixels.shape}; (chip, {len(platform.bands)}, y, x) is "
            f"expected of {platform.platform!r}. Name its bands.",
            href=href,
        )
    return pixels


def list_platforms(storage: Storage, *, index: str | None, cubes: str | None) -> list[str]:
    """The platforms of an index, or of the cubes in a bucket, by name."""
    if cubes is not None:
        return find_platforms(Archive.named(cubes).href, storage)
    table = read_index(index or "", columns=["platform"], storage=storage)
    return sorted(pc.unique(table["platform"]).to_pylist())


# --- many jobs


@dataclass(frozen=True)
class StatisticsFolder:
    """Where jobs leave what they have seen, for one to merge.

    Args:
        href: The folder.
        storage: How to reach it.
    """

    href: str
    storage: Storage

    def write(self, statistics: PlatformStatistics, part: Part) -> str:
        """Leave a job's part; returns where."""
        statistics.part = part
        name = f"statistics_{statistics.platform.platform}_{part.job}.npz"
        href = child_href(self.href, name)
        self.storage.write(href, statistics.to_bytes())
        return href

    def merge(self) -> list[PlatformStatistics]:
        """All parts, merged by platform.

        Raises:
            ChipNotFound: There are none.
            IndexFormatError: A file is no part.
            UsageError: Parts are missing, there twice, or of different runs.
        """
        hrefs = sorted(
            entry.href
            for entry in self.storage.list(self.href)
            if _STATE.fullmatch(entry.href.rpartition("/")[2])
        )
        if not hrefs:
            raise ChipNotFound(f"There are no statistics to merge at {redact(self.href)}.")
        return merge_statistics(self._read_whole(hrefs))

    def _read_whole(self, hrefs: Sequence[str]) -> Iterator[PlatformStatistics]:
        """The parts, one after another; at the end it is known that none is missing."""
        runs: dict[str, _Run] = {}
        expected: dict[str, Part] = {}  # one part of each platform's run
        for href in hrefs:
            shown = redact(href)
            statistics = PlatformStatistics.from_bytes(self.storage.read(href), href=shown)
            name, part = statistics.platform.platform, statistics.part
            if part is None:
                raise UsageError(
                    f"{shown} does not tell of which job it is, as parts of earlier versions: "
                    "delete it, and run the jobs again."
                )
            runs.setdefault(name, _Run(part, statistics.measured, shown)).enrol(
                part, statistics.measured, shown
            )
            expected |= dict.fromkeys(set(part.platforms) - set(expected), part) | {name: part}
            yield statistics
        for name, part in sorted(expected.items()):
            there = set(runs[name].hrefs) if name in runs else set()
            missing = part.find_missing(there)
            if missing:
                raise UsageError(
                    f"Of platform {name!r}, {len(there)} of {part.jobs} parts are at "
                    f"{redact(self.href)}: those of jobs {_name_some(missing)} are missing. Run "
                    "these jobs with the same options, then merge."
                )


@dataclass(frozen=True)
class _Run:
    """The parts of a platform that have come, all of one run.

    Attributes:
        first: The first of them.
        measured: What it measured.
        first_href: Where it lies.
        hrefs: Where each lies, by job.
    """

    first: Part
    measured: dict[str, Any]
    first_href: str
    hrefs: dict[int, str] = field(default_factory=dict)

    def enrol(self, part: Part, measured: dict[str, Any], href: str) -> None:
        """Take a part in.

        Raises:
            UsageError: It is of another run, or its job's part is there already.
        """
        ours = {"jobs": self.first.jobs, **self.measured}
        theirs = {"jobs": part.jobs, **measured}
        for name in [*ours, *theirs]:
            if ours.get(name) != theirs.get(name):
                raise UsageError(
                    f"{self.first_href} and {href} are parts of different runs: {name} is "
                    f"{ours.get(name)!r} in one and {theirs.get(name)!r} in the other. Delete the "
                    "parts of one run, or run all jobs again into a folder of their own."
                )
        if part.job in self.hrefs:
            raise UsageError(
                f"{self.hrefs[part.job]} and {href} are both of job {part.job} of {part.jobs}: "
                "delete one."
            )
        self.hrefs[part.job] = href


def _name_some(jobs: Sequence[int]) -> str:
    more = f" and {len(jobs) - _MOST_NAMED} more" if len(jobs) > _MOST_NAMED else ""
    return ", ".join(map(str, jobs[:_MOST_NAMED])) + more


def merge_statistics(parts: Iterable[PlatformStatistics]) -> list[PlatformStatistics]:
    """Statistics of shards as one of each platform, by name.

    Those of no chips add nothing, whatever their type: nobody has seen what it is.

    Raises:
        UsageError: Parts of one platform have different bands or types.
    """
    merged: dict[str, PlatformStatistics] = {}
    for part in parts:
        name = part.platform.platform
        if name not in merged or not merged[name].chips:
            merged[name] = part
        elif part.chips:
            merged[name].merge(part)
    if not merged:
        raise UsageError("There is nothing to merge.")
    return [merged[name] for name in sorted(merged)]
