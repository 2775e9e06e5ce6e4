"""A job that collects without a server, to be run in a process of its own, which dies or fails."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import TYPE_CHECKING

from collect.survey import SURVEY
from stacchip.collect.job import Job
from stacchip.collect.recipes.linz import RECIPE
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.errors import StacchipError

if TYPE_CHECKING:
    from pathlib import Path


def collect(folder: Path, catalogue: Path, converts: bool) -> None:
    """Collect a survey in `archive`, with temporary files in `tmp`."""
    settings = Settings(str(folder / "archive"), catalogue=str(catalogue))
    recipe = dataclasses.replace(RECIPE, converts=converts)
    before, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
    try:
        report = Job(recipe, recipe.choices, settings).run(Row(0, SURVEY))
    finally:
        tempfile.tempdir = before
    if report.errors:
        raise StacchipError(report.errors[0])
