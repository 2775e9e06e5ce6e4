"""One landscape and one small archive for all tests of the demo."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacchip.demo.landscape import Landscape, make_landscape


@pytest.fixture(scope="session")
def landscape() -> Landscape:
    return make_landscape(0)


@pytest.fixture(scope="session")
def archive(demo: Path) -> Path:
    """A small archive; do not change it."""
    return demo / "archive"


@pytest.fixture(scope="session")
def sentinel2(archive: Path) -> Path:
    return next(archive.glob("sentinel-2-l2a/*/stac_item.json"))


@pytest.fixture(scope="session")
def landsat(archive: Path) -> Path:
    return next(archive.glob("landsat-c2-l2/*/stac_item.json"))


@pytest.fixture(scope="session")
def naip(archive: Path) -> Path:
    return next(archive.glob("naip/*/stac_item.json"))


@pytest.fixture(params=["sentinel2", "landsat", "naip"])
def item_path(request: pytest.FixtureRequest) -> Path:
    """Each item of the archive in turn."""
    return request.getfixturevalue(request.param)
