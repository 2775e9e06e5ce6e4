from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stacchip.cubes.sinks import NpzSink
from stacchip.cubes.sinks.npy import npz_bytes
from stacchip.errors import UsageError
from stacchip.storage import Storage

from .conftest import make_cube


@pytest.mark.parametrize("compression", ["deflate", "none"])
def test_numpy_reads_what_was_written(folder, compression):
    cube = make_cube(3)
    size = NpzSink(folder, Storage(), compression).write(cube)
    path = Path(folder.cube_href(3, ".npz"))
    assert path.name == "cube_3.npz"
    assert path.parent.parent.name == "mode_v1_chipper_v2"
    assert path.stat().st_size == size
    with np.load(path) as read:
        assert read.files == ["pixels", "lon_norm", "lat_norm", "week_norm", "hour_norm"]
        np.testing.assert_array_equal(read["pixels"], cube.pixels)
        assert {read[name].dtype.name for name in read.files} == {"float32"}
        assert {read[name].shape for name in read.files[1:]} == {(4, 2)}
        lon = np.deg2rad(np.arange(4) + 0.5)
        np.testing.assert_allclose(
            read["lon_norm"], np.stack([np.sin(lon), np.cos(lon)], 1), atol=1e-6
        )
        hour = (9 + np.arange(4)) * np.pi / 12
        np.testing.assert_allclose(
            read["hour_norm"], np.stack([np.sin(hour), np.cos(hour)], 1), atol=1e-6
        )


def test_other_readers_of_zip_files_agree(folder):
    NpzSink(folder, Storage()).write(make_cube(0))
    with zipfile.ZipFile(folder.cube_href(0, ".npz")) as archive:
        assert archive.testzip() is None
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_arrays_in_any_layout_are_written_as_they_are():
    arrays = {
        "turned": np.arange(12).reshape(3, 4).T,
        "part": np.arange(20, dtype=np.float32)[::2],
        "nothing": np.zeros((0, 2)),
        "large": np.random.default_rng(0).random(400_000),
    }
    with np.load(io.BytesIO(npz_bytes(arrays))) as read:
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)


def test_the_same_cube_gives_the_same_bytes_in_every_process(folder):
    code = (
        "import sys, hashlib; from cubes.sinks.conftest import make_cube;"
        "from stacchip.cubes.sinks.npy import npz_bytes;"
        "print(hashlib.sha256(npz_bytes(make_cube(1).arrays())).hexdigest())"
    )
    tests = Path(__file__).parents[2]
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=tests, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(seen) == 1


def test_a_cube_that_is_cut_off_is_not_complete(folder):
    sink = NpzSink(folder, Storage())
    assert sink.find_complete(range(3)) == set()
    for number in range(3):
        sink.write(make_cube(number))
    path = Path(folder.cube_href(1, ".npz"))
    path.write_bytes(path.read_bytes()[:-30])
    Path(folder.cube_href(2, ".npz")).write_bytes(npz_bytes({"pixels": np.zeros(3)}))
    assert sink.find_complete(range(5)) == {0}


def test_a_missing_compressor_is_an_error_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    with pytest.raises(UsageError, match="pip install"):
        npz_bytes({"pixels": np.zeros(3)})
