"""Single chips at random places, from a server with latency."""

from __future__ import annotations

import json
import random
import urllib.request
from typing import Any

from benchmarks.contender import ContenderError
from benchmarks.measuring import Lab, Row, Samples, at_least, at_most, benchmark

SEED = 20230605


def choose_chips() -> list[tuple[int, int]]:
    """Choose a chip in each inner block of the 20 m bands, outside the wedge: no two share a block.

    Returns:
        (x, y) of 25 chips of 256 px, in random order.
    """
    rng = random.Random(SEED)
    chips = []
    for block_y in range(5):
        for block_x in range(5):
            nested = [(block_x * 8 + x, block_y * 8 + y) for x in range(8) for y in range(8)]
            # the wedge without data in the north-west takes no time to decode: see `scene`
            covered = [(x, y) for x, y in nested if x + 0.35 * y > 6.7]
            chips.append(rng.choice(covered))
    rng.shuffle(chips)
    return chips


@benchmark(
    "random-chip",
    title="One random chip of 11 assets at 30 ms latency, headers known",
    method=(
        "25 chips of 256 px, one after another; no two share a block. Every contender reads a chip "
        "before the next chip begins. The server answers each request after 30 ms. Headers are "
        "known (ours from the index on disk) and connections are open: each contender first reads "
        "one chip that does not count. The floor decodes the same 11 blocks on both cores, with "
        "their bytes in memory. The goal is 1.6 times the floor's median plus 60 ms."
    ),
    unlike=(
        "Loopback does not limit the bandwidth, and connections open without delay.",
        (
            "The server shares the two cores: it takes about 0.35 ms of CPU per megabyte "
            "(`python -m benchmarks.latency_server`)."
        ),
        (
            "The original reads its 11 files one after another, as its interface requires; GDAL "
            "keeps the files' headers in its cache."
        ),
    ),
)
def random_chip(lab: Lab) -> list[Row]:
    contenders = ("stacchip", "floor", *lab.available("original"))
    samples, requests = _read_in_turn(lab, contenders)
    bound_ms = 1.6 * samples["floor"].median() * 1e3 + 60
    pairs = zip(samples["stacchip"].values(), samples["floor"].values(), strict=True)
    within = sum(ours <= 1.6 * floor + 0.060 for ours, floor in pairs)
    rows = [
        samples["stacchip"].row("stacchip", "ms", 1e3, goal=at_most(bound_ms), bar=True),
        samples["floor"].row("floor: decoding the 11 blocks", "ms", 1e3, bar=True),
        Row("chips within their own bound", within / len(samples["floor"].answers) * 100, "%"),
        Row("requests per chip", requests, "requests", note="any above 11 would be headers"),
    ]
    if "original" in samples:
        ratio = samples["original"].median() / samples["stacchip"].median()
        rows.insert(2, samples["original"].row("original 0.1.38", "ms", 1e3, bar=True))
        rows.insert(3, Row("times as fast as the original", ratio, "times"))
    return rows


PEERS = ("rasterio, 16 threads", "async-geotiff", "rasteret")


@benchmark(
    "concurrent-chips",
    title="Random chips of 11 assets at 30 ms latency, concurrent, no cache",
    method=(
        "The same 25 chips in one call; milliseconds per chip. Each contender keeps as many chips "
        "in flight as suits it, and starts with the headers and open connections: its first call "
        "does not count. All return (11, 256, 256) arrays with the same checksum. The floor "
        "decodes the same 275 blocks on both cores."
    ),
    unlike=(
        "Loopback does not limit the bandwidth, and connections open without delay.",
        (
            "rasteret needs Python 3.12 and runs in it. Its own store refuses http://, so it gets "
            "one of the same kind that allows it."
        ),
    ),
)
def concurrent_chips(lab: Lab) -> list[Row]:
    item = lab.scene.item(lab.url)
    path = write_remote_index(lab)
    chips = choose_chips()
    cases = {
        "stacchip": lab.question("stacchip", "chips", path=path, chips=chips),
        "floor": lab.question("floor", "chips", chips=chips),
    }
    for name in lab.available(*PEERS):
        lab.contender(name).ask("prepare", item=item)
        cases[name] = lab.question(name, "chips", chips=chips)
    samples = lab.in_turn(cases, repeats=5)
    if len({int(each.values("checksum")[0]) for each in samples.values()}) > 1:
        raise ContenderError("contenders read different pixels")
    to_ms = 1e3 / len(chips)
    rows = [each.row(name, "ms per chip", to_ms, bar=True) for name, each in samples.items()]
    ours = samples["stacchip"].median()
    rows.append(Row("share of the floor", samples["floor"].median() / ours, "", goal=at_least(0.7)))
    for name in PEERS:
        if name in samples:
            goal = at_least(1.7) if name.startswith("rasterio,") else None
            rows.append(
                Row(f"times as fast as {name}", samples[name].median() / ours, "times", goal)
            )
    return rows


def write_remote_index(lab: Lab) -> str:
    """Index the scene behind the latency once, with headers; return the path of the index."""
    path = lab.scratch / "remote-index"
    if not path.exists():
        lab.contender("stacchip").ask("write", item=lab.scene.item(lab.url), path=str(path))
    return str(path)


def _read_in_turn(lab: Lab, names: tuple[str, ...]) -> tuple[dict[str, Samples], float]:
    """Return the samples of each contender, and the requests that stacchip sent per chip."""
    item = lab.scene.item(lab.url)
    path = write_remote_index(lab)
    arguments: dict[str, dict[str, Any]] = {
        "stacchip": {"path": path},
        "floor": {},
        "original": {"item": item, "name": "remote"},
    }
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    chips = choose_chips()
    requests = 0
    # the warm-up chip is the last one: when it counts, its blocks are out of every cache
    for number, (x, y) in enumerate([chips[-1], *chips * lab.repeats(3)]):
        checksums = set()
        for name in names:
            before = count_requests(lab)
            answer = lab.contender(name).ask("chip", **arguments[name], x=x, y=y)
            if name == "stacchip" and number:
                requests += count_requests(lab) - before
            if number:
                answers[name].append(answer)
            checksums.add(answer.get("checksum"))
        if len(checksums - {None}) > 1:
            raise ContenderError(f"chip {(x, y)}: contenders read different pixels")
    samples = {name: Samples(tuple(each)) for name, each in answers.items()}
    return samples, requests / len(answers["stacchip"])


def count_requests(lab: Lab) -> int:
    """Return the number of requests that the server has answered so far."""
    with urllib.request.urlopen(f"{lab.url}/__stats") as response:
        return int(json.load(response)["requests"])
