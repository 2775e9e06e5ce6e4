"""A full disk: each command names the path, and leaves neither an empty nor a half file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from failures import small_files
from stacchip.cli import run

LIMIT = 2_000  # bytes: of the files that commands write, some are smaller


COMMANDS = {
    "merge": ("merge {index} -o {out}/index", "{out}/index"),
    "array": ("chip {index} {chip} -o {out}/chip.npy", "{out}/chip.npy"),
    "picture": ("chip {index} {chip} -o {out}/chip.png", "{out}/chip.png"),
    "geotiff": ("chip {index} {chip} -o {out}/chip.tif", "{out}/chip.tif"),
    "preview": ("preview {index} -n 1 -o {out}/sheet.png", "{out}/sheet.png"),
    "npz": ("prechip --index {index} --platform naip --target {out}/cubes", "cube_0.npz"),
    "tar": (
        "prechip --index {index} --platform naip --format webdataset --target {out}/cubes",
        "cube_0.tar",
    ),
    "zarr": (
        "prechip --index {index} --platform naip --format zarr --target {out}/cubes",
        "cubes.zarr",
    ),
    "demo": ("demo --small {out}/demo", "{out}/demo"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_with_the_path(name, demo, tmp_path, capfd):
    words, place = COMMANDS[name]
    index = demo / "index"
    chips = pq.read_table(index / "chips-naip.parquet", columns=["chipid"])
    (item,) = (demo / "archive" / "naip").glob("*/*.json")
    facts = {"index": index, "item": item, "out": tmp_path, "chip": chips["chipid"][0].as_py()}
    with small_files(LIMIT):
        assert run([word.format(**facts) for word in words.split()]) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("stacchip: ")
    assert place.format(**facts) in line
    assert os.strerror(errno.EFBIG) in line
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if path.stat().st_size in {0, LIMIT}] == []
    assert [path for path in left if path.name.endswith((".part", ".npz", ".tar", ".png"))] == []


def test_an_array_is_not_there_without_the_one_that_says_where_it_is_valid(demo, tmp_path, capsys):
    index = demo / "index"
    chips = pq.read_table(index / "chips-naip.parquet", columns=["chipid"])
    (tmp_path / "chip.valid.npy").mkdir()
    chip = chips["chipid"][0].as_py()
    assert run(["chip", str(index), chip, "-o", str(tmp_path / "chip.npy")]) == 1
    assert "chip.valid.npy cannot be written: it is a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["chip.valid.npy"]


def test_an_index_whose_working_files_do_not_fit(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (item,) = (demo / "archive" / "naip").glob("*/*.json")
    with small_files(LIMIT):
        assert run(["index", str(item), "-o", str(tmp_path / "index"), "--skip-errors"]) == 1
    assert f"{os.strerror(errno.EFBIG)}: {tmp_path}" in capsys.readouterr().err
    assert not (tmp_path / "index").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_cannot_be_written_is_one_line():
    program = "import sys; from stacchip.cli import run; sys.exit(run(['--version']))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"stacchip: {os.strerror(errno.ENOSPC)}: standard output.")
