from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from items.stac_api import StacApi
from servers.range_server import RangeServer


@pytest.fixture
def stac_api(demo: Path) -> Iterator[str]:
    """Serve a STAC API that holds the sample archive's Sentinel-2 item, and yield its URL."""
    (path,) = (demo / "archive" / "sentinel-2-l2a").glob("*/*.json")
    record = json.loads(path.read_text())
    with RangeServer(path.parent) as files, StacApi([record]) as api:
        for asset in record["assets"].values():
            asset["href"] = files.url(asset["href"].removeprefix("./"))
        yield api.url
