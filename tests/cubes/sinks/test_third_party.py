"""A form of cubes from another package is written, found and read like our own.

A test that registers a form runs in a process of its own, because forms stay registered.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import stacchip
from cubes.cube_world import PLATFORM, World, make_world
from stacchip.cubes.sinks import CubeForm, NpzReader, NpzSink, get_form, list_forms, register_form
from stacchip.cubes.sinks.cube import ARRAYS
from stacchip.errors import UsageError
from stacchip.storage import Storage

FORM = '''
"""Cubes as a bare `.npy` file of pixels."""

import io
import re

import numpy as np

from stacchip.cubes.sinks import CubeForm


class BareSink:
    def __init__(self, folder, storage, cubes):
        self.folder, self.storage, self.cubes = folder, storage, cubes

    def cube_href(self, number):
        return self.folder.cube_href(number, ".npy")

    def find_complete(self, numbers):
        return {each for each in numbers if self.storage.exists(self.cube_href(each))}

    def write(self, cube):
        assert len(cube.pixels) <= self.cubes.cube_size
        assert cube.pixels.shape[1] == len(self.cubes.bands)
        file = io.BytesIO()
        np.save(file, cube.pixels)
        self.storage.write(self.cube_href(cube.number), file.getvalue())
        return len(file.getvalue())


class BareReader:
    pattern = re.compile(r"cube_(\\d+)\\.npy")

    def __init__(self, folder, storage):
        self.folder, self.storage = folder, storage

    def cube_href(self, number):
        return self.folder.cube_href(number, ".npy")

    def read(self, number, names=("pixels",)):
        return {"pixels": np.load(io.BytesIO(self.storage.read(self.cube_href(number))))}


BARE = CubeForm("bare", "bare arrays", BareSink, BareReader)
'''

PRECHIP = "from stacchip.cli.scripts import prechip; prechip()"
STATS = "from stacchip.cli.scripts import stats; stats()"
STATS_TWICE = """
import sys
from stacchip.cli import run

for options in ([], ["--format", "bare"]):
    assert run(["stats", *sys.argv[1:], *options]) == 0
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = f"{folder}:{Path(stacchip.__file__).parents[1]}"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={"PYTHONPATH": paths, "PATH": ""},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def install(folder: Path, value: str) -> None:
    """Leave what `pip install` leaves of a package that has an entry point."""
    (folder / "bare_cubes.py").write_text(FORM)
    info = folder / "bare-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stacchip.sinks]\nbare = {value}\n")


def test_the_commands_write_and_measure_the_form_of_an_installed_package(local, tmp_path):
    install(tmp_path, "bare_cubes:BARE")
    target = str(tmp_path / "cubes")
    made = run(
        tmp_path, PRECHIP, "--index", local.index, "--platform", PLATFORM, "--target", target,
        "--bands", "blue,red", "--format", "bare",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    names = {path.name for path in Path(target).rglob("cube*")}
    assert names == {"cube_0.npy", "cube_1.npy", "cube_2.npy"}
    # found, and named
    done = run(tmp_path, STATS_TWICE, "--cubes", target, "--percentiles", "50")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("chips: 300") == 2


def test_a_form_comes_in_by_one_call(local, tmp_path):
    (tmp_path / "bare_cubes.py").write_text(FORM)
    script = textwrap.dedent("""
        import sys
        from bare_cubes import BARE
        from stacchip.cubes.imagery import Imagery
        from stacchip.cubes.prechip import Prechip
        from stacchip.cubes.sinks import find_cubes, register_form
        from stacchip.storage import Storage

        register_form(BARE)
        index, platform, target = sys.argv[1:]
        run = Prechip(Imagery(index, platform, bands=("blue",)), target, form="bare")
        run.run(0)
        cubes = find_cubes(run.folder, Storage())
        print(cubes.numbers, cubes.reader.read(2)["pixels"].shape)
    """)
    done = run(tmp_path, script, local.index, PLATFORM, str(tmp_path / "cubes"))
    assert done.stdout == "(0, 1, 2) (44, 1, 32, 32)\n", done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("bare_cubes:SPELLED_WRONG", "cannot be loaded"),
        ("bare_cubes:BareSink", "not a CubeForm"),
    ],
)
def test_a_broken_entry_point_is_one_line_that_names_it(local, tmp_path, value, said):
    install(tmp_path, value)
    done = run(tmp_path, STATS, "--cubes", str(tmp_path), "--platform", "naip")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"'bare' = '{value}' of group 'stacchip.sinks'" in done.stderr
    assert said in done.stderr


def test_an_entry_point_may_not_take_the_name_of_another_form(local, tmp_path):
    install(tmp_path, "bare_cubes:BARE")
    module = tmp_path / "bare_cubes.py"
    module.write_text(FORM.replace('"bare"', '"zarr"'))
    done = run(tmp_path, STATS, "--cubes", str(tmp_path), "--platform", "naip")
    assert done.returncode == 2
    assert "named 'zarr' is there already" in done.stderr


def test_the_name_of_a_form_is_taken_once():
    other = CubeForm("npz", "something else", lambda folder, storage, _: NpzSink(folder, storage),
                     NpzReader)  # fmt: skip
    with pytest.raises(UsageError, match="'npz' is there already"):
        register_form(other)
    with pytest.raises(UsageError, match="not a CubeForm"):
        register_form("npz")
    assert get_form("npz") is not other


@pytest.mark.parametrize("form", list_forms(), ids=lambda form: form.name)
def test_every_form_reads_what_it_writes(form, folder):
    from stacchip.cubes.sinks import CubeSet

    from .conftest import BANDS, CHIP_SIZE, CUBE_SIZE, make_cube

    sink = form.open_sink(folder, Storage(), CubeSet(CUBE_SIZE, 11, BANDS, CHIP_SIZE))
    cube = make_cube(2, count=3)
    assert sink.find_complete([2]) == set()
    assert sink.write(cube) > cube.pixels.nbytes // 8
    assert sink.find_complete([2]) == {2}
    reader = form.reader(folder, Storage())
    assert reader.cube_href(2) == sink.cube_href(2)
    found = reader.pattern.fullmatch(reader.cube_href(2).removeprefix(f"{folder.href}/"))
    assert found[1] == "2"
    for name, array in cube.arrays().items():
        np.testing.assert_array_equal(reader.read(2)[name], array)
    assert set(ARRAYS) == set(cube.arrays())
