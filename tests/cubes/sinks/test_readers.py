"""Each form's reader reads what its sink wrote, and `find_cubes` finds the form."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stacchip.cubes.sinks import (
    CubeFolder,
    CubeSink,
    NpzSink,
    WebDatasetSink,
    ZarrSink,
    find_cubes,
    find_platforms,
)
from stacchip.cubes.sinks.cube import ARRAYS, decoding
from stacchip.errors import ChipNotFound, IndexFormatError, ObjectNotFound, UsageError
from stacchip.storage import Storage

from .conftest import BANDS, CHIP_SIZE, CUBE_SIZE, make_cube

SINKS: dict[str, Callable[[CubeFolder], CubeSink]] = {
    "npz": lambda folder: NpzSink(folder, Storage()),
    "npz-uncompressed": lambda folder: NpzSink(folder, Storage(), "none"),
    "webdataset": lambda folder: WebDatasetSink(folder, Storage(), CUBE_SIZE),
    "zarr": lambda folder: ZarrSink(
        folder, Storage(), cube_size=CUBE_SIZE, chips=47, bands=BANDS, chip_size=CHIP_SIZE
    ),
}
CUBES = {number: make_cube(number, 3 if number == 11 else CUBE_SIZE) for number in (11, 2, 0)}


@pytest.fixture(params=SINKS)
def form(request) -> str:
    return request.param


@pytest.fixture
def written(folder, form) -> CubeFolder:
    sink = SINKS[form](folder)
    for cube in CUBES.values():
        sink.write(cube)
    return folder


@pytest.mark.parametrize("is_named", [True, False])
def test_what_was_written_is_read(written, form, is_named):
    cubes = find_cubes(written, Storage(), form if is_named else None)
    assert cubes.numbers == (0, 2, 11)
    for number in cubes.numbers:
        expected = CUBES[number].arrays()
        read = cubes.reader.read(number)
        assert list(read) == list(ARRAYS)
        for name in ARRAYS:
            assert read[name].dtype == np.float32
            np.testing.assert_array_equal(read[name], expected[name], err_msg=name)
        (pixels,) = cubes.reader.read(number, ("pixels",)).values()
        np.testing.assert_array_equal(pixels, expected["pixels"])


def test_which_pixels_are_valid_is_kept_where_it_is_known(folder, form):
    random = np.random.default_rng(0)
    known = replace(CUBES[0], valid=random.random(CUBES[0].pixels.shape) < 0.5)
    sink = SINKS[form](folder)
    sink.write(CUBES[2])  # of an earlier version
    SINKS[form](folder).write(known)
    reader = find_cubes(folder, Storage()).reader
    read = reader.read(0)
    assert list(read) == [*ARRAYS, "valid"]
    assert read["valid"].dtype == bool
    np.testing.assert_array_equal(read["valid"], known.valid)
    np.testing.assert_array_equal(read["pixels"], known.pixels)
    assert list(reader.read(0, ("valid",))) == ["valid"]
    assert list(reader.read(2)) == list(ARRAYS)
    assert list(reader.read(2, ("pixels", "valid"))) == ["pixels"]


def test_no_reader_lets_numpy_parse_a_header_by_itself(written, monkeypatch):
    """Threads read cubes, and only `read_npy` is safe in threads before Python 3.11.8."""

    def refuse(*_arguments, **_options):
        raise AssertionError("not safe in threads")

    monkeypatch.setattr(np, "load", refuse)
    monkeypatch.setattr(np.lib.format, "read_array", refuse)
    assert find_cubes(written, Storage()).reader.read(2).keys() == set(ARRAYS)


def test_a_missing_cube_is_an_error(written):
    with pytest.raises(ObjectNotFound):
        find_cubes(written, Storage()).reader.read(7)


@pytest.mark.parametrize("kept", [0, 0.001, 0.5, 0.98])
def test_a_cube_that_is_cut_off_is_named(written, kept):
    reader = find_cubes(written, Storage()).reader
    path = Path(reader.cube_href(2))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(IndexFormatError) as caught:
        reader.read(2)
    assert str(path) in str(caught.value)
    assert caught.value.href == str(path)


def test_a_changed_byte_of_pixels_does_not_pass(folder):
    """Zip files have checksums of their content; tar files and the chunks of a shard have none."""
    for form in ("npz", "npz-uncompressed"):
        SINKS[form](folder).write(make_cube(0))
        reader = find_cubes(folder, Storage(), form).reader
        path = Path(reader.cube_href(0))
        data = bytearray(path.read_bytes())
        data[500] ^= 255
        path.write_bytes(data)
        with pytest.raises(IndexFormatError):
            reader.read(0)


@pytest.mark.parametrize(("place", "value"), [(8, 1), (10, 99)], ids=["encrypted", "method"])
def test_an_archive_of_a_kind_that_python_does_not_read_is_no_cube(folder, place, value):
    SINKS["npz"](folder).write(make_cube(0))
    reader = find_cubes(folder, Storage(), "npz").reader
    path = Path(reader.cube_href(0))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + place] = value  # of the first file, in the list at the end
    path.write_bytes(data)
    with pytest.raises(IndexFormatError, match="is not a whole cube"):
        reader.read(0)


def test_a_fault_that_no_bytes_explain_is_not_blamed_on_the_cube():
    """Zarr reads in threads of its own, and a system may have none left."""
    with pytest.raises(RuntimeError, match="start new thread"), decoding("s3://b/cubes"):
        raise RuntimeError("can't start new thread")


def test_a_shard_of_other_files_is_no_cube(folder):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("000.jpg"))
    path = Path(folder.cube_href(0, ".tar"))
    path.parent.mkdir(parents=True)
    path.write_bytes(file.getvalue())
    with pytest.raises(IndexFormatError, match=r"cube_0\.tar is not a whole cube"):
        find_cubes(folder, Storage()).reader.read(0)


def test_of_several_forms_one_must_be_chosen(folder):
    for form in ("npz", "webdataset", "zarr"):
        SINKS[form](folder).write(make_cube(0))
    with pytest.raises(UsageError, match="npz and webdataset and zarr: choose one"):
        find_cubes(folder, Storage())
    assert find_cubes(folder, Storage(), "zarr").numbers == (0,)
    with pytest.raises(UsageError, match="not 'hdf5'"):
        find_cubes(folder, Storage(), "hdf5")


def test_an_empty_folder_has_no_cubes(folder):
    with pytest.raises(ChipNotFound, match="no cubes"):
        find_cubes(folder, Storage())
    assert find_platforms(folder.root, Storage()) == []


def test_platforms_are_those_with_cubes_of_any_form(tmp_path):
    for name, form in (("naip", "zarr"), ("modis", "webdataset"), ("linz", "npz")):
        SINKS[form](CubeFolder(str(tmp_path), name)).write(make_cube(0))
    (tmp_path / "mode_v1_chipper_v2" / "planned").mkdir()
    (tmp_path / "mode_v1_chipper_v2" / "planned" / "_cubes.json").write_text("{}")
    assert find_platforms(str(tmp_path), Storage()) == ["linz", "modis", "naip"]


def test_a_relative_folder_is_found_too(written, form, monkeypatch):
    monkeypatch.chdir(written.root)
    assert find_cubes(CubeFolder(".", written.platform), Storage()).numbers == (0, 2, 11)
    assert find_platforms(".", Storage()) == [written.platform]
