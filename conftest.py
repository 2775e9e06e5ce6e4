"""What the examples in docstrings may use without saying where it comes from, and the workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pystac
import pytest

# one is for type checkers, the others are programs that run in environments of their own; without
# the extra `torch`, the modules that need it cannot be imported for their examples
collect_ignore = ["tests/typed/front_door.py", "tests/extras"] + (
    []
    if find_spec("torch")
    else [
        f"src/stacchip/datasets/{path.name}"
        for path in (Path(__file__).parent / "src/stacchip/datasets").glob("[!_]*.py")
    ]
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto` is more than one worker a core: many tests wait for a server or a deadline."""
    cores = os.cpu_count() or 1
    return cores + min(cores, 4)


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """`item`: 1024 px at 10 m, one band, whose file does not exist."""
    item = pystac.Item(
        "example", None, None, datetime(2024, 5, 1, 10, 30, tzinfo=UTC), {"proj:code": "EPSG:32633"}
    )
    grid = {"proj:shape": [1024, 1024], "proj:transform": [10, 0, 500000, 0, -10, 6000]}
    item.add_asset("red", pystac.Asset("/nowhere/red.tif", extra_fields=grid))
    doctest_namespace["item"] = item
