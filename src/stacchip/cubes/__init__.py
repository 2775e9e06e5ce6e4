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

- `imagery`: the rows of an index that are wanted, and where their pixels lie
- `plan`: which chip is in which cube, the same for every job
- `prechip`: the work of one job; cubes that are there already are not made again
- `filling`: chips from the stream, put in their places in the cubes
- `normalise`: place and time of a chip, as sines and cosines
- `sinks`: the forms of files, each written and read in one module

To add a form of cubes, see `stacchip.cubes.sinks`. This folder imports `stream` and everything
below it; of this repository only `statistics` and `cli` import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "imagery": ("Imagery",),
    "plan": ("CubePlan", "PlanSettings"),
    "prechip": ("Prechip", "PrechipReport"),
    "sinks": (
        *("Cube", "CubeFolder", "CubeForm", "StoredCubes"),
        *("find_cubes", "find_platforms", "register_form"),
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: reading cubes needs no stream."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
