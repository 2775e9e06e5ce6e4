"""The Sentinel-2 processor: a row of eight full-size items from one bucket into another."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import ContenderError
from benchmarks.measuring import Lab, Row, Samples, at_least, benchmark
from benchmarks.scene import COLLECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.outside import Outside

OURS = "stacchip, processor"
ORIGINAL = "original, processor"
FLOOR = "floor"
GOAL = 5.0
WORKERS = 2
AT_ONCE = 8
"""The number of copies that stacchip has under way: two items, four files of each."""

MOST_ROUNDS = 3
BUDGET_S = 200.0
"""No round begins that would end later than this."""


@benchmark(
    "processor",
    title="Sentinel-2 processor: a row of eight full-size items, S3 to S3 at 30 ms latency",
    method=(
        "pgstac is the catalogue and SeaweedFS the store, on loopback; a relay delays every "
        "request to either by 30 ms. A row is two years with one item per quarter, of 11 files and "
        "1 GB each, which both contenders choose (cloud 0.5 %: the original's limit of 0.75 is on "
        "the scale of 0 to 100). stacchip runs the function behind `stacchip collect sentinel-2 "
        "--workers 2`, the original its `process` with another `STAC_API`. Each run is a new "
        "process, imports not counted, and writes to a new bucket. The contenders take turns for "
        "as many rounds as fit into four minutes, three at most. The floor only makes the store "
        "copy the same objects (`CopyObject`, 8 at once). The processors time copying and indexing "
        "themselves: for stacchip it is the sum of its items' `files_s` and `index_s` over two "
        "workers, for the original its client's `copy` and its `create_index`. After each run the "
        "archives hold the same items, files of the source's sizes and indexes with the same "
        "number of rows; the files of one item are compared byte by byte."
    ),
    unlike=(
        (
            "The original lets the store copy in parts of 8 MB, ten at once, one file after "
            "another (boto3's managed copy, server-side). stacchip copies as `Storage.copy` does, "
            "two items at a time and four files of each. The row `fetched from the store` shows "
            "whether the bytes passed through the client."
        ),
        (
            "stacchip's copying includes the check of what is there and the reading of headers, "
            "its indexing the writing of item and index; the original's includes neither."
        ),
        (
            "The eight items share the files of one scene: the store reads the same 1 GB again and "
            "again from the page cache. Its writes go to disk."
        ),
        (
            "Store, catalogue and relay share the two cores with the contenders; the relay takes "
            "about 0.3 s of CPU per gigabyte. Loopback does not limit the bandwidth: bytes that "
            "pass through a client cost only CPU."
        ),
    ),
)
def processor(lab: Lab) -> list[Row]:
    # imports boto3 and geopandas, which listing the benchmarks does not need
    from benchmarks.outside import MissingServer, start_outside

    try:
        with start_outside(lab) as outside:
            return make_rows(_measure(lab, outside))
    except MissingServer as reason:
        lab.left_out["all of it"] = str(reason)
        return []


def make_rows(samples: Mapping[str, Samples]) -> list[Row]:
    """Make the rows of the table; the original may be missing."""
    ours, floor = samples[OURS], samples[FLOOR]
    rows = [_rate("stacchip", ours), _rate("floor: the store's own copying", floor)]
    if ORIGINAL in samples:
        theirs = samples[ORIGINAL]
        rows += [_rate("original 0.1.38", theirs), *_ratios(ours, floor, theirs)]
    rows += [
        floor.row("floor, copying", "s"),
        *_parts("stacchip", ours),
        ours.row(
            "stacchip, a second run that only indexes",
            "s",
            key="again_s",
            note="the whole run: search, check of all files, indexing, writing",
        ),
    ]
    if ORIGINAL in samples:
        rows += _parts("original", theirs)
    return [
        *rows,
        *(_store_cpu(name, each) for name, each in samples.items()),
        Row("rounds", len(ours.answers), ""),
    ]


def _rate(name: str, samples: Samples) -> Row:
    rates = [60 / seconds for seconds in samples.values()]
    spread = (min(rates), max(rates))
    return Row(name, 60 / samples.median(), "rows/min", range=spread, bar=True)


def _ratios(ours: Samples, floor: Samples, theirs: Samples) -> list[Row]:
    most = theirs.median() / floor.median()
    bound = (
        f"less than {GOAL:g}: with this store its own copying binds"
        if most < GOAL
        else f"at least {GOAL:g}: the store's own copying does not bind"
    )
    return [
        Row(
            "times as fast as the original",
            theirs.median() / ours.median(),
            "times",
            goal=at_least(GOAL),
        ),
        Row(
            "floor, times as fast as the original",
            most,
            "times",
            note=f"for a processor that only let the store copy; {bound}",
        ),
        Row("share of the floor", floor.median() / ours.median(), ""),
        Row(
            "indexing, times as fast as the original",
            theirs.median("indexing_s") / ours.median("indexing_s"),
            "times",
        ),
    ]


def _parts(name: str, samples: Samples) -> list[Row]:
    return [
        samples.row(f"{name}, copying", "s", key="copying_s"),
        samples.row(f"{name}, indexing", "s", key="indexing_s"),
        samples.row(f"{name}, fetched from the store", "GB", 1e-9, key="fetched_bytes"),
        samples.row(f"{name}, requests to the store", "requests", key="requests"),
    ]


def _store_cpu(name: str, samples: Samples) -> Row:
    least = samples.median("store_cpu_s") / (os.cpu_count() or 1)
    return samples.row(
        f"{name.partition(',')[0]}, CPU of the store",
        "s",
        key="store_cpu_s",
        note=f"at least {least:.3g} s, even if the store had all cores to itself",
    )


# -- measuring -------------------------------------------------------------------------------------


def _measure(lab: Lab, outside: Outside) -> dict[str, Samples]:
    """Ask all contenders in turn, and return their answers."""
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        OURS: lambda: _run_ours(lab, outside),
        FLOOR: lambda: _run_floor(lab, outside),
    }
    if list(lab.available(ORIGINAL)):
        cases[ORIGINAL] = lambda: _run_original(lab, outside)
    rounds: list[dict[str, dict[str, Any]]] = []
    begin = time.perf_counter()
    while len(rounds) < max(1, round(MOST_ROUNDS * lab.effort)):
        rounds.append({name: case() for name, case in cases.items()})
        passed = time.perf_counter() - begin
        if passed * (1 + 1 / len(rounds)) > BUDGET_S:
            break
    return {name: Samples(tuple(answers[name] for answers in rounds)) for name in cases}


def _run_ours(lab: Lab, outside: Outside) -> dict[str, Any]:
    """Run into an empty bucket, then again into one that lacks only the indexes."""
    arguments: dict[str, Any] = {
        "catalogue": outside.catalogue.url,
        "sample": str(outside.sample),
        "row": outside.row,
        "years": outside.years,
        "workers": WORKERS,
    }
    with outside.bucket() as bucket:
        answer = _ask(lab, OURS, outside, "collect", bucket=bucket, **arguments)
        outside.require_files(bucket)
        outside.require_indexes(bucket)
        outside.delete_indexes(bucket)
        again = _ask(lab, OURS, outside, "collect", bucket=bucket, **arguments)
        outside.require_indexes(bucket)
    if again["files_written"]:
        raise ContenderError(f"indexing again wrote {again['files_written']} files")
    parts = {key: sum(answer[key]) / WORKERS for key in ("copying_s", "indexing_s")}
    return answer | parts | {"again_s": again["seconds"]}


def _run_original(lab: Lab, outside: Outside) -> dict[str, Any]:
    with outside.bucket() as bucket:
        answer = _ask(
            lab,
            ORIGINAL,
            outside,
            "collect",
            catalogue=outside.catalogue.url,
            bucket=bucket,
            sample=str(outside.sample),
            row=outside.row,
        )
        outside.require_files(bucket)
        outside.require_indexes(bucket)
    return answer | {key: sum(answer[key]) for key in ("copying_s", "indexing_s")}


def _run_floor(lab: Lab, outside: Outside) -> dict[str, Any]:
    copies = [
        (key, f"{COLLECTION}/{item_id}/{Path(key).name}")
        for item_id in outside.item_ids
        for key in outside.sizes
    ]
    with outside.bucket() as bucket:
        answer = _ask(
            lab, OURS, outside, "copy_by_store", bucket=bucket, copies=copies, at_once=AT_ONCE
        )
        outside.require_files(bucket)
    return answer


def _ask(lab: Lab, name: str, outside: Outside, task: str, **arguments: Any) -> dict[str, Any]:
    """Return the answer of a new process, with what it cost the store."""
    contender = lab.new_contender(name, outside.environment)
    before, cpu_s = outside.store_relay.count(), outside.store_cpu_s()
    try:
        answer = contender.ask(task, **arguments)
    finally:
        contender.close()
    relayed = outside.store_relay.count() - before
    return answer | {
        "fetched_bytes": relayed.to_client,
        "requests": relayed.requests,
        "store_cpu_s": outside.store_cpu_s() - cpu_s,
    }
