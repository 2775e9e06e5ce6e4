"""What a machine, an account and a terminal say of themselves is hidden from the tests.

A test sets what it is about. Whoever runs the tests may have keys, a proxy, a narrow terminal, or a
long name for the folder of temporary files.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

PREFIXES = (
    *("AWS_", "AZURE_", "GOOGLE_", "STACCHIP_"),  # stores, and our own settings
    *("GDAL_", "CPL_", "VSI_", "OGR_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("COLUMNS", "LINES", "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "PY_COLORS"),
    *("TTY_", "GITHUB_ACTIONS"),  # where the latter is set, typer colours what it says
    "PYTHONWARNINGS",
)
OURS = ("STACCHIP_TEST_DATA", "STACCHIP_PGSTAC_VENV")
LONGEST_FOLDER = 60  # bytes; the path of a socket may have 107, and Python adds up to 40


def shield() -> None:
    """Hide them from this process and from those that it starts."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES) and name not in OURS:
            del os.environ[name]
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["STACCHIP_CACHE_DIR"] = _folder_for_caches()
    _lead_to_tested_code()
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        _shorten(folder)


def _folder_for_caches() -> str:
    """Return a folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="stacchip-caches-")

    def remove(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:  # and not a child
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _lead_to_tested_code() -> None:
    """Let processes that a test starts import the stacchip that the test imports.

    The interpreter may have another one installed, such as another checkout.
    """
    spec = find_spec("stacchip")
    assert spec is not None
    assert spec.origin is not None
    code = str(Path(spec.origin).absolute().parents[1])
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([code, *paths]))


def _shorten(folder: str) -> None:
    """Give the folder of temporary files a short name: fork servers have their sockets there.

    Python itself fails before 3.13.4. The folders of tests keep their long paths.
    """
    short = Path(tempfile.mkdtemp(prefix="stacchip-", dir="/tmp"))
    link = short / "tmp"
    link.symlink_to(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(link)

    def remove(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:  # and not a child
            link.unlink()
            short.rmdir()

    atexit.register(remove)
