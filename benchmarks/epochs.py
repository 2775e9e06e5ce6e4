"""Whole epochs: streams by blocks and shuffled, the disk cache, a cold start, the DataLoader."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.contender import ContenderError
from benchmarks.latency_server import serve
from benchmarks.measuring import LATENCY_S, Goal, Lab, Row, Samples, at_least, at_most, benchmark
from benchmarks.random_chips import choose_chips, count_requests, write_remote_index
from benchmarks.scene import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = "stacchip, streams"
CHIPS = 42 * 42
"""Number of whole chips of 256 px in the scene's grid."""

ROW_OF_CHIPS = [(x, 20) for x in range(42)]
"""A whole row of the grid: neighbours in an epoch in index order."""

LONG_LATENCY_S = 0.230

_LOOPBACK = "Loopback does not limit the bandwidth, and connections open without delay."
_NO_VALID = (
    "stacchip makes no masks of valid pixels here (`with_valid=False`), since neither the floor "
    "nor the original makes any. The first table of an epoch shows what they cost."
)


def _floor_of_epoch(lab: Lab) -> Any:
    return lab.question("floor", "epoch")


def _require_all(samples: Mapping[str, Samples]) -> None:
    for name, each in samples.items():
        if {int(chips) for chips in each.values("chips")} != {CHIPS}:
            raise ContenderError(f"{name}: not {CHIPS} chips, but {each.values('chips')}")


def _require_same_pixels(lab: Lab, path: str, order: str) -> None:
    """Raise an error unless the stream's chips have the pixels that the floor decodes."""
    chips = choose_chips()
    ours = lab.contender(OURS).ask("checksum", path=path, chips=chips, order=order)
    floor = lab.contender("floor").ask("chips", chips=chips)
    if (ours["checksum"], ours["found"]) != (floor["checksum"], len(chips)):
        raise ContenderError(f"order {order!r}: the stream and the floor have different pixels")


def _per_chip(samples: Samples, name: str, **options: Any) -> Row:
    return samples.row(name, "ms per chip", 1e3 / CHIPS, **options)


def _decoded(ours: Samples, floor: Samples) -> Row:
    note = f"the scene has {floor.median('blocks'):.0f}: decoding each once is the minimum"
    return Row("blocks decoded", ours.median("decoded_blocks"), "blocks", note=note)


def _share(floor: Samples, ours: Samples) -> float:
    return floor.median() / ours.median()


@benchmark(
    "epoch-blocks",
    title='An epoch of 1764 chips of 11 assets at 30 ms latency, order "blocks"',
    method=(
        "Every whole chip of the scene, in batches of shape (64, 11, 256, 256) that are dropped. "
        "Headers come from the index on disk. A first epoch, in which the pixels of 25 chips were "
        "compared with the floor's, does not count. The floor decodes each of the scene's 736 "
        "blocks once on both cores, from the page cache, and copies the same chips out."
    ),
    unlike=(
        _LOOPBACK,
        _NO_VALID,
        (
            f"The original reads one row of {len(ROW_OF_CHIPS)} chips one after another, once, not "
            f"all {CHIPS}; its time per chip and per epoch is scaled from that row."
        ),
        (
            "The floor reuses the same two areas of memory, and shares the cores with no server: "
            "sending and receiving the scene takes about 0.4 s of CPU, a ninth of an epoch."
        ),
    ),
)
def epoch_blocks(lab: Lab) -> list[Row]:
    path = write_remote_index(lab)
    _require_same_pixels(lab, path, "blocks")
    masking = lab.new_contender(OURS)
    masked: dict[str, Any] = {"path": path, "order": "blocks", "with_valid": True}
    masking.ask("epoch", **masked)
    cases = {
        "stacchip": lab.question(OURS, "epoch", path=path, order="blocks"),
        "floor": _floor_of_epoch(lab),
        "masks": lambda: masking.ask("epoch", **masked),
    }
    samples = lab.in_turn(cases, repeats=5, warm_ups=0)
    masking.close()
    _require_all(samples)
    ours, floor = samples["stacchip"], samples["floor"]
    rows = [
        _per_chip(ours, "stacchip", bar=True),
        _per_chip(floor, "floor: each block decoded once", bar=True),
        Row("share of the floor", _share(floor, ours), "", goal=at_least(0.8)),
        _per_chip(samples["masks"], "stacchip, with masks of valid pixels"),
        _decoded(ours, floor),
    ]
    return rows + _against_original(lab, ours.median() / CHIPS, ROW_OF_CHIPS, at_least(150))


