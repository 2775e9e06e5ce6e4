"""Chips and indexes behind a web server and in S3, with faults."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from interrupts import heeding_interrupts
from scenes import Scene
from servers.range_server import RangeServer
from servers.seaweedfs import SeaweedFS
from stacchip.chipper import Chipper
from stacchip.errors import AccessDenied, ObjectNotFound
from stacchip.index import write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions


@pytest.fixture
def web(scene: Scene) -> Iterator[RangeServer]:
    with RangeServer(scene.folder.parent) as server:
        yield server


def expected_chip(scene: Scene) -> dict[str, np.ndarray]:
    return Chipper(NoStatsChipIndexer(scene.item)).chip(1, 1)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, pixels in expected.items():
        np.testing.assert_array_equal(found[key], pixels, key)


def test_an_item_and_its_index_behind_a_web_server(scene: Scene, web: RangeServer):
    storage = Storage()
    indexer = NoStatsChipIndexer(web.url("scene-1/item.json"), storage=storage)
    headers = gather_headers([indexer.item], storage=storage)
    write_index(indexer.create_index(), scene.folder.parent / "index", headers=headers)
    assert_same(Chipper(web.url("index")).chip(1, 1), expected_chip(scene))


def test_the_first_chip_of_an_index_with_headers_asks_for_blocks_alone(
    scene: Scene, web: RangeServer
):
    indexer = NoStatsChipIndexer(web.url("scene-1/item.json"))
    headers = gather_headers([indexer.item], storage=Storage())
    write_index(indexer.create_index(), scene.folder.parent / "index", headers=headers)
    chipper = Chipper(scene.folder.parent / "index")
    web.reset_counters()
    assert_same(chipper.chip(1, 1), expected_chip(scene))
    # one request a file: the blocks of its window lie side by side, or near enough to be joined
    assert {path.rsplit("/")[-1] for path in web.by_path} == {"red.tif", "swir.tif", "coastal.tif"}


def test_a_server_that_fails_now_and_then_costs_no_chip(scene: Scene):
    expected = expected_chip(scene)
    with RangeServer(scene.folder.parent, fail_rate=0.2, seed=3) as web:
        indexer = NoStatsChipIndexer(web.url("scene-1/item.json"))
        for _ in range(10):
            assert_same(Chipper(indexer).chip(1, 1), expected)
        assert web.failed > 0


def test_a_file_that_is_gone_is_named(scene: Scene, web: RangeServer):
    scene.path("swir").unlink()
    chipper = Chipper(NoStatsChipIndexer(web.url("scene-1/item.json")))
    with pytest.raises(ObjectNotFound, match=r"swir\.tif") as caught:
        chipper.chip(0, 0)
    assert caught.value.status == 404


def put_scene(seaweed: SeaweedFS, bucket: str, scene: Scene) -> None:
    seaweed.bucket(bucket)
    storage = Storage(options=seaweed.options)
    for path in scene.folder.iterdir():
        name = "stac_item.json" if path.name == "item.json" else path.name
        storage.write(f"s3://{bucket}/my-source/scene-1/{name}", path)


@pytest.mark.servers
def test_an_item_and_its_index_in_s3(scene: Scene, seaweed: SeaweedFS):
    put_scene(seaweed, "archive", scene)
    storage = Storage(options=seaweed.options)
    item = "s3://archive/my-source/scene-1/stac_item.json"
    table = NoStatsChipIndexer(item, storage=storage).create_index()
    write_index(table, "s3://archive/merged", storage=storage)
    found = Chipper("s3://archive/merged", storage=storage).chip(1, 1)
    assert_same(found, expected_chip(scene))


@pytest.mark.servers
def test_an_item_in_a_bucket_by_platform_and_id(scene: Scene, seaweed: SeaweedFS, monkeypatch):
    """Credentials and endpoint come from the environment, as the original's did."""
    put_scene(seaweed, "collected", scene)
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    chipper = Chipper(bucket="collected", platform="my-source", item_id="scene-1")
    assert len(chipper) == 4
    assert_same(chipper.chip(1, 1), expected_chip(scene))


@pytest.mark.servers
def test_wrong_credentials_are_refused_and_not_shown(scene: Scene, seaweed: SeaweedFS):
    put_scene(seaweed, "private", scene)
    options = StorageOptions(
        endpoint=seaweed.endpoint, region="us-east-1",
        access_key_id="nobody", secret_access_key="not-the-secret",
    )  # fmt: skip
    with pytest.raises(AccessDenied) as caught:
        Chipper(
            bucket="private", platform="my-source", item_id="scene-1",
            storage=Storage(options=options),
        )  # fmt: skip
    assert "not-the-secret" not in repr(caught.value) + str(caught.value)
    assert caught.value.status == 403


def test_an_interrupt_while_an_item_is_opened_ends_the_process(scene: Scene, web: RangeServer):
    web.delay_s = 25.0  # a store that hangs
    hrefs = {key: web.url(f"scene-1/{key}.tif") for key in scene.item.assets}
    item = scene.item.clone()
    for key, href in hrefs.items():
        item.assets[key].href = href
    program = (
        "import json, sys\n"
        "from stacchip.chipper import Chipper\n"
        "from stacchip.indexer import NoStatsChipIndexer\n"
        "Chipper(NoStatsChipIndexer(json.loads(sys.argv[1]))).chip(1, 1)\n"
    )
    with heeding_interrupts():
        process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(item.to_dict())], stderr=subprocess.PIPE
        )
    until = time.monotonic() + 30
    while not web.requests and time.monotonic() < until:
        time.sleep(0.05)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - begin < 15
    assert b"KeyboardInterrupt" in said
