"""What Linux has and macOS lacks is not needed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from servers.range_server import RangeServer

if TYPE_CHECKING:
    from pathlib import Path

AS_ON_MACOS = """
import os, socket, sys
socket.TCP_KEEPALIVE = socket.TCP_KEEPIDLE
for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
    delattr(socket, name)
for name in ("posix_fadvise", "POSIX_FADV_WILLNEED", "sched_getaffinity"):
    delattr(os, name)
if hasattr(os, "process_cpu_count"):  # Python 3.13 counts all processors where there is no affinity
    os.process_cpu_count = os.cpu_count
"""
IMPORT_ALL = """
import importlib.util, pkgutil
import stacchip
has_torch = importlib.util.find_spec("torch") is not None
for module in pkgutil.walk_packages(stacchip.__path__, "stacchip."):
    if module.name.endswith("__main__") or (".datasets." in module.name and not has_torch):
        continue
    importlib.import_module(module.name)
"""
READ = """
from stacchip.storage import Storage
storage = Storage()
for href in sys.argv[1:]:
    assert storage.read_ranges(href, [(0, 2), (100_000, 2), (4, 2)]) == [b"01", b"ab", b"45"]
    assert storage.read(href)[:4] == b"0123"
storage.write(sys.argv[1] + ".copy", b"0123")
from stacchip.runtime.pools import core_count
assert core_count() >= 1
"""


def test_every_module_imports_and_reads_without_what_macos_lacks(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"012345".ljust(100_000) + b"ab")
    script = AS_ON_MACOS + IMPORT_ALL + READ
    with RangeServer(tmp_path) as server:
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "a.bin"), server.url("a.bin")],
            check=True,
            timeout=120,
        )
    assert (tmp_path / "a.bin.copy").read_bytes() == b"0123"
