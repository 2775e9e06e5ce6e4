"""Indexing one full-size scene: time against the original, time of each part, and memory."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from benchmarks.measuring import Lab, Row, at_least, at_most, benchmark

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("header", "decoding", "counting", "footprints", "table")


@benchmark(
    "index",
    title="Index of a full-size Sentinel-2-like scene, item to table (local SCL)",
    method=(
        "Both receive the item as a dict and return a table of the scene's 1764 chips of 256 px, "
        "without those that are more than half nodata. Each runs in one process that has indexed "
        "the scene once before. The files are in the page cache. The floor decodes the SCL once on "
        "both cores and counts nothing. Each part was timed alone through public functions, and "
        "its share is of the sum of the parts: in the whole, decoding and counting overlap."
    ),
    unlike=(
        (
            "Our table has more columns (item, datetime, CRS, bbox, shares of shadow, cirrus, snow "
            "and water) and carries the item."
        ),
        (
            "The scene is generated: its SCL compresses to 6 % of its size. The one real SCL that "
            "was compared, decimated and with little cloud, compresses to 2.7 %."
        ),
    ),
)
def index_scene(lab: Lab) -> list[Row]:
    item = lab.scene.item()
    cases = {
        "stacchip": lab.question("stacchip", "index", item=item),
        "floor": lab.question("floor", "scl"),
    }
    for name in lab.available("original"):
        cases[name] = lab.question(name, "index", item=item)
    samples = lab.in_turn(cases, repeats=9)
    rows = [
        samples["stacchip"].row("stacchip", "ms", 1e3, bar=True),
        samples["floor"].row("floor: decoding the SCL alone", "ms", 1e3, bar=True),
    ]
    if "original" in samples:
        ratio = samples["original"].median() / samples["stacchip"].median()
        rows += [
            samples["original"].row("original 0.1.38", "ms", 1e3, bar=True),
            Row("times as fast as the original", ratio, "times", goal=at_least(15)),
            *_differences(lab),
        ]
    return [*rows, *_parts(lab)]


def _differences(lab: Lab) -> list[Row]:
    """Compare our shares with the original's, to show that both did the same work."""
    tables = {}
    for name in ("stacchip", "original"):
        path = lab.scratch / f"{name}.parquet"
        lab.contender(name).ask("index", item=lab.scene.item(), table_path=str(path))
        tables[name] = _shares(path)
    ours, theirs = tables["stacchip"], tables["original"]
    both = ours.keys() & theirs.keys()
    cloud = max(abs(ours[key][0] - theirs[key][0]) for key in both)
    nodata = max(abs(ours[key][1] - theirs[key][1]) for key in both)
    return [
        Row("rows in one table only", len(ours.keys() ^ theirs.keys()), "rows"),
        Row("largest difference of a share", max(cloud, nodata), "of 1"),
    ]


def _shares(path: Path) -> dict[tuple[int, int], tuple[float, float]]:
    names = ("chip_index_x", "chip_index_y", "cloud_cover_percentage", "nodata_percentage")
    columns = [pq.read_table(path, columns=[name])[name].to_pylist() for name in names]
    return {(x, y): (cloud, nodata) for x, y, cloud, nodata in zip(*columns, strict=True)}


def _parts(lab: Lab) -> list[Row]:
    item = lab.scene.item()
    ours = lab.contender("stacchip")
    answers = [ours.ask("index_parts", item=item) for _ in range(lab.repeats(7))]
    medians = {part: statistics.median(each[part] for each in answers) for part in PARTS}
    total = sum(medians.values())
    return [
        Row(
            f"{part} alone",
            seconds * 1e3,
            "ms",
            note=f"{seconds / total:.0%} of the sum of the parts",
        )
        for part, seconds in medians.items()
    ]


@benchmark(
    "index-memory",
    title="Peak memory of indexing the same scene",
    method="Highest resident memory (VmHWM) of a new process that indexes the scene once.",
)
def index_memory(lab: Lab) -> list[Row]:
    item = lab.scene.item()
    answers = []
    for _ in range(3):
        contender = lab.new_contender("stacchip")
        answers.append(contender.ask("index_memory", item=item))
        contender.close()
    peaks = [answer["peak_mb"] for answer in answers]
    before = statistics.median(answer["before_mb"] for answer in answers)
    return [
        Row(
            "peak",
            statistics.median(peaks),
            "MB",
            goal=at_most(600),
            range=(min(peaks), max(peaks)),
        ),
        Row("after the imports", before, "MB"),
    ]
