"""The surroundings of a processor: a catalogue and a store on loopback, each behind latency.

pgstac holds eight items, one per quarter of two years; SeaweedFS holds their files.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import geopandas
import obstore
import pyarrow.parquet as pq
import shapely

from benchmarks.contender import REPOSITORY, ContenderError
from benchmarks.latency_relay import Relay, relay
from benchmarks.measuring import LATENCY_S, Lab
from benchmarks.scene import COLLECTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obstore.store import S3Store

ROW = 4
"""The original seeds its draw with the row's number; with this one it draws adjacent years."""

YEARS = (2019, 2020)
MONTHS = (2, 5, 8, 11)
TILE = "31UFS"
PLACE = "sentinel-s2-l2a-cogs/31/U/FS"


class MissingServer(RuntimeError):
    """A server is not installed here; the message says which one."""


@dataclass
class Outside:
    """The servers, their content, and the arguments of a contender.

    Attributes:
        store: SeaweedFS itself, for work that is not measured.
        store_relay: The relay of the store, for the contenders.
        catalogue: The relay of the STAC API.
        sample: A layer of tiles.
        item_ids: The items that a run takes.
        sizes: Sizes of the files in `sentinel-cogs`, by key.
        digest: Digest of the content of these files, in the order of `sizes`.
        row: Number of the row to collect.
        years: Years of the items.
        chips: Number of rows of each item's index, as in the first archive.
    """

    store: Any
    store_relay: Relay
    catalogue: Relay
    sample: Path
    item_ids: tuple[str, ...]
    sizes: dict[str, int]
    digest: str
    row: int = ROW
    years: tuple[int, int] = YEARS
    chips: dict[str, int] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a contender, with the store behind its relay."""
        address = self.store_relay.url
        return {
            **self.store.environment,
            "AWS_ENDPOINT_URL": address,
            "AWS_S3_ENDPOINT": address.removeprefix("http://"),
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """Make a bucket and remove it with its content afterwards, which frees the disk at once."""
        name = f"archive-{next(self._numbers)}"
        client = _client(self.store)
        client.create_bucket(Bucket=name)
        try:
            yield name
        finally:
            client.delete_bucket(Bucket=name)
            # pending writes must not slow down the next contender
            os.sync()

    def store_cpu_s(self) -> float:
        """Return the CPU seconds of the store so far."""
        words = Path(f"/proc/{self.store.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def delete_indexes(self, bucket: str) -> None:
        """Delete all indexes of an archive."""
        store = self.store.bucket(bucket)
        obstore.delete(store, [entry["path"] for entry in _list(store, "index/")])

    def require_files(self, bucket: str) -> None:
        """Check that every item's files are there with the source's sizes; compare one item's.

        Raises:
            ContenderError: A file is missing or differs.
        """
        store = self.store.bucket(bucket)
        found = {entry["path"]: entry["size"] for entry in _list(store, f"{COLLECTION}/")}
        found = {path: size for path, size in found.items() if path.endswith(".tif")}
        wanted = {
            f"{COLLECTION}/{item_id}/{Path(key).name}": size
            for item_id in self.item_ids
            for key, size in self.sizes.items()
        }
        if found != wanted:
            raise ContenderError(f"{bucket}: {len(found)} files, not {len(wanted)} of the sources")
        last = [path for path in wanted if f"/{self.item_ids[-1]}/" in path]
        if _digest(store, last) != self.digest:
            raise ContenderError(f"{bucket}: pixels differ from the source's")

    def require_indexes(self, bucket: str) -> None:
        """Check that all items are there, with as many index rows as in the first archive.

        Raises:
            ContenderError: An index has another number of rows.
        """
        store = self.store.bucket(bucket)
        for item_id in self.item_ids:
            obstore.head(store, f"{COLLECTION}/{item_id}/stac_item.json")
            index = f"index/{COLLECTION}/{item_id}/index_{item_id}.parquet"
            rows = pq.read_metadata(io.BytesIO(obstore.get(store, index).bytes())).num_rows
            if self.chips.setdefault(item_id, rows) != rows:
                raise ContenderError(f"{bucket}: {rows} chips of {item_id}: {self.chips}")


@contextmanager
def start_outside(lab: Lab) -> Iterator[Outside]:
    """Start the servers with eight items on them.

    Raises:
        MissingServer: A server is not installed.
    """
    import pytest

    # the servers of the tests are beside the package
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from servers.pgstac import PgstacServer  # type: ignore[import-not-found] # on that path
    from servers.seaweedfs import SeaweedFS  # type: ignore[import-not-found]

    try:
        catalogue = PgstacServer(lab.scratch)
    except pytest.skip.Exception as reason:  # as a test would skip
        raise MissingServer(str(reason)) from None
    store = SeaweedFS(lab.scratch / "processor", buckets=("sentinel-cogs",))
    with (
        catalogue,
        store,
        relay(store.endpoint, LATENCY_S) as store_relay,
        relay(catalogue.url, LATENCY_S) as catalogue_relay,
    ):
        items = _make_items(lab)
        catalogue.load([_collection()], items)
        sizes, digest = _upload(lab, store.bucket("sentinel-cogs"))
        os.sync()
        yield Outside(
            store,
            store_relay,
            catalogue_relay,
            _write_sample(lab, items[0]),
            tuple(item["id"] for item in items),
            sizes,
            digest,
        )


def _make_items(lab: Lab) -> list[dict[str, Any]]:
    """Make one item per quarter; all have the files of the one scene."""
    items = []
    for year in YEARS:
        for month in MONTHS:
            item = lab.scene.item()
            item |= {"id": f"S2A_{TILE}_{year}{month:02d}15_0_L2A", "links": []}
            item["properties"] |= {
                "datetime": f"{year}-{month:02d}-15T10:56:29.024000Z",
                "eo:cloud_cover": 0.5,
                "s2:nodata_pixel_percentage": 3.4,
            }
            for asset in item["assets"].values():
                name = Path(asset["href"]).name
                asset["href"] = f"https://sentinel-cogs.s3.us-west-2.amazonaws.com/{PLACE}/{name}"
            items.append(item)
    return items


def _collection() -> dict[str, Any]:
    return {
        "type": "Collection",
        "id": COLLECTION,
        "stac_version": "1.0.0",
        "description": "Generated for benchmarks.",
        "license": "proprietary",
        "links": [],
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
        },
    }


def _upload(lab: Lab, store: S3Store) -> tuple[dict[str, int], str]:
    """Upload the scene's files to `sentinel-cogs`; return sizes by key, and a digest of all."""
    sizes = {}
    for asset in lab.scene.item()["assets"].values():
        path = Path(asset["href"])
        key = f"{PLACE}/{path.name}"
        obstore.put(store, key, path)
        sizes[key] = path.stat().st_size
    return sizes, _digest(store, list(sizes))


def _write_sample(lab: Lab, item: Mapping[str, Any]) -> Path:
    """Write a sample layer of MGRS tiles, of which only the last row is collected."""
    path = lab.scratch / "mgrs.fgb"
    middle = shapely.geometry.shape(item["geometry"]).centroid.buffer(0.01)
    frame = {"name": [TILE] * (ROW + 1)}
    geopandas.GeoDataFrame(frame, geometry=[middle] * (ROW + 1), crs="EPSG:4326").to_file(path)
    return path


def _list(store: S3Store, prefix: str) -> list[Any]:
    return [entry for page in obstore.list(store, prefix) for entry in page]


def _digest(store: S3Store, keys: Sequence[str]) -> str:
    """Return one digest of the content of several objects."""
    digest = hashlib.sha256()
    for key in keys:
        for part in obstore.get(store, key).stream(min_chunk_size=8 << 20):
            digest.update(part)
    return digest.hexdigest()


def _client(store: Any) -> Any:
    """Make a client of the store itself, for what obstore cannot do."""
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=store.options.access_key_id,
        aws_secret_access_key=store.options.secret_access_key,
    )