def _against_original(
    lab: Lab, ours_s: float, chips: list[tuple[int, int]], goal: Goal | None = None
) -> list[Row]:
    """Return the original's time per chip over some chips, and its ratio to ours."""
    for name in lab.available("original"):
        arguments: dict[str, Any] = {"item": lab.scene.item(lab.url), "name": "remote"}
        lab.contender(name).ask("epoch", **arguments, chips=[(5, 5)])
        answer = lab.contender(name).ask("epoch", **arguments, chips=chips)
        seconds = answer["seconds"] / len(chips)
        note = f"{len(chips)} chips, scaled: an epoch would take {seconds * CHIPS:.0f} s"
        return [
            Row("original 0.1.38", seconds * 1e3, "ms per chip", bar=True, note=note),
            Row("times as fast as the original", seconds / ours_s, "times", goal=goal),
        ]
    return []


@benchmark(
    "epoch-shuffle",
    title='The same epoch, order "shuffle", under 2 GB',
    method=(
        "As above, but in a process of its own that does nothing else, and whose first epoch "
        "counts: median of five. Memory is the highest resident memory of that process (VmHWM), "
        "batches and interpreter included. Areas (64 chips that share blocks, 2048 px a side) were "
        "counted in each batch."
    ),
    unlike=(
        _LOOPBACK,
        _NO_VALID,
        "The floor does not mix: it is the floor of the epoch by blocks.",
        (
            "The original reads 25 random chips, no two of which share a block, as in a shuffle of "
            "many scenes; its epoch is scaled from them."
        ),
    ),
)
def epoch_shuffle(lab: Lab) -> list[Row]:
    path = write_remote_index(lab)
    _require_same_pixels(lab, path, "shuffle")
    contender = lab.new_contender(OURS)
    epochs = iter(range(1000))

    def ask() -> Mapping[str, Any]:
        return contender.ask("epoch", path=path, order="shuffle", number=next(epochs))

    samples = lab.in_turn({"stacchip": ask, "floor": _floor_of_epoch(lab)}, repeats=5, warm_ups=0)
    contender.close()
    _require_all(samples)
    ours, floor = samples["stacchip"], samples["floor"]
    return [
        _per_chip(ours, "stacchip", bar=True),
        _per_chip(floor, "floor: each block decoded once", bar=True),
        Row("share of the floor", _share(floor, ours), "", goal=at_least(0.7)),
        Row("distinct areas in a batch", ours.median("areas"), "areas", goal=at_least(8)),
        Row("peak memory", max(ours.values("peak_mb")), "MB", goal=at_most(2000)),
        _decoded(ours, floor),
        Row("time to the first batch", ours.median("first_batch_s"), "s"),
        *_against_original(lab, ours.median() / CHIPS, choose_chips()),
    ]


@benchmark(
    "disk-cache",
    title="A second epoch from the cache on disk, 30 ms latency",
    method=(
        'An epoch (order "blocks") fills a cache on local disk. Then a new process opens the same '
        "index and cache and reads an epoch. The server counts the requests. Each runs once."
    ),
    unlike=("The files of the cache are still in the page cache.", _NO_VALID),
)
def disk_cache(lab: Lab) -> list[Row]:
    path = write_remote_index(lab)
    arguments = {"path": path, "order": "blocks", "cache_folder": str(lab.scratch / "blocks")}
    answers, requests = [], []
    for number in range(2):
        contender = lab.new_contender(OURS)
        before = count_requests(lab)
        answers.append(contender.ask("epoch", **arguments, number=number))
        requests.append(count_requests(lab) - before)
        contender.close()
    floor = lab.contender("floor").ask("epoch")
    first, second = (answer["seconds"] / CHIPS * 1e3 for answer in answers)
    return [
        Row("requests of the first epoch", requests[0], "requests"),
        Row("requests of the second epoch", requests[1], "requests", goal=at_most(0)),
        Row("first epoch, filling the cache", first, "ms per chip", bar=True),
        Row("stacchip: second epoch, from the cache", second, "ms per chip", bar=True),
        Row(
            "floor: each block decoded once",
            floor["seconds"] / CHIPS * 1e3,
            "ms per chip",
            bar=True,
        ),
    ]


