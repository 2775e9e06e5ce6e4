"""A user's own project runs its tests with warnings as errors: none may come from our lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scenes import make_scene

# What a user of every part of the library would test. It imports at the top what a project imports.
PROJECT = """
import pytest

from stacchip import (
    Chipper, ChipStream, Indexer, index_items, load_items, merge_indexes, read_index, write_index,
)
from stacchip.cli import run
from stacchip.stream import measure_mixing


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexes")
    assert index_items(load_items(["one/item.json"]), folder / "one").chips == 4
    (item,) = load_items(["two/item.json"])
    write_index(Indexer(item).create_index(), folder / "two")
    merge_indexes([folder / "one", folder / "two"], folder / "all")
    return folder / "all"


def test_a_chip_becomes_an_array_of_xarray(index):
    pytest.importorskip("xarray")
    chipper = Chipper(index, assets=["red", "swir", "coastal"])
    array = chipper.cut(chipid="one-1-0").to_xarray()
    assert array.sizes == {"band": 3, "y": 256, "x": 256}
    assert {"time", "spatial_ref"} <= set(array.coords)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
def test_every_resampling(index, resampling):
    chipper = Chipper(index, assets=["red", "coastal"], resampling=resampling)
    assert chipper.cut(chipid="two-0-0").array.shape == (2, 256, 256)


def test_a_stream_delivers_every_chip(index):
    stream = ChipStream(index, assets=["red", "swir"], order="shuffle", seed=1)
    assert stream.explain().chips == 8
    assert sum(len(batch) for batch in stream.batches(3)) == 8
    assert measure_mixing(stream, batch_size=2)


def test_a_loader_delivers_every_chip(index):
    pytest.importorskip("torch")
    from torch.utils.data import DataLoader
    from stacchip.datasets import ChipDataset, ChipStreamDataset

    stream = ChipStream(index, assets=["red"])
    batches = list(DataLoader(ChipStreamDataset(stream, batch_size=2), batch_size=None))
    assert [batch["pixels"].shape for batch in batches] == [(2, 1, 256, 256)] * 4
    assert ChipDataset(Chipper(index, assets=["red"]))[3]["pixels"].shape == (1, 256, 256)


def test_chips_become_cubes_and_statistics(index, tmp_path):
    cubes, where = f"{tmp_path}/cubes", ["--index", f"{index}", "--platform", "unknown"]
    chips = ["--bands", "red,swir", "--max-nodata", "1"]
    assert run(["prechip", *where, "--target", cubes, *chips]) == 0
    assert run(["stats", *where, "-o", f"{tmp_path}/chips.yml", *chips]) == 0
    assert run(["stats", "--cubes", cubes, "-o", f"{tmp_path}/cubes.yml"]) == 0


def test_the_command_line(index, tmp_path, capsys):
    assert run(["info", f"{index}"]) == 0
    assert run(["preview", f"{index}", "-o", f"{tmp_path}/sheet.png"]) == 0
    for name in ("chip.tif", "chip.png", "chip.npy"):
        assert run(["chip", f"{index}", "one-0-0", "-o", f"{tmp_path / name}"]) == 0
"""


@pytest.mark.slow
def test_no_warning_comes_from_our_lines(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_scene(tmp_path / name, name)
    (tmp_path / "test_mine.py").write_text(PROJECT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-x", "-q", "test_mine.py"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
