"""Writers of cubes and statistics, to be run in processes of their own, which die or fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubes.cube_world import PLATFORM, World
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import PlanSettings
from stacchip.cubes.plan_file import write_plan_file
from stacchip.cubes.prechip import Prechip
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import Part, PlatformStatistics, StatisticsFolder
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacchip.draws import Draw


def write_cubes(folder: Path, world: World, form: str, draw: Draw | None = None) -> None:
    """Write two cubes."""
    imagery = Imagery(world.index, PLATFORM, data=world.data, bands=("blue", "swir16"))
    settings = PlanSettings(cube_size=150, cubes_per_job=2, draw=draw)
    Prechip(imagery, str(folder / "cubes"), settings, form=form, writers=1).run(0)


def write_part(folder: Path, job: int) -> None:
    """Write one of two parts of statistics."""
    statistics = PlatformStatistics(get_platform("naip"), "uint8")
    statistics.add(np.full((1, len(statistics.bands), 2, 2), job, np.uint8))
    StatisticsFolder(str(folder), Storage()).write(statistics, Part(job, 2, ("naip",)))


HEAD = {"index_rows": 100, "chips_per_job": 10, "seed": 1}
PARTS = [np.arange(10), np.arange(40, 30, -1), np.array([99, 0, 50, 20, 21])]


def write_plan(folder: Path, head: Mapping[str, Any] = HEAD) -> None:
    """Write the plan of three jobs, in the place of any other."""
    href, storage = str(folder / "cubes/_cubes.plan"), Storage()
    seen = storage.stat(href) if storage.exists(href) else None
    write_plan_file(href, head, iter(PARTS), storage, expect=seen)
