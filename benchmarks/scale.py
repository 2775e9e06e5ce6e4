"""An index of 10^8 chips: opening, looking up, growing, and training from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pyarrow.compute as pc

from benchmarks.big_index import ITEMS_OF_1E8, BigIndex, ensure_big_index, make_item
from benchmarks.latency_server import serve
from benchmarks.measuring import Goal, Lab, Row, Samples, at_least, at_most, benchmark
from benchmarks.scene import DATA
from stacchip.index import read_index

if TYPE_CHECKING:
    from pathlib import Path

OURS: Final = "stacchip, big index"
DUCKDB: Final = "DuckDB"
SMALL: Final = 64  # items of the index with which the speed of a stream is compared
ADDED: Final = 96
TOUCHED_BYTES: Final = 2 << 30
FAR_S: Final = 0.5  # so long that the noise of decoding is less than a round trip


@benchmark(
    "scale",
    title="An index of 10^8 chips of five sources",
    is_long=True,
    method=(
        "The index is generated: 59,000 items with 8 dates a tile, written by stacchip's writers. "
        "All items read the same four files. Each number is from a new process, whose files are in "
        "the page cache; the median of three, but where a run takes minutes. Times are CPU seconds "
        "of the whole process after its imports, unless a row says wall. Memory is the peak above "
        "that after the imports. STACCHIP_BENCH_ITEMS=5900 makes a smaller index."
    ),
    unlike=(
        "DuckDB answers the same question on the same files, with two threads.",
        "All items read the same four local files, which are in the page cache.",
        (
            "The host of this virtual machine takes back free memory, which may cost 7 s for "
            "500 MB. So another process touches 2 GB before each."
        ),
    ),
)
def scale(lab: Lab) -> list[Row]:
    index = ensure_big_index(int(os.environ.get("STACCHIP_BENCH_ITEMS", ITEMS_OF_1E8)))
    return [
        *_describe(index),
        *_open(lab, index),
        *_train(lab, index),
        *_look_up(lab, index),
        *_grow(lab, index),
        *_plan_cubes(lab, index),
    ]


def _ask(lab: Lab, name: str, task: str, repeats: int = 3, **arguments: Any) -> Samples:
    """Ask new processes, one after another."""
    answers = []
    for _ in range(repeats):
        _touch_memory()
        contender = lab.new_contender(name)
        answers.append(contender.ask(task, **arguments))
        contender.close()
    return Samples(tuple(answers))


def _touch_memory() -> None:
    """Let the host of a virtual machine provide memory again that it took back when it was free."""
    touch = f"import numpy as np; np.empty({TOUCHED_BYTES}, np.uint8)[::4096] = 1"
    subprocess.run([sys.executable, "-c", touch], check=True)


def _rows(
    samples: Samples, name: str, columns: dict[str, tuple[str, Goal | None]], note: str = ""
) -> list[Row]:
    """Return a row for each wanted fact of an answer: what it is called, and its goal."""
    units = {"cpu_s": "s", "seconds": "s", "first_s": "s"}
    return [
        samples.row(f"{name}: {what}", units.get(key, "MB"), key=key, goal=goal, note=note)
        for key, (what, goal) in columns.items()
    ]


def _describe(index: BigIndex) -> list[Row]:
    facts = index.facts
    size = sum(file.stat().st_size for file in index.path.glob("chips*.parquet"))
    slim = index.path.with_name(index.path.name + "-slim")
    return [
        Row("chips", facts["rows"], "rows"),
        Row("bytes a chip, with geometry", size / facts["rows"], "B", goal=at_most(36)),
        Row(
            "bytes a chip, without",
            _slim_bytes(index, slim),
            "B",
            goal=at_most(15),
            note='geometry="none", of the rows of 256 items',
        ),
        Row("merge: peak", facts["merge_peak_mb"], "MB", goal=at_most(500)),
        Row("merge: CPU", facts["merge_cpu_s"], "s"),
    ]


def _slim_bytes(index: BigIndex, path: Path) -> float:
    from stacchip.index import write_index

    ids = [make_item(number)[0]["id"] for number in range(min(256, index.facts["items"]))]
    table = read_index(index.path, item_id=ids)
    shutil.rmtree(path, ignore_errors=True)
    write_index(table, path, geometry="none")
    size = sum(file.stat().st_size for file in path.glob("chips*.parquet"))
    shutil.rmtree(path)
    return size / table.num_rows


def _open(lab: Lab, index: BigIndex) -> list[Row]:
    path, cache = str(index.path), str(lab.scratch / "cache")
    chipper = _ask(lab, OURS, "open_chipper", path=path)
    made = _ask(lab, OURS, "plan_stream", 1, path=path, cache=cache)
    planned = _ask(lab, OURS, "plan_stream", path=path, cache=cache)
    opened = _ask(lab, OURS, "open_stream", path=path, cache=cache)
    goals = {"cpu_s": ("CPU", at_most(1)), "more_mb": ("memory", at_most(100))}
    making = {"cpu_s": ("CPU", at_most(60)), "more_mb": ("memory", at_most(300))}
    return [
        *_rows(chipper, "Chipper(path)", goals),
        *_rows(made, "order file of a shuffle, made once", making),
        Row("order file", made.median("order_mb"), "MB", note=f"{made.median('chips'):.0f} chips"),
        *_rows(opened, "ChipStream(path, max_cloud=0.5)", goals),
        *_rows(planned, "and its plan, for which 64 items are opened", {"cpu_s": ("CPU", None)}),
    ]


def _train(lab: Lab, index: BigIndex) -> list[Row]:
    path, cache = str(index.path), str(lab.scratch / "cache")
    small = ensure_big_index(SMALL)
    small_cache = str(lab.scratch / "small-cache")
    first = _ask(lab, OURS, "first_batch", path=path, cache=cache)
    trips = _count_round_trips(lab, index, first.median())
    speeds = [
        {
            which: _ask(lab, OURS, "speed", 1, path=where, cache=kept, batches=100)
            for which, where, kept in (
                ("big", path, cache),
                ("small", str(small.path), small_cache),
            )
        }
        for _ in range(3)
    ]
    ratios = sorted(each["small"].median() / each["big"].median() for each in speeds)
    workers = {
        which: _ask(lab, OURS, "workers", 1, path=where, cache=kept, count=4)
        for which, where, kept in (("big", path, cache), ("small", str(small.path), small_cache))
    }
    more = workers["big"].median("pss_mb") - workers["small"].median("pss_mb")
    state = _ask(lab, OURS, "state", 1, path=path, cache=cache)
    return [
        first.row("first batch: wall", "s", goal=at_most(5)),
        Row(
            "first batch of a remote index: round trips more", trips, "trips", goal=at_most(10),
            note=f"each of {FAR_S:g} s; the scene's files are local",
        ),
        Row(
            f"chips/s against those of {SMALL} items", ratios[1], "times", goal=at_least(0.7),
            range=(ratios[0], ratios[-1]),
        ),
        Row(
            "a worker of four (spawn): memory", more, "MB", goal=at_most(150),
            note=f"PSS above that of a worker with {SMALL} items",
        ),
        Row("four workers: first batch, wall", workers["big"].median("first_s"), "s"),
        Row("state of an epoch", state.median("bytes"), "B", goal=at_most(4096)),
    ]  # fmt: skip


def _count_round_trips(lab: Lab, index: BigIndex, local_s: float) -> float:
    """Return how many round trips the first batch waits for if the index is far away."""
    with serve(DATA, 0) as url:
        arguments = {"path": f"{url}/{index.path.name}", "cache": str(lab.scratch / "far-cache")}
        _ask(lab, OURS, "plan_stream", 1, **arguments)  # makes the order file
    with serve(DATA, FAR_S, urlsplit(url).port or 0):
        far = _ask(lab, OURS, "first_batch", **arguments)
    return (far.median() - local_s) / FAR_S


def _look_up(lab: Lab, index: BigIndex) -> list[Row]:
    path = str(index.path)
    number = index.facts["items"] // 2
    item_id = make_item(number)[0]["id"]
    chips = read_index(path, item_id=item_id, columns=["chipid", "bbox"])
    west, south = (
        pc.min(pc.struct_field(chips["bbox"], side)).as_py() for side in ("xmin", "ymin")
    )
    questions: dict[str, dict[str, Any]] = {
        "item": {"item_id": item_id},
        "chipid": {"chipid": chips["chipid"][0].as_py()},
        "degree": {"bbox": [west, south, west + 1, south + 1]},
    }
    names = {"item": "one item", "chipid": "one chipid", "degree": "one degree"}
    goals = {"item": (0.2, 10), "chipid": (0.2, 10), "degree": (0.6, 80)}
    rows = []
    for task, arguments in questions.items():
        ours = _ask(lab, OURS, task, path=path, **arguments)
        cpu, read = (at_most(bound) for bound in goals[task])
        rows += _rows(
            ours, names[task], {"cpu_s": ("CPU", cpu), "read_mb": ("read", read)},
            note=f"{ours.median('rows'):.0f} rows",
        )  # fmt: skip
        rows += _duckdb(lab, names[task], task, path=path, **arguments)
    info = _ask(lab, OURS, "command", arguments=["info", path])
    rows += _rows(info, "info", {"cpu_s": ("CPU", at_most(3)), "read_mb": ("read", None)})
    return [*rows, *_duckdb(lab, "info", "info", path=path)]


def _duckdb(lab: Lab, name: str, task: str, **arguments: Any) -> list[Row]:
    if not list(lab.available(DUCKDB)):
        return []
    theirs = _ask(lab, DUCKDB, task, **arguments)
    columns = {"cpu_s": ("DuckDB, CPU", None), "read_mb": ("DuckDB, read", None)}
    return _rows(theirs, name, columns)


def _grow(lab: Lab, index: BigIndex) -> list[Row]:
    """Add items, and remove one, in a copy of the index that shares its files."""
    new = ensure_big_index(ADDED, first=10**6)
    grown = lab.scratch / "grown"
    _copy_links(index.path, grown)
    adding = _ask(lab, OURS, "add", 1, path=str(grown), new=str(new.path))
    removing = _ask(lab, OURS, "remove", 1, path=str(grown), item_id=make_item(1)[0]["id"])
    shutil.rmtree(grown)
    columns = {"cpu_s": ("CPU", at_most(1)), "written_mb": ("written", None)}
    return [
        *_rows(adding, f"add {ADDED} items", columns),
        *_rows(removing, "remove one item", columns),
    ]


def _copy_links(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)


def _plan_cubes(lab: Lab, index: BigIndex) -> list[Row]:
    arguments = [
        "prechip", "--index", str(index.path), "--target", str(lab.scratch / "cubes"),
        "--platform", "sentinel-2-l2a", "--bands", "blue,green,red,nir", "--plan",
    ]  # fmt: skip
    planned = _ask(lab, OURS, "command", 1, arguments=arguments)
    columns = {"cpu_s": ("CPU", at_most(60)), "more_mb": ("memory", at_most(500))}
    return _rows(planned, "prechip --plan", columns)
