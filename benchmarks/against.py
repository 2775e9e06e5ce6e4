"""Measure this checkout against another one: `python -m benchmarks.against CHECKOUT`.

Both run in this environment, each with its own `benchmarks` and `stacchip`, and are asked in turn,
so that a slow moment of the machine meets both. The other checkout may be a worktree of the commit
before (`git worktree add ../before HEAD~1`). Prints the medians of both and their ratio; writes
nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.contender import REPOSITORY, Contender
from benchmarks.measuring import Lab
from benchmarks.random_chips import choose_chips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Question = Callable[[], Mapping[str, Any]]


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, help="folder of the other checkout")
    parser.add_argument("--effort", type=float, default=1.0, help="multiplies the repeats")
    options = parser.parse_args()
    table = Table("", "before", "after", "after / before", "range of both")
    with Lab(effort=options.effort) as lab:
        for name, repeats, before, after in _cases(lab, options.checkout.absolute()):
            samples = lab.in_turn({"before": before, "after": after}, repeats=repeats)
            medians = [samples[which].median() for which in ("before", "after")]
            values = [value for each in samples.values() for value in each.values()]
            table.add_row(
                name,
                *(f"{median * 1e3:,.1f} ms" for median in medians),
                f"{medians[1] / medians[0]:.3f}",
                f"{min(values) * 1e3:,.1f} to {max(values) * 1e3:,.1f} ms",
            )
    Console().print(table)
    return 0


def _cases(lab: Lab, other: Path) -> list[tuple[str, int, Question, Question]]:
    """The name of each case, its repeats, and the question to either checkout."""
    checkouts = {"before": other, "after": REPOSITORY}
    ours, streams = (
        {
            name: Contender(module, environment=_environment(checkout), checkout=checkout)
            for name, checkout in checkouts.items()
        }
        for module in ("benchmarks.ours", "benchmarks.our_streams")
    )
    remote = lab.scene.item(lab.url)
    paths = {name: str(lab.scratch / name) for name in checkouts}
    for name, contender in ours.items():
        contender.ask("write", item=remote, path=paths[name])
    chips = choose_chips()

    def case(
        name: str, repeats: int, ask: Callable[[str], Question]
    ) -> tuple[str, int, Question, Question]:
        return name, repeats, ask("before"), ask("after")

    def epoch(which: str, order: str) -> Question:
        return partial(streams[which].ask, "epoch", path=paths[which], order=order)

    return [
        case("import stacchip.chipper", 15, lambda which: partial(_import, checkouts[which])),
        case("index of a scene", 15, lambda which: partial(
            ours[which].ask, "index", item=lab.scene.item())),
        case("25 random chips, one by one", 7, lambda which: partial(
            _one_by_one, ours[which], paths[which], chips)),
        case("25 random chips, concurrent", 7, lambda which: partial(
            ours[which].ask, "chips", path=paths[which], chips=chips)),
        case("an epoch, blocks", 5, lambda which: epoch(which, "blocks")),
        case("an epoch, shuffle", 5, lambda which: epoch(which, "shuffle")),
        case("an epoch, DataLoader", 5, lambda which: partial(
            streams[which].ask, "loader_epoch", path=paths[which], number=0)),
    ]  # fmt: skip


def _one_by_one(contender: Contender, path: str, chips: list[tuple[int, int]]) -> dict[str, float]:
    seconds = [contender.ask("chip", path=path, x=x, y=y)["seconds"] for x, y in chips]
    return {"seconds": sum(seconds)}


def _environment(checkout: Path) -> dict[str, str]:
    """The variables with which a process imports the `stacchip` of a checkout."""
    return {"PYTHONPATH": str(checkout / "src")}


def _import(checkout: Path) -> dict[str, float]:
    """A fresh process that imports what cuts chips."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import stacchip.chipper"],
        env=_environment(checkout),
        check=True,
    )
    return {"seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    sys.exit(main())
