"""Servers that the storage tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from servers.range_server import RangeServer
from servers.seaweedfs import SeaweedFS
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 4096  # 1 MiB that shows its own offsets
PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the keys of the person who runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real S3 server."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    """A web server whose root holds `a.bin`, 1 MiB."""
    root = tmp_path / "www"
    root.mkdir()
    (root / "a.bin").write_bytes(CONTENT)
    with RangeServer(root) as running:
        yield running


@pytest.fixture
def content() -> bytes:
    """The content of `a.bin`."""
    return CONTENT


@pytest.fixture
def storage() -> Storage:
    """Storage that gives up within seconds."""
    return Storage(options=StorageOptions(timeout_s=0.5, deadline_s=20.0))
