from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from stacchip.cubes.sinks import ZarrSink
from stacchip.cubes.sinks.cube import ARRAYS
from stacchip.storage import Storage

from .conftest import BANDS, CHIP_SIZE, CUBE_SIZE, make_cube


def make_sink(folder, storage: Storage | None = None) -> ZarrSink:
    return ZarrSink(
        folder,
        storage or Storage(),
        cube_size=CUBE_SIZE,
        chips=11,
        bands=BANDS,
        chip_size=CHIP_SIZE,
    )


def files(folder) -> dict[str, bytes]:
    root = Path(folder.href) / "cubes.zarr"
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_zarr_reads_what_jobs_have_written_in_any_order(folder):
    cubes = {2: make_cube(2, count=3), 0: make_cube(0), 1: make_cube(1)}
    for cube in cubes.values():
        make_sink(folder).write(cube)  # a sink each, as jobs have
    group = zarr.open_group(Path(folder.href) / "cubes.zarr", mode="r")
    assert group.attrs["bands"] == list(BANDS)
    for name in ARRAYS:
        expected = np.concatenate([cubes[number].arrays()[name] for number in range(3)])
        np.testing.assert_array_equal(group[name][:], expected)
    assert group["pixels"].shards == (CUBE_SIZE, len(BANDS), CHIP_SIZE, CHIP_SIZE)
    assert group["pixels"].chunks == (1, len(BANDS), CHIP_SIZE, CHIP_SIZE)


def test_a_cube_is_one_object_of_pixels_and_the_last_that_is_written(folder):
    written: list[str] = []

    class Noting(Storage):
        def write(self, href, data) -> None:
            written.append(str(href))
            super().write(href, data)

    sink = make_sink(folder, Noting())
    sink.write(make_cube(1))
    assert written[-1].endswith("pixels/c/1/0/0/0")
    assert sum("/c/" in href for href in written) == len(ARRAYS)
    assert sink.find_complete(range(3)) == {1}


def test_the_same_cubes_give_the_same_bytes_in_any_order(folder, tmp_path):
    for number in (0, 1):
        make_sink(folder).write(make_cube(number))
    first = files(folder)
    for number in (1, 0, 1):
        make_sink(folder).write(make_cube(number))
    assert files(folder) == first


def test_a_cube_of_zeros_is_complete_too(folder):
    cube = make_cube(0)
    cube.pixels[:] = 0
    make_sink(folder).write(cube)
    assert make_sink(folder).find_complete([0]) == {0}
