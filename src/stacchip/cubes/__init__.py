"""Chips cut ahead of training: cubes of many chips in one file.

```python
run = Prechip(Imagery("s3://bucket/index", "sentinel-2-l2a"), "s3://cubes")
plan = run.plan()
for job in range(plan.jobs):  # one after another here; an array of machines takes one each
    run.run(job, plan)
cubes = find_cubes(run.folder, run.storage)
pixels = cubes.reader.read(0)["pixels"]  # float32 (chip, band, y, x)
```

`stacchip prechip` is the same call. The way of one chip, in reading order:

- `plain_values`: settings as JSON can hold them
- `imagery`: the rows of an index that are wanted, and where their pixels lie
- `left_out`: how many chips of the index a run leaves out, and why
- `plan`: which chip is in which cube, the same for every job
- `stored_plan`: the plan of a large index, kept beside the cubes
- `plan_file`: its file, of which a job reads its own rows
- `index_state`: the files of an index that a plan is of, whatever is appended later
- `planner`: finds the plan, or makes it once
- `prechip`: the work of one job; cubes that are there already are not made again
- `filling`: chips from the stream, put in their places in the cubes
- `normalise`: place and time of a chip, as sines and cosines
- `sinks`: the forms of files, each written and read in one module

To add a form of cubes, see `stacchip.cubes.sinks`. This folder imports from `stream` and the
folders before it; of this repository only `statistics` and `cli` import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.cubes.imagery import Imagery
    from stacchip.cubes.plan import CubePlan, PlanSettings
    from stacchip.cubes.prechip import Prechip, PrechipReport
    from stacchip.cubes.sinks import (
        Cube,
        CubeFolder,
        CubeForm,
        StoredCubes,
        find_cubes,
        find_platforms,
        register_form,
    )

__all__ = [
    "Cube",
    "CubeFolder",
    "CubeForm",
    "CubePlan",
    "Imagery",
    "PlanSettings",
    "Prechip",
    "PrechipReport",
    "StoredCubes",
    "find_cubes",
    "find_platforms",
    "register_form",
]

if not TYPE_CHECKING:  # reading cubes needs no stream
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {
            "imagery": ["Imagery"],
            "plan": ["CubePlan", "PlanSettings"],
            "prechip": ["Prechip", "PrechipReport"],
            "sinks": [
                *("Cube", "CubeFolder", "CubeForm", "StoredCubes"),
                *("find_cubes", "find_platforms", "register_form"),
            ],
        },
    )