@benchmark(
    "first-chip",
    title="The first chip of a cold process, 30 ms latency",
    method=(
        "Each time, a new process that has only imported what it needs (with pystac's extensions) "
        "opens an index on disk that keeps headers, and cuts one chip of 11 assets. Round trips "
        "are derived from time: the same is done at 230 ms latency, and the extra time, divided by "
        "200 ms, is the number of requests that waited for one another. The time goal is two round "
        "trips plus the floor's time, also in a new process, to decode the chip's 11 blocks."
    ),
    unlike=(
        (
            "Connections open without delay: a real network takes one more round trip, or two with "
            "TLS."
        ),
    ),
)
def first_chip(lab: Lab) -> list[Row]:
    x, y = choose_chips()[0]
    paths = {LATENCY_S: write_remote_index(lab)}
    with serve(DATA, LONG_LATENCY_S) as far:
        paths[LONG_LATENCY_S] = str(lab.scratch / "far-index")
        lab.contender("stacchip").ask("write", item=lab.scene.item(far), path=paths[LONG_LATENCY_S])
        before = count_requests(lab)
        samples = lab.in_turn(
            {
                "near": lambda: _ask_cold(lab, OURS, "first_chip", path=paths[LATENCY_S], x=x, y=y),
                "far": lambda: _ask_cold(
                    lab, OURS, "first_chip", path=paths[LONG_LATENCY_S], x=x, y=y
                ),
                "floor": lambda: _ask_cold(lab, "floor", "chip", x=x, y=y),
            },
            repeats=9,
            warm_ups=0,
        )
    requests = (count_requests(lab) - before) / len(samples["near"].answers)
    if len({each.values("checksum")[0] for each in samples.values()}) > 1:
        raise ContenderError("the first chip and the floor have different pixels")
    trips = (samples["far"].median() - samples["near"].median()) / (LONG_LATENCY_S - LATENCY_S)
    floor_ms = samples["floor"].median() * 1e3
    bound_ms = 2 * LATENCY_S * 1e3 + floor_ms
    return [
        samples["near"].row("stacchip", "ms", 1e3, goal=at_most(bound_ms), bar=True),
        samples["near"].row("opening the index on disk", "ms", 1e3, key="index_s"),
        Row("floor: decoding its 11 blocks", floor_ms, "ms", bar=True),
        Row("round trips, one after another", trips, "round trips", goal=at_most(2)),
        Row("requests", requests, "requests", note="one per block, all at the same time"),
    ]


def _ask_cold(lab: Lab, name: str, task: str, **arguments: Any) -> Mapping[str, Any]:
    contender = lab.new_contender(name)
    try:
        return contender.ask(task, **arguments)
    finally:
        contender.close()


@benchmark(
    "data-loader",
    title="An epoch through a PyTorch DataLoader: batches of 64, forkserver, 2 workers",
    method=(
        'A `ChipStreamDataset` of order "blocks" with `batch_size=64` in a DataLoader of two '
        "workers that stay alive between epochs. A first epoch, in which they start, does not "
        "count. Batches reach the parent as tensors in shared memory and are dropped there."
    ),
    unlike=(_LOOPBACK, _NO_VALID),
)
def data_loader(lab: Lab) -> list[Row]:
    contender = lab.new_contender(OURS)
    why_not = contender.ask("has_datasets")["why_not"]
    if why_not:
        lab.left_out["stacchip.datasets"] = f"not available: {why_not}"
        return []
    path = write_remote_index(lab)
    epochs = iter(range(1000))

    def ask() -> Mapping[str, Any]:
        return contender.ask("loader_epoch", path=path, number=next(epochs))

    start = ask()  # with the start of the workers
    samples = lab.in_turn({"stacchip": ask, "floor": _floor_of_epoch(lab)}, repeats=5, warm_ups=0)
    contender.ask("end_loader")
    contender.close()
    _require_all(samples)
    ours, floor = samples["stacchip"], samples["floor"]
    return [
        _per_chip(ours, "stacchip", bar=True),
        _per_chip(floor, "floor: each block decoded once", bar=True),
        Row("share of the floor", _share(floor, ours), "", goal=at_least(0.6)),
        Row("chips per second", CHIPS / statistics.median(ours.values()), "chips/s"),
        Row("first batch, workers alive", ours.median("first_batch_s"), "s"),
        Row("first batch, workers to be started", start["first_batch_s"], "s"),
    ]
