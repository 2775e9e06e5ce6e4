from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.cli.pictures import make_picture
from stacchip.indexer import ChipIndexer, Indexer, NoDataMaskChipIndexer, NoStatsChipIndexer


def captions(indexer: ChipIndexer) -> list[str]:
    """Return the caption with the shares of each chip."""
    chipper = Chipper(indexer.create_index())
    return [make_picture(chipper, row).captions[2] for row in range(len(chipper))]


@pytest.mark.parametrize("kind", [NoStatsChipIndexer, Indexer])
def test_padding_that_was_not_counted_is_not_shown_as_no_nodata(
    kind: type[ChipIndexer], tmp_path: Path
):
    item = make_scene(tmp_path / "scene").item
    shown = captions(kind(item, chip_size=400, edge="pad"))
    assert shown == ["cloud 0 %  ·  nodata 0 %", *3 * ["not measured"]]


def test_padding_that_was_counted_is_shown(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    nodata = np.zeros((600, 700), bool)
    indexer = NoDataMaskChipIndexer(item, nodata, 400, 1.0, edge="pad")
    assert captions(indexer)[1] == "cloud 0 %  ·  nodata 25 %"
