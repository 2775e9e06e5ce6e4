"""Archives: merging the indexes of thousands of items, and cutting an index into cubes."""

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
"""Chips that the original cuts here: a whole cube of 128 of it would take minutes."""


@benchmark(
    "merge",
    title="Merging 2,000 indexes of 1,700 rows",
    method=(
        "Indexes as processors write them, one parquet file an item with the item in it, are "
        "merged into one folder, sorted, by a new process; once. Memory is its highest resident "
        "memory (VmHWM). Making the indexes (once, kept in `benchmarks/data`) is not counted."
    ),
    unlike=("All files are local: what a store adds is not here.",),
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
        Row("rows a second", answer["chips"] / answer["seconds"], "rows/s"),
        Row("the merged index", answer["mb"], "MB"),
    ]


def _ensure_indexes(lab: Lab) -> Path:
    """The indexes, made first where they are not there yet (about a minute)."""
    folder = DATA / f"indexes-{INDEXES}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        lab.contender(OURS).ask("make_indexes", folder=str(partial), count=INDEXES)
        partial.rename(folder)
    return folder


@benchmark(
    "prechip",
    title="Cubes of 128 chips out of an index: npz, compressed, S3 to S3",
    method=(
        "The scene lies in SeaweedFS on loopback, where the cubes go too; ten bands, float32. Ours "
        "makes all whole cubes of the chips without nodata, once, in a new process; the chips a "
        "second of each are compared, of its whole run."
    ),
    unlike=(
        (
            f"The original makes one cube of {ORIGINAL_CUBE} chips, not of 128, with a pool of "
            "two processes; its chips a second do not depend on how many there are, but for the "
            "start of the pool, which is counted."
        ),
        (
            "The store answers without delay, which favours the original: it reads the files of a "
            "chip one after another."
        ),
        (
            "Chips of the original come from anywhere and some twice; ours come once each, mixed "
            "out of as many areas as 1 GiB holds, which here is the whole scene."
        ),
        "Ours compresses faster and less (ISA-L's level 1) than the original (zlib's level 6).",
    ),
)
def prechip(lab: Lab) -> list[Row]:
    with _store(lab) as environment:
        index = str(lab.scratch / "prechip-index.parquet")
        _ask(lab, OURS, environment, "upload", item=lab.scene.item(), index_path=index)
        ours = _ask(
            lab, OURS, environment, "prechip", index_path=index, target="cubes", cube_size=128
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
    """SeaweedFS with the buckets `data` and `cubes`: the environment of its clients."""
    # the servers of the tests lie beside the package
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from servers.seaweedfs import SeaweedFS  # type: ignore[import-not-found] # on that path

    with SeaweedFS(lab.scratch / "weed", buckets=("data", "cubes")) as store:
        yield store.environment
