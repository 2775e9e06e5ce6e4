"""A job that is killed at any moment and started again ends like one that ran through.

At least 30 kills (SIGKILL) at random, logged times: 16 of a source that copies, four of them while
an upload in parts is under way and half of them while the store copies, and 16 of one that
converts.
"""

from __future__ import annotations

import logging
import random
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property

import boto3
import numpy as np
import pytest
import rasterio

from collect.worlds import linz_world, sentinel_2_world
from servers.outside import everywhere
from stacchip.storage.writable import PROBE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

KILLS = 16
_log = logging.getLogger(__name__)


@dataclass
class Victim:
    """A command that is killed again and again.

    Attributes:
        outside: The servers.
        name: The console script.
        root: Where it writes.
        source: The bucket that it reads.
        environment: Its environment variables.
    """

    outside: object
    name: str
    root: str
    source: str
    environment: dict[str, str]
    kills: list[float] = field(default_factory=list)
    orphans: int = 0

    def start(self):
        return subprocess.Popen(
            self.outside.command(self.name),
            env=self.outside.environment(**self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run_and_kill(self, after_s: float) -> bool:
        """Start it, and kill it unless it ends before; return True if it ended."""
        process = self.start()
        try:
            text, _ = process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.kills.append(after_s)
            _log.warning("%s: kill %d after %.2f s", self.name, len(self.kills), after_s)
            return False
        assert process.returncode == 0, text
        return True

    def kill_in_an_upload(self) -> None:
        """Start it, and kill it while the store holds parts of an unfinished object."""
        process = self.start()
        started = time.monotonic()
        while self.unfinished() == 0:
            assert process.poll() is None, "it ended without a multipart upload"
            time.sleep(0.01)
        process.kill()
        process.communicate()
        self.kills.append(time.monotonic() - started)
        _log.warning("%s: kill %d in an upload", self.name, len(self.kills))
        self.orphans += self.unfinished()

    def present(self) -> set[str]:
        return {
            entry.href.removeprefix(f"{self.root}/")
            for entry in self.outside.storage.list(f"{self.root}/")
        }

    def unfinished(self) -> int:
        answer = self.client.list_multipart_uploads(Bucket="archive")
        return len(answer.get("Uploads", []))

    @cached_property
    def client(self):
        environment = self.outside.store.environment
        return boto3.client(
            "s3", endpoint_url=self.outside.store.endpoint, region_name="us-east-1",
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def wipe(self) -> None:
        for name in self.present():
            self.outside.storage.delete(f"{self.root}/{name}")

    def survive(
        self, reference: dict[str, bytes], longest_s: float, seed: int, kills: int = KILLS
    ) -> None:
        """Kill it until it has been killed this often, and check after each kill."""
        dice = random.Random(seed)
        while len(self.kills) < kills:
            before = self.present()
            self.outside.proxy.forget()
            ended = self.run_and_kill(dice.uniform(1.5, longest_s))
            self.check_nothing_is_half(reference)
            self.check_nothing_came_twice(before)
            if ended:
                assert self.outside.content(self.root) == reference
                self.wipe()
        self.outside.proxy.set(delay_s=0)
        assert self.run_and_kill(200.0)
        assert self.outside.content(self.root) == reference
        assert self.unfinished() == 0, "unfinished uploads are left"

    def check_nothing_is_half(self, reference: dict[str, bytes]) -> None:
        """Check that every object under a final name is whole."""
        for name, data in self.outside.content(self.root).items():
            if name == f"/{PROBE}":
                continue  # of a job that was killed as it began
            if name.endswith("_index.json") and data != reference[name]:
                continue  # the journal of the index, which readers respect
            assert data == reference[name], f"{name} is not whole"

    def check_nothing_came_twice(self, before: set[str]) -> None:
        """Check that nothing that was complete before was read from its source or written again."""
        there = {place_of(name) for name in before if name.endswith((".tif", ".tiff"))}
        for request in self.outside.proxy.requests():
            if request.path.endswith(f"/{PROBE}"):
                continue
            inside = request.path.removeprefix(f"/{self.root.removeprefix('s3://')}/")
            if request.method == "GET" and request.path.startswith(f"/{self.source}/"):
                assert place_of(request.path) not in there, f"{request.path} was fetched again"
            if request.method in {"PUT", "POST"} and inside != request.path:
                assert place_of(inside) not in there, f"{inside} was written again"


def place_of(path: str) -> tuple[str, str]:
    """Return the item and the name of a file, the same at its source and in the archive."""
    *_, folder, name = path.split("/")
    # the sheets of a survey are in one folder, and each is named after its item
    return ("", name) if name.startswith("BX24_") else (folder, name)


@pytest.fixture
def large_scenes(shared_data, tmp_path):
    """Return a band of 19 MB, which takes three parts to upload."""
    with rasterio.open(shared_data / "sentinel2/S2A_29RKH_20200219_0_L2A/B02.tif") as dataset:
        profile = dataset.profile | {"count": 8, "compress": None, "predictor": 1}
    noise = np.random.default_rng(0)
    files = {}
    for key in ("blue",):
        files[key] = tmp_path / f"{key}.tif"
        pixels = noise.integers(0, 10_000, (8, 1098, 1098), dtype="uint16")
        with rasterio.open(files[key], "w", **profile) as out:
            out.write(pixels)
    return files


def test_a_source_that_copies(outside, shared_data, large_scenes):
    world = sentinel_2_world(shared_data, large_scenes)
    outside.loaded -= {place for place in world.objects if place.endswith("B02.tif")}
    outside.load(world)
    layer = outside.sample(
        "killed", name=["30UXB", "29RKH"], geometry=everywhere((-11.9, 24.4, -10.9, 25.2), 2)
    )
    victim = Victim(
        outside, "sentinel_2", "s3://archive/killed-copy", "sentinel-cogs",
        {
            "STACCHIP_MGRS_SOURCE": str(layer), "STACCHIP_BUCKET": "s3://archive/killed-copy",
            "AWS_BATCH_JOB_ARRAY_INDEX": "1", "STACCHIP_WORKERS": "2",
            "STACCHIP_STORE_COPIES": "no",
        },
    )  # fmt: skip
    assert victim.run_and_kill(200.0)
    reference = outside.content(victim.root)
    victim.wipe()
    outside.proxy.set(delay_s=0.05)
    for _ in range(4):
        victim.kill_in_an_upload()
        victim.check_nothing_is_half(reference)
        victim.wipe()
    assert victim.orphans >= 4, "the kills left no unfinished upload"
    outside.proxy.set(delay_s=0.02)
    victim.survive(reference, longest_s=5.0, seed=1, kills=KILLS // 2)
    victim.wipe()
    del victim.environment["STACCHIP_STORE_COPIES"]
    victim.survive(reference, longest_s=4.0, seed=3)
    outside.loaded -= {place for place in world.objects if place.endswith("B02.tif")}


def test_a_source_that_converts(outside, shared_data, tmp_path):
    world = linz_world(shared_data, tmp_path)
    outside.load(world)
    victim = Victim(
        outside, "linz", "s3://archive/killed-convert", "nz-imagery",
        {
            "STACCHIP_BUCKET": "s3://archive/killed-convert", "STACCHIP_CATALOGUE": "s3://nz-imagery/",
            "AWS_BATCH_JOB_ARRAY_INDEX": str(world.row), "STACCHIP_WORKERS": "1",
        },
    )  # fmt: skip
    assert victim.run_and_kill(200.0)
    reference = outside.content(victim.root)
    victim.wipe()
    outside.proxy.set(delay_s=0.02)
    victim.survive(reference, longest_s=5.0, seed=2)


def test_two_jobs_on_the_same_row_do_no_harm(outside, shared_data, large_scenes):
    world = sentinel_2_world(shared_data, large_scenes)
    outside.loaded -= {place for place in world.objects if place.endswith("B02.tif")}
    outside.load(world)
    layer = outside.sample(
        "twice", name=["30UXB", "29RKH"], geometry=everywhere((-11.9, 24.4, -10.9, 25.2), 2)
    )
    victim = Victim(
        outside, "sentinel_2", "s3://archive/twice", "sentinel-cogs",
        {
            "STACCHIP_MGRS_SOURCE": str(layer), "STACCHIP_BUCKET": "s3://archive/twice",
            "AWS_BATCH_JOB_ARRAY_INDEX": "1", "STACCHIP_WORKERS": "2",
        },
    )  # fmt: skip
    assert victim.run_and_kill(200.0)
    reference = outside.content(victim.root)
    victim.wipe()
    outside.proxy.set(delay_s=0.01)
    first = victim.start()
    time.sleep(0.4)
    second = victim.start()
    for process in (first, second):
        text, _ = process.communicate(timeout=200)
        assert process.returncode == 0, text
    assert outside.content(victim.root) == reference
    assert victim.unfinished() == 0
    outside.loaded -= {place for place in world.objects if place.endswith("B02.tif")}
