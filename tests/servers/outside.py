"""The outside world, started once: a STAC API, and an S3 store behind a proxy."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import geopandas
import shapely

from servers.nginx import Nginx
from servers.pgstac import PgstacServer
from servers.seaweedfs import SeaweedFS
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collect.worlds import World

BUCKETS = (
    "archive", "sentinel-cogs", "usgs-landsat", "naip-analytic", "nz-imagery", "public-bucket",
)  # fmt: skip
PAYING = ("usgs-landsat", "naip-analytic")


@dataclass
class Outside:
    """The servers, and how to run a command against them.

    Attributes:
        api: The STAC API.
        store: The S3 server; a test talks to it directly so as not to be counted.
        proxy: The proxy that commands talk to; it counts requests, and fails on purpose.
        folder: The folder of sample layers.
        loaded: The objects that are in the store.
    """

    api: PgstacServer
    store: SeaweedFS
    proxy: Nginx
    folder: Path
    loaded: set[str] = field(default_factory=set)

    @property
    def storage(self) -> Storage:
        return Storage(options=self.store.options)

    def load(self, world: World) -> None:
        """Put a source's catalogue and files onto the servers."""
        self.api.load(world.collections, world.items)
        for place, content in world.objects.items():
            if place not in self.loaded:
                self.storage.write(f"s3://{place}", content)
                self.loaded.add(place)

    def sample(self, layer: str, /, **columns: list[object]) -> Path:
        """Write a sample layer and return its path."""
        geometry = columns.pop("geometry")
        path = self.folder / f"{layer}.fgb"
        geopandas.GeoDataFrame(columns, geometry=geometry, crs="EPSG:4326").to_file(path)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """Return all environment variables of a command."""
        kept = {
            key: os.environ[key]
            for key in ("PATH", "HOME", "LANG", "PYTHONPATH")
            if key in os.environ
        }
        return {
            **kept,
            **self.store.environment,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "STACCHIP_CATALOGUE": self.api.url,
            "STACCHIP_PC_SAS_URL": f"{self.proxy.url}/sas",
            "http_proxy": self.proxy.url,  # Azure's hosts are not on this machine
            "no_proxy": "127.0.0.1",
            **more,
        }

    def command(self, name: str, *options: str) -> list[str]:
        """Return the command line of a source's console script, or of `stacchip collect`."""
        call, words = f"from stacchip.cli.scripts import {name} as script; script()", options
        if name == "collect":
            call, words = "from stacchip.cli import main; main()", (name, *options)
        return [sys.executable, "-W", "ignore", "-c", call, *words]

    def run(
        self,
        name: str,
        *options: str,
        check: bool = True,
        cwd: Path | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(name, *options),
            env=self.environment(**environment),
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        if check:
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def content(self, root: str) -> dict[str, bytes]:
        """Return the bytes of every object below a root."""
        storage = self.storage
        return {
            entry.href.removeprefix(root): storage.read(entry.href)
            for entry in storage.list(f"{root}/")
        }


@contextmanager
def start_outside(folder: Path) -> Iterator[Outside]:
    """Run the three servers in a folder."""
    with (
        PgstacServer(folder) as api,
        SeaweedFS(folder / "weed", buckets=BUCKETS) as store,
        Nginx(folder, upstream=store.endpoint, requester_pays=PAYING) as proxy,
    ):
        yield Outside(api, store, proxy, folder)


def everywhere(bounds: tuple[float, float, float, float], count: int = 5) -> list[shapely.Geometry]:
    """Return the same small square for each row."""
    x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    return [shapely.box(x - 0.001, y - 0.001, x + 0.001, y + 0.001)] * count
