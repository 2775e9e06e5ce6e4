from __future__ import annotations

import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from stacchip.cubes.sinks import WebDatasetSink
from stacchip.storage import Storage

from .conftest import CUBE_SIZE, make_cube


@pytest.fixture
def sink(folder) -> WebDatasetSink:
    return WebDatasetSink(folder, Storage(), CUBE_SIZE)


def test_webdataset_gives_the_chips_with_their_places(sink, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import's, of PyTorch's
        webdataset = pytest.importorskip("webdataset")
    cubes = [make_cube(0), make_cube(1, count=3)]
    for cube in cubes:
        sink.write(cube)
    urls = folder.cube_href(0, ".tar").replace("cube_0", "cube_{0..1}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"{n:09d}" for n in range(7)]
    pixels = np.concatenate([cube.pixels for cube in cubes])
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["pixels.npy"], pixels[number])
        assert sample["week_norm.npy"].shape == (2,)
    assert samples[5]["json"]["chipid"] == "MOD09GA.A2024.h18v04-1-1"
    assert samples[5]["json"]["datetime"] == "2024-01-31T10:30:00+00:00"


def test_the_same_cube_gives_the_same_bytes(sink, folder):
    path = Path(folder.cube_href(0, ".tar"))
    sink.write(make_cube(0))
    first = path.read_bytes()
    path.unlink()
    sink.write(make_cube(0))
    assert path.read_bytes() == first
    with tarfile.open(path) as archive:
        assert {member.mtime for member in archive} == {0}


def test_a_shard_that_is_cut_off_is_not_complete(sink, folder):
    for number in range(3):
        sink.write(make_cube(number))
    path = Path(folder.cube_href(1, ".tar"))
    path.write_bytes(path.read_bytes()[: -tarfile.RECORDSIZE])
    Path(folder.cube_href(2, ".tar")).write_bytes(b"")
    assert sink.find_complete(range(5)) == {0}
