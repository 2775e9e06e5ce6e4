"""Items that are opened, that fail, and that are let go of."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pystac
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from servers.range_server import Fault, RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import StorageError
from stacchip.index import read_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream
from stacchip.stream.read.open_items import OPEN_GDAL_ITEMS, Catalog
from stream.conftest import behind, index_items, make_item

OPEN_FILES = Path("/proc/self/fd")


def test_a_store_that_failed_is_asked_again_in_the_next_epoch(tmp_path):
    scenes = [make_item(tmp_path / name, name, {"red": (10, 256)}) for name in ("a", "b")]
    with RangeServer(tmp_path) as server:
        items = [behind(scene, server) for scene in scenes]
        table = read_index(index_items(items, tmp_path / "index")).replace_schema_metadata()
        stream = ChipStream(Chipper(table, items=items), errors="skip")
        server.always("b/red.tif", Fault(status=404))
        assert sum(len(batch) for batch in stream.batches(4)) == 16
        server.always("b/red.tif", None)
        assert sum(len(batch) for batch in stream.batches(4)) == 32
        assert stream.report.skipped == 0


def test_a_store_that_fails_may_not_decide_how_chips_are_grouped(tmp_path):
    scenes = [make_item(tmp_path / name, name, {"red": (10, 256)}) for name in ("a", "b")]
    with RangeServer(tmp_path) as server:
        items = [behind(scene, server) for scene in scenes]
        table = read_index(index_items(items, tmp_path / "index")).replace_schema_metadata()
        storage = Storage(options=StorageOptions(timeout_s=0.5, deadline_s=0.8))
        stream = ChipStream(Chipper(table, items=items, storage=storage), errors="skip")
        server.always("a/red.tif", Fault(status=503))
        with pytest.raises(StorageError):
            stream.rows()
        server.always("a/red.tif", None)
        assert len(stream.rows()) == 32


@pytest.fixture
def jpeg2000(tmp_path) -> Chipper:
    """Twenty items that only GDAL reads."""
    items, grid = [], {"proj:shape": [64, 64], "proj:transform": [10, 0, 5e5, 0, -10, 4.2e6]}
    pixels = np.random.default_rng(0).integers(0, 255, (1, 64, 64), np.uint8)
    options = {"driver": "JP2OpenJPEG", "count": 1, "dtype": "uint8", "REVERSIBLE": "YES"}
    for number in range(20):
        folder = tmp_path / f"item-{number:02}"
        folder.mkdir()
        with (
            pytest.warns(NotGeoreferencedWarning),
            rasterio.open(folder / "red.jp2", "w", width=64, height=64, **options) as file,
        ):
            file.write(pixels)
        item = pystac.Item(
            folder.name, None, None, datetime(2024, 5, 1, tzinfo=UTC), {"proj:code": "EPSG:32629"}
        )
        item.add_asset("red", pystac.Asset("./red.jp2", roles=["data"], extra_fields=grid))
        item.set_self_href(str(folder / "item.json"))
        items.append(item)
    tables = [NoStatsChipIndexer(item, 32).create_index() for item in items]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    return Chipper(table, items=items)


def open_files() -> int:
    return sum(os.path.realpath(link).endswith(".jp2") for link in OPEN_FILES.iterdir())


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts files the Linux way")
@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_few_files_are_open_that_gdal_reads(jpeg2000, order):
    stream = ChipStream(jpeg2000, order=order, open_areas=2)
    most = seen = 0
    for batch in stream.batches(4):
        seen += len(batch)
        most = max(most, open_files())
    assert seen == 80
    # some in the catalog, some that wait, those that are read
    assert most <= 2 * OPEN_GDAL_ITEMS + 4


@pytest.mark.parametrize(
    ("owner", "method", "begin"),
    [
        (Catalog, "needs_no_store", lambda stream: stream.table),
        (Chipper, "open_anew", lambda stream: next(stream.batches(32))),
    ],
)
def test_items_that_are_far_are_waited_for_together(owner, method, begin, tmp_path, monkeypatch):
    """Of 40 items, each of which takes 50 ms, as if it were in a remote index."""
    scenes = [make_item(tmp_path / f"{n:02}", f"{n:02}", {"red": (10, 64)}) for n in range(40)]
    index = index_items([scene.item for scene in scenes], tmp_path / "index")
    stream = ChipStream(index, order="shuffle")
    lock, under_way, most = threading.Lock(), 0, 0
    own = getattr(owner, method)

    def find_slowly(*args):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        try:
            return own(*args)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(owner, method, find_slowly)
    begin(stream)
    assert most > 10, "nine was the most before"
