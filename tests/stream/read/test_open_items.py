"""Items that are opened, that fail, and that are let go of."""

from __future__ import annotations

import json
import os
import threading
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
from stacchip.errors import ObjectNotFound, StorageError
from stacchip.index import read_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.read.open_items import OPEN_GDAL_ITEMS, Catalog
from stream.conftest import behind, index_items, make_item

OPEN_FILES = Path("/proc/self/fd")


class Opener:
    """A chipper whose first openings end otherwise."""

    def __init__(self, chipper: Chipper, *endings) -> None:
        self.chipper = chipper
        self.endings = list(endings)

    def open(self, row: int):
        if self.endings:
            ending = self.endings.pop(0)
            if isinstance(ending, BaseException):
                raise ending
            ending()
        return self.chipper.open(row)


@pytest.fixture
def chipper(tmp_path) -> Chipper:
    scenes = [make_item(tmp_path / name, name, {"red": (10, 256)}) for name in ("a", "b")]
    return Chipper(index_items([scene.item for scene in scenes], tmp_path / "index"))


def catalog_of(chipper: Chipper, *endings) -> Catalog:
    return Catalog(Opener(chipper, *endings), WantedChips.of(chipper.rows))


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_an_opening_that_was_interrupted_is_not_kept(chipper, ending):
    catalog = catalog_of(chipper, ending)
    with pytest.raises(type(ending)):
        catalog.get(0)
    assert catalog.get(0).bands == ("red",)


def test_who_waits_for_an_opening_that_is_interrupted_opens_it(chipper):
    begun, waited = threading.Event(), threading.Event()

    def interrupt() -> None:
        begun.set()
        waited.wait(5)
        raise KeyboardInterrupt

    catalog = catalog_of(chipper, interrupt)
    threads = [
        threading.Thread(target=pytest.raises, args=(KeyboardInterrupt, catalog.get, 0)),
        threading.Thread(target=lambda: found.append(catalog.get(0).bands)),
    ]
    found: list[tuple[str, ...]] = []
    threads[0].start()
    begun.wait(5)
    threads[1].start()
    waited.set()
    for thread in threads:
        thread.join(5)
    assert found == [("red",)]


def test_an_item_opened_ahead_in_vain_is_opened_by_who_asks(chipper):
    catalog = catalog_of(chipper, RuntimeError("a bug"))
    catalog.prepare([0])
    assert catalog.get(0).bands == ("red",)


def test_a_failure_is_kept_until_it_is_forgotten(chipper):
    catalog = catalog_of(chipper, ObjectNotFound("gone", href="a"))
    errors = []
    for _ in range(3):
        with pytest.raises(ObjectNotFound) as raised:
            catalog.get(0)
        errors.append(raised.value)
    assert len({len(list(traces(error))) for error in errors}) == 1, "no traceback grows"
    assert errors[0].facts == errors[1].facts == {"href": "a"}
    catalog.forget_failures()
    assert catalog.get(0).bands == ("red",)


def traces(error: BaseException):
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_waits_for_nothing_of_its_parent(chipper):
    begun, done = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        done.wait(20)

    catalog = catalog_of(chipper, hang)
    thread = threading.Thread(target=catalog.get, args=(0,))
    thread.start()
    begun.wait(5)
    reading, writing = os.pipe()
    with catalog._lock:
        process = os.fork()
        if not process:
            threading.Timer(5, os._exit, (1,)).start()
            os.write(writing, json.dumps(catalog.get(0).bands).encode())
            os._exit(0)
    done.set()
    thread.join(5)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert json.loads(os.read(reading, 100)) == ["red"]


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
