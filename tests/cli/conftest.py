from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from items.stac_api import StacApi


@pytest.fixture
def stac_api(demo: Path) -> Iterator[str]:
    """Run a STAC API with the sample archive's Sentinel-2 item; yield its URL."""
    (path,) = (demo / "archive" / "sentinel-2-l2a").glob("*/*.json")
    record = json.loads(path.read_text())
    for asset in record["assets"].values():
        asset["href"] = str(path.parent / asset["href"])
    with StacApi([record]) as api:
        yield api.url
