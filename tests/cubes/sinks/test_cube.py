from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from stacchip.cubes.sinks import CubeFolder
from stacchip.cubes.sinks.cube import ARRAYS, not_a_cube

from .conftest import make_cube


@pytest.mark.parametrize(
    ("root", "href"),
    [
        ("s3://cubes", "s3://cubes/mode_v1_chipper_v2/naip"),
        ("s3://cubes/run-1", "s3://cubes/run-1/mode_v1_chipper_v2/naip"),
        ("./cubes", "./cubes/mode_v1_chipper_v2/naip"),
    ],
)
def test_a_platform_has_its_folder_below_any_root(root, href):
    folder = CubeFolder(root, "naip")
    assert folder.href == href
    assert folder.cube_href(12, ".tar") == f"{href}/cube_12.tar"
    assert folder.plan_href == f"{href}/_cubes.json"


def test_the_arrays_of_a_cube_are_its_pixels_places_and_times():
    cube = make_cube(3)
    arrays = cube.arrays()
    assert tuple(arrays) == ARRAYS
    assert arrays["pixels"] is cube.pixels
    for name in ARRAYS[1:]:
        assert (arrays[name].shape, arrays[name].dtype) == ((4, 2), np.float32)
        # sine and cosine
        np.testing.assert_allclose((arrays[name] ** 2).sum(axis=1), 1, atol=1e-6)
    latitude = np.deg2rad(3.5)
    np.testing.assert_allclose(arrays["lat_norm"][0], [np.sin(latitude), np.cos(latitude)], 1e-6)


def test_an_error_of_a_cube_shows_no_signature():
    error = not_a_cube("https://store.example/cube_0.npz?sig=secret")
    assert "secret" not in str(error) + str(error.href)
    assert "cube_0.npz" in str(error)


@pytest.mark.parametrize("package", ["stacchip.cubes.sinks", "stacchip.statistics"])
def test_who_reads_cubes_or_merges_statistics_loads_no_stream(package):
    code = (
        f"import sys, {package}; "
        "print([name for name in ('stacchip.stream', 'zarr', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
