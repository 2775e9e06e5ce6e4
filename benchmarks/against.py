"""Measure this checkout against another one: `python -m benchmarks.against CHECKOUT`.

Both run in this environment, each with its own `benchmarks` and `stacchip`, and are asked in turn,
so that a slow moment of the machine meets both. Tables are read and written by this checkout's
`our_tables` and either `stacchip`. The other checkout may be a worktree of the commit
before (`git worktree add ../before HEAD~1`). Prints the medians of both and their ratio; writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.contender import REPOSITORY, Contender
from benchmarks.measuring import Lab
from benchmarks.random_chips import choose_chips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Question = Callable[[], Mapping[str, Any]]


ITEMS = 580
"""Items of the index that is read: 10^6 rows."""

MERGED = 4
"""Indexes that are merged, of 60 items each."""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, help="folder of the other checkout")
    parser.add_argument("--effort", type=float, default=1.0, help="multiplies the repeats")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    options = parser.parse_args()
    table = Table("", "before", "after", "after / before", "of CPU", "range of both")
    with Lab(effort=options.effort) as lab:
        checkouts = {"before": options.checkout.absolute(), "after": REPOSITORY}
        cases = [*_pixel_cases(lab, checkouts), *_table_cases(lab, checkouts)]
        try:
            for case in cases:
                if options.only in case.name:
                    table.add_row(case.name, *_measured(lab, case))
        finally:
            Console().print(table)
    return 0


@dataclass(frozen=True)
class Case:
    """A question to both checkouts.

    Attributes:
        name: What is asked.
        repeats: How often, without a warm-up.
        ask: The question to the checkout of this name, `before` or `after`.
    """

    name: str
    repeats: int
    ask: Callable[[str], Question]


def _measured(lab: Lab, case: Case) -> list[str]:
    """Ask both in turn; return the medians, their ratios and the range, as a table shows them."""
    samples = lab.in_turn(
        {which: case.ask(which) for which in ("before", "after")}, repeats=case.repeats
    )
    before, after = samples["before"], samples["after"]
    values = [*before.values(), *after.values()]
    return [
        f"{before.median() * 1e3:,.1f} ms",
        f"{after.median() * 1e3:,.1f} ms",
        f"{after.median() / before.median():.3f}",
        f"{after.median('cpu_s') / before.median('cpu_s'):.3f}",
        f"{min(values) * 1e3:,.1f} to {max(values) * 1e3:,.1f} ms",
    ]


def _contenders(
    lab: Lab, module: str, checkouts: Mapping[str, Path], own: Path | None = None
) -> dict[str, Contender]:
    """A process of `module` for each checkout, with the module of `own` or of the checkout."""
    contenders = {
        name: Contender(module, environment=_environment(checkout), checkout=own or checkout)
        for name, checkout in checkouts.items()
    }
    for contender in contenders.values():
        lab.callback(contender.close)
    return contenders


def _pixel_cases(lab: Lab, checkouts: Mapping[str, Path]) -> Iterator[Case]:
    """Import, index, chips and epochs."""
    ours = _contenders(lab, "benchmarks.ours", checkouts)
    streams = _contenders(lab, "benchmarks.our_streams", checkouts)
    for contender in streams.values():
        lab.callback(partial(contender.ask, "end_loader"))
    remote = lab.scene.item(lab.url)
    paths = {name: str(lab.scratch / name) for name in checkouts}
    for name, contender in ours.items():
        contender.ask("write", item=remote, path=paths[name])
    chips = choose_chips()
    imports = "from stacchip.chipper import Chipper"

    def process(which: str) -> Question:
        cut = f"{imports}; Chipper({paths[which]!r}).chip(20, 20)"
        return partial(_run, checkouts[which], cut)

    yield Case(
        "import stacchip.chipper", 15, lambda which: partial(_run, checkouts[which], imports)
    )
    yield Case("a process that cuts a chip", 15, process)
    yield Case(
        "index of a scene",
        15,
        lambda which: partial(ours[which].ask, "index", item=lab.scene.item()),
    )
    yield Case(
        "25 random chips, one by one",
        7,
        lambda which: partial(_one_by_one, ours[which], paths[which], chips),
    )
    yield Case(
        "25 random chips, concurrent",
        7,
        lambda which: partial(ours[which].ask, "chips", path=paths[which], chips=chips),
    )
    for order in ("blocks", "shuffle"):
        yield Case(
            f"an epoch, {order}",
            5,
            lambda which, order=order: partial(
                streams[which].ask, "epoch", path=paths[which], order=order
            ),
        )
    yield Case(
        "an epoch, DataLoader",
        5,
        lambda which: partial(streams[which].ask, "loader_epoch", path=paths[which], number=0),
    )


def _table_cases(lab: Lab, checkouts: Mapping[str, Path]) -> Iterator[Case]:
    """What reads and writes the rows of an index; each checkout reads what it wrote."""
    tables = _contenders(lab, "benchmarks.our_tables", checkouts, own=REPOSITORY)
    item = lab.scene.item()
    ids = [f"{item['id']}-{number:05d}" for number in range(ITEMS)]

    def folder(which: str, name: str) -> str:
        return str(lab.scratch / f"{which}-{name}")

    for which, contender in tables.items():
        contender.ask("make", item=item, path=folder(which, "index"), items=ITEMS)
        for number in range(MERGED):
            path = folder(which, f"part-{number}")
            contender.ask("make", item=item, path=path, items=60, first=60 * number)

    def case(name: str, task: str, repeats: int = 9, **arguments: Any) -> Case:
        return Case(
            name,
            repeats,
            lambda which: partial(
                tables[which].ask, task, path=folder(which, "index"), **arguments
            ),
        )

    yield case("10^6 rows, 4 columns of numbers", "numbers")
    yield case("10^6 rows, 3 columns of texts", "texts")
    yield case("10^6 rows, all columns", "everything", 5)
    yield case("scan of 3 columns", "scan")
    yield case("rows of an item", "one_item", 15, item_id=ids[ITEMS // 2])
    yield case("rows by bbox", "by_bbox")
    yield case("rows by cloud", "by_cloud", 5)
    yield case("records of 1 item", "records", 25, item_ids=ids[7:8])
    yield case("records of 100 items", "records", 9, item_ids=ids[:100])
    yield case("10 items looked up", "lookup", 25, item_ids=ids[::58])
    yield Case(
        "200 items parsed",
        9,
        lambda which: partial(tables[which].ask, "parse", text=json.dumps(item), times=200),
    )
    yield Case(
        "60 items read and written",
        7,
        lambda which: partial(
            tables[which].ask,
            "rewrite",
            path=folder(which, "index"),
            item_ids=ids[:60],
            out=folder(which, "rewritten"),
        ),
    )
    yield Case(
        "4 indexes of 60 items merged",
        7,
        lambda which: partial(
            tables[which].ask,
            "merge",
            paths=[folder(which, f"part-{number}") for number in range(MERGED)],
            out=folder(which, "merged"),
        ),
    )


def _one_by_one(contender: Contender, path: str, chips: list[tuple[int, int]]) -> dict[str, float]:
    answers = [contender.ask("chip", path=path, x=x, y=y) for x, y in chips]
    return {key: sum(answer[key] for answer in answers) for key in ("seconds", "cpu_s")}


def _environment(checkout: Path) -> dict[str, str]:
    """The variables with which a process imports the `stacchip` of a checkout."""
    return {"PYTHONPATH": str(checkout / "src")}


def _run(checkout: Path, code: str) -> dict[str, float]:
    """A fresh process that runs some code."""
    cpu, begin = _children_cpu_s(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=_environment(checkout), check=True)
    return {"seconds": time.perf_counter() - begin, "cpu_s": _children_cpu_s() - cpu}


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
