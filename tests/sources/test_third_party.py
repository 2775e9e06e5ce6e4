"""The documented example of a source by a third party, run as its users would run it.

Each test runs in a process of its own: what is registered stays so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''
"""PlanetScope: its usable data mask (UDM2) begins with "clear", 1 where pixels are usable."""

from stacchip.sources import Source


def classify_udm2(pixels, classes, nodata):
    return {"cloud": pixels == classes["cloud"][0]}


PLANETSCOPE = Source(
    name="planetscope-sr",
    title="PlanetScope surface reflectance",
    collections=("PSScene",),
    qa_assets=("ortho_udm2",),
    classes={"cloud": (0,)},
    classify=classify_udm2,
    bands=("ortho_analytic_4b_sr",),
)
'''

USE = """
import pickle
import numpy as np
import pystac
from datetime import datetime
from stacchip.sources import find_source

item = pystac.Item("20240101_x", None, None, datetime(2024, 1, 1), {}, collection="PSScene")
item.add_asset("ortho_udm2", pystac.Asset("udm2.tif"))
source = find_source(item)
shares = source.classify(np.array([[0, 1]], "uint8"), source.classes, None)
assert pickle.loads(pickle.dumps(source)) == source
print(source.name, source.qa_asset(item), shares["cloud"].tolist())
"""


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PYTHONPATH": f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def install(folder: Path, value: str, name: str = "planetscope") -> None:
    """What `pip install` leaves of a package that has an entry point."""
    (folder / "planet_source.py").write_text(SOURCE)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stacchip.sources]\n{name} = {value}\n")


def test_a_source_comes_in_by_entry_point(tmp_path: Path) -> None:
    install(tmp_path, "planet_source:PLANETSCOPE")

    done = run(tmp_path, USE)

    assert done.stdout == "planetscope-sr ortho_udm2 [[True, False]]\n", done.stderr


def test_a_source_comes_in_by_one_call(tmp_path: Path) -> None:
    (tmp_path / "planet_source.py").write_text(SOURCE)
    call = textwrap.dedent("""
        from planet_source import PLANETSCOPE
        from stacchip.sources import register_source
        register_source(PLANETSCOPE)
    """)

    done = run(tmp_path, call + USE)

    assert done.stdout == "planetscope-sr ortho_udm2 [[True, False]]\n", done.stderr


def test_a_source_that_is_not_registered_is_not_known(tmp_path: Path) -> None:
    done = run(tmp_path, USE)

    assert "'NoneType' object has no attribute 'classify'" in done.stderr


def test_a_broken_entry_point_is_named(tmp_path: Path) -> None:
    install(tmp_path, "planet_source:SPELLED_WRONG")

    done = run(tmp_path, USE)

    assert "SourceError: Entry point 'planetscope' = 'planet_source:SPELLED_WRONG'" in done.stderr


def test_an_entry_point_that_gives_no_source_is_named(tmp_path: Path) -> None:
    install(tmp_path, "planet_source:classify_udm2")

    done = run(tmp_path, USE)

    assert "SourceError: Entry point 'planetscope'" in done.stderr
    assert "Name a stacchip.sources.Source" in done.stderr


def test_an_entry_point_may_not_take_the_name_of_another_source(tmp_path: Path) -> None:
    install(tmp_path, "planet_source:PLANETSCOPE")
    module = tmp_path / "planet_source.py"
    module.write_text(SOURCE.replace('"planetscope-sr"', '"naip"'))

    done = run(tmp_path, USE)

    assert "SourceError: A source named 'naip' is there already" in done.stderr
