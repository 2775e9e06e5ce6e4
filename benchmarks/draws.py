"""Draws: whether they give what was asked for, alike in all processes, and what they cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from benchmarks.big_index import ITEMS_OF_1E8, ensure_big_index
from benchmarks.measuring import Lab, Row, at_most, benchmark

if TYPE_CHECKING:
    from typing import Any

OURS: Final = "stacchip, draws"
CHIPS: Final = 10**6
FIFTH: Final = "landsat-c2l2-sr"  # has 2 x 10^7 of 10^8 chips


@benchmark(
    "draws",
    title="Draws by weights and classes",
    is_long=True,
    method=(
        "A draw of 10^6 chips, in which each month has the same share, and clear chips are "
        'likelier: `Draw(weight="1 - coalesce(cloud_cover_percentage, 0)", '
        'balance=["month(datetime)"])`. The index of 10^8 chips is that of the benchmark '
        "`scale`; 2 x 10^7 of them are Landsat's. Shares are compared with those asked for, in "
        "standard errors of a simple random sample of the same size: 12 months stay below 3.5 by "
        "chance. Times are seconds of the wall in a new process, memory is that beyond the "
        "imports. STACCHIP_BENCH_ITEMS=5900 makes a smaller index."
    ),
    unlike=(
        "PyTorch's WeightedRandomSampler is in the table of splits: it cannot draw from 2 x 10^7.",
    ),
)
def draws(lab: Lab) -> list[Row]:
    index = ensure_big_index(int(os.environ.get("STACCHIP_BENCH_ITEMS", ITEMS_OF_1E8)))
    known = {"path": str(index.path), "cache": str(lab.scratch / "cache"), "chips": CHIPS}

    def ask(task: str, **further: Any) -> dict[str, Any]:
        return lab.new_contender(OURS).ask(task, **known, **further)

    shares, sets = ask("shares", platform=FIFTH), ask("sets", platform=FIFTH)
    weighed, drawn = ask("weigh"), ask("draw", epoch=0)
    again, followed = ask("draw", epoch=1), ask("follow", epoch=1)
    of, rows = f"{shares['of']:,} chips", f"{index.facts['rows']:,} chips"
    return [
        Row("largest error of a month's share", shares["off"], "standard errors",
            goal=at_most(3.5), note=f"{shares['chips']:,} of {of}"),
        Row("different sets drawn by 1, 2, 7 ranks of 1 and 3 workers", sets["sets"], "sets",
            goal=at_most(1), note=f"{sets['chips']:,} of {of}"),
        Row("weigh all chips, once: wall", weighed["seconds"], "s", note=rows),
        Row("weigh all chips, once: memory", weighed["more_mb"], "MB", goal=at_most(300)),
        Row("draw the first epoch and put it in order: wall", drawn["seconds"], "s"),
        Row("draw a further epoch: wall", again["seconds"], "s"),
        Row("draw a further epoch: memory", again["more_mb"], "MB", goal=at_most(300)),
        Row("a process that reads the epoch in order: memory", followed["more_mb"], "MB",
            goal=at_most(150)),
    ]  # fmt: skip
