"""Interpreters for programs that cannot share stacchip's environment: made once, in `.venvs`.

The pins of the original are those with which it still imports. If the Python or the wheels of a
peer are not available, the peer is left out, and the table says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / ".venvs"


@dataclass(frozen=True)
class Environment:
    """A Python environment.

    Attributes:
        name: Its folder in `FOLDER`.
        requirements: The packages that pip installs.
        python: The version of its interpreter, `(major, minor)`; None for the running one.
    """

    name: str
    requirements: tuple[str, ...]
    python: tuple[int, int] | None = None


ORIGINAL = Environment(
    "original",
    (
        "stacchip==0.1.38",
        "pystac==1.10.1",
        "pystac-client<0.9",
        "pyarrow==16.1.0",
        "geoarrow-pyarrow==0.1.2",
        "geoarrow-c==0.1.2",
        "shapely==2.0.7",
        "rasterio==1.4.4",
        "numpy==1.26.4",
    ),
    (3, 11),
)
ASYNC_GEOTIFF = Environment("async-geotiff", ("async-geotiff==0.5.1", "obstore==0.12.1"))
RASTERET = Environment("rasteret", ("rasteret==0.4.1",), (3, 12))
DUCKDB = Environment("duckdb", ("duckdb==1.5.5", "pyarrow==26.0.1"))
TORCHGEO = Environment(
    "torchgeo",
    (
        "torchgeo==0.8.1",
        # torchvision loads only beside the torch that it was built for
        "torch==2.14.1",
        "torchvision==0.29.1",
        "scikit-learn==1.9.1",
        "pyarrow==26.0.1",
        "requests",  # torchgeo imports it, and does not ask for it
    ),
)
_TRAINING = (
    # what stacchip is measured with
    "torch==2.13.0",
    "numpy==2.4.6",
    "rasterio==1.4.4",  # cuts the chips that they keep
)
LITDATA = Environment("litdata", ("litdata==0.2.76", *_TRAINING))
WEBDATASET = Environment("webdataset", ("webdataset==1.0.2", *_TRAINING))
ZARR = Environment("zarr", ("zarr==3.1.6", "zarrs==0.2.3", *_TRAINING))
ENVIRONMENTS = {
    each.name: each
    for each in (
        ORIGINAL,
        ASYNC_GEOTIFF,
        RASTERET,
        DUCKDB,
        TORCHGEO,
        LITDATA,
        WEBDATASET,
        ZARR,
    )
}


class EnvironmentUnavailable(RuntimeError):
    """An environment cannot be made here; the message says why."""


def ensure_environment(environment: Environment) -> Path:
    """Return the interpreter of an environment; make the environment first if missing.

    Raises:
        EnvironmentUnavailable: No such Python is installed, or pip could not install the packages.
    """
    folder = FOLDER / environment.name
    python = folder / "bin" / "python"
    marker = folder / "requirements.json"
    wanted = json.dumps(environment.requirements)
    if marker.exists() and marker.read_text() == wanted:
        return python
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    shutil.rmtree(folder, ignore_errors=True)
    base = _find_python(environment)
    print(f"  environment: {environment.name}", file=sys.stderr, flush=True)
    _run([base, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", *environment.requirements])
    marker.write_text(wanted)
    return python


def _find_python(environment: Environment) -> str:
    """Find an interpreter of the wanted version: ours, one on the PATH, or one of pyenv's."""
    if environment.python in (None, sys.version_info[:2]):
        return sys.executable
    version = "{}.{}".format(*environment.python or ())
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in candidates:
        # pyenv has shims for versions that are not enabled: only a run shows whether it works
        try:
            _run([candidate, "-c", "import venv"])
        except EnvironmentUnavailable:
            continue
        return candidate
    raise EnvironmentUnavailable(f"{environment.name} needs Python {version}: none is installed")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise EnvironmentUnavailable(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentUnavailable(f"{' '.join(command[:4])} ... failed: {last}") from error


if __name__ == "__main__":
    for each in ENVIRONMENTS.values():
        try:
            print(f"{each.name}: {ensure_environment(each)}")
        except EnvironmentUnavailable as reason:
            print(f"{each.name}: not available: {reason}")
