"""Archives: merge the indexes of thousands of items, and cut an index into cubes."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.contender import REPOSITORY, ContenderError
from benchmarks.measuring import Lab, Row, at_least, at_most, benchmark
from benchmarks.our_archive import ROWS
from benchmarks.scene import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OURS = "stacchip, archive"
INDEXES = 2000
ORIGINAL_CUBE = 32
"""Chips that the original cuts here: a whole cube of 128 would take it minutes."""


@benchmark(
    "merge",
    title="Merging 2,000 indexes of 1,700 rows",
    method=(
        "A new process merges indexes as processors write them (one parquet file per item, with "
        "the item in it) into one sorted folder, once. Memory is its highest resident memory "
        "(VmHWM). Making the indexes (once, kept in `benchmarks/data`) does not count."
    ),
    unlike=("All files are local: the time that a store adds is not included.",),
)
def merge(lab: Lab) -> list[Row]:
    folder = _ensure_indexes(lab)
    contender = lab.new_contender(OURS)
    answer = contender.ask("merge", folder=str(folder), out=str(lab.scratch / "merged"))
    contender.close()
    if (answer["chips"], answer["items"]) != (INDEXES * ROWS, INDEXES):
        raise ContenderError(f"merged {answer['chips']} chips of {answer['items']} items")
    return [
        Row("stacchip", answer["seconds"], "s", goal=at_most(120), bar=True),
        Row("peak memory", answer["peak_mb"], "MB", goal=at_most(1000)),
        Row("rows per second", answer["chips"] / answer["seconds"], "rows/s"),
        Row("size of the merged index", answer["mb"], "MB"),
    ]


def _ensure_indexes(lab: Lab) -> Path:
    """Return the folder of the indexes; make them first if missing (about a minute)."""
    folder = DATA / f"indexes-{INDEXES}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        lab.contender(OURS).ask("make_indexes", folder=str(partial), count=INDEXES)
        partial.rename(folder)
    return folder


@benchmark(
    "prechip",
    title="Cubes of 128 chips from an index: npz, compressed, S3 to S3",
    method=(
        "The scene is in SeaweedFS on loopback, and the cubes go there, too; ten bands, float32. "
        "stacchip makes all whole cubes of the chips without nodata, once, in a new process. The "
        "ratio compares the chips per second of each whole run."
    ),
    unlike=(
        (
            f"The original makes one cube of {ORIGINAL_CUBE} chips, not of 128, with a pool of "
            "two processes. Its chips per second do not depend on their number, except for the "
            "start of the pool, which counts."
        ),
        (
            "The store answers without delay, which favours the original: it reads the files of a "
            "chip one after another."
        ),
        (
            "The original draws its chips from anywhere, some of them twice. Ours come once each, "
            "mixed from as many areas as 1 GiB holds, which here is the whole scene."
        ),
        "stacchip compresses faster and less (ISA-L's level 1) than the original (zlib's level 6).",
    ),
)
def prechip(lab: Lab) -> list[Row]:
    with _store(lab) as environment:
        index = str(lab.scratch / "prechip-index.parquet")
        _ask(lab, OURS, environment, "upload", item=lab.scene.item(), index_path=index)
        ours = _ask(
            lab, OURS, environment, "prechip", index_path=index, target="s3://cubes", cube_size=128
        )
        rows = [
            Row("stacchip", ours["chips"] / ours["seconds"], "chips/s", bar=True),
            Row("stacchip, size of a chip", ours["mb"] / ours["chips"], "MB"),
            Row("stacchip, peak memory", ours["peak_mb"], "MB"),
        ]
        original = "original, prechip"
        if not list(lab.available(original)):
            return rows
        theirs = _ask(
            lab, original, environment, "prechip", index_path=index, cube_size=ORIGINAL_CUBE
        )
    speed = theirs["chips"] / theirs["seconds"]
    ratio = ours["chips"] / ours["seconds"] / speed
    rows.insert(1, Row("original 0.1.38", speed, "chips/s", bar=True))
    rows.insert(2, Row("times as fast as the original", ratio, "times", goal=at_least(20)))
    return [*rows, Row("original, size of a chip", theirs["mb"] / theirs["chips"], "MB")]


def _ask(
    lab: Lab, name: str, environment: Mapping[str, str], task: str, **arguments: Any
) -> Mapping[str, Any]:
    contender = lab.new_contender(name, environment)
    try:
        return contender.ask(task, **arguments)
    finally:
        contender.close()


@contextmanager
def _store(lab: Lab) -> Iterator[Mapping[str, str]]:
    """Run SeaweedFS with the buckets `data` and `cubes`; yield the environment of its clients."""
    # the servers of the tests are beside the package
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from servers.seaweedfs import SeaweedFS  # type: ignore[import-not-found] # on that path

    with SeaweedFS(lab.scratch / "weed", buckets=("data", "cubes")) as store:
        yield store.environment
