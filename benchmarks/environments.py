"""Interpreters for what cannot share stacchip's environment: made once, in `benchmarks/.venvs`.

The original's pins are those with which it still imports. A peer whose Python or wheels are not to
be had is left out, and the table says so.
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
    """What an environment holds.

    Attributes:
        name: Its folder in `FOLDER`.
        requirements: What pip is asked for.
        python: The version of the interpreter, `(major, minor)`; None takes the one that runs.
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
ENVIRONMENTS = {each.name: each for each in (ORIGINAL, ASYNC_GEOTIFF, RASTERET)}


class EnvironmentUnavailable(RuntimeError):
    """An environment cannot be made here; the message says why."""


def ensure_environment(environment: Environment) -> Path:
    """The interpreter of an environment, made first where it is not there yet.

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
    """An interpreter of the version asked for: ours, one on the PATH, or one of pyenv's."""
    if environment.python in (None, sys.version_info[:2]):
        return sys.executable
    version = "{}.{}".format(*environment.python or ())
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in candidates:
        # a shim of pyenv exists for versions that are not switched on: only running it tells
        try:
            _run([candidate, "-c", "import venv"])
        except EnvironmentUnavailable:
            continue
        return candidate
    raise EnvironmentUnavailable(f"{environment.name} needs Python {version}: none installed here")


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
