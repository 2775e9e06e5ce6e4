"""Shares are compared with a count of every pixel, one by one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from stacchip.errors import GridMismatch, UsageError
from stacchip.grid.transform import compose, map_points
from stacchip.index import ChipGrid, chip_shares, count_shares, nodata_shares
from stacchip.raster import open_reader
from stacchip.sources import SENTINEL_1, SENTINEL_2
from stacchip.storage import Storage
from turned import turned

NODATA, CLOUD = 0, 9


@dataclass
class ArrayReader:
    """Pixels in memory, as a reader gives them."""

    pixels: np.ndarray
    geobox: GeoBox | None
    block_shape: tuple[int, int] = (16, 16)
    nodata: float | None = None
    href: str = "memory.tif"
    crs: str | None = None
    transform: Affine | None = None
    why_no_grid: str | None = None

    def __post_init__(self):
        self.reads = []

    @property
    def shape(self):
        return self.pixels.shape

    @property
    def dtype(self):
        return self.pixels.dtype

    @property
    def header(self):
        return SimpleNamespace(block_shape=self.block_shape)

    def read(self, window, bands=None):
        assert bands == [0]
        self.reads.append(window)
        return self.pixels[window.slices][None]


def shares_one_by_one(pixels, qa, grid):
    """Cloud and nodata shares, pixel by pixel: the QA pixel that holds each pixel's centre."""
    size, (height, width) = grid.chip_size, grid.shape
    counts = {
        "cloud": np.zeros((grid.y_size, grid.x_size)),
        "nodata": np.zeros((grid.y_size, grid.x_size)),
    }
    to_qa = compose(~qa.affine, grid.transform)
    for row in range(grid.y_size * size):
        for col in range(grid.x_size * size):
            qa_col, qa_row = map_points(to_qa, col + 0.5, row + 0.5)
            qa_col, qa_row = int(np.floor(qa_col + 1e-6)), int(np.floor(qa_row + 1e-6))
            value = NODATA
            inside = 0 <= qa_row < qa.shape[0] and 0 <= qa_col < qa.shape[1]
            if row < height and col < width and inside:
                value = pixels[qa_row, qa_col]
            counts["nodata"][row // size, col // size] += value == NODATA
            counts["cloud"][row // size, col // size] += value == CLOUD
    return {name: (count / size**2).astype(np.float32) for name, count in counts.items()}


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    chip_size=st.integers(1, 25),
    edge=st.sampled_from(["drop", "pad"]),
    ratio=st.sampled_from([(1, 1), (2, 1), (6, 1), (3, 2), (1, 2), (1, 6), (7, 5)]),
    shift=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    qa_shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    block=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    flip=st.booleans(),
)
def test_shares_are_those_of_counting_every_pixel(
    seed, height, width, chip_size, edge, ratio, shift, qa_shape, block, flip
):
    grid = ChipGrid(
        GeoBox((height, width), Affine(10, 0, 1000, 0, -10, 2000), "EPSG:32633"), chip_size, edge
    )
    resolution = 10 * ratio[0] / ratio[1]
    north = 2000 + shift[1] * 5 - (qa_shape[0] * resolution if flip else 0)
    qa = GeoBox(
        qa_shape,
        Affine(resolution, 0, 1000 + shift[0] * 5, 0, resolution if flip else -resolution, north),
        "EPSG:32633",
    )
    pixels = np.random.default_rng(seed).choice(
        np.array([NODATA, 4, 5, CLOUD], np.uint8), size=qa_shape
    )
    found = chip_shares(ArrayReader(pixels, qa, block), SENTINEL_2, grid)
    expected = shares_one_by_one(pixels, qa, grid)
    assert found["cloud"].dtype == np.float32
    for name in ("cloud", "nodata"):
        assert np.array_equal(found[name], expected[name]), name


def test_grids_that_are_turned_alike_correspond():
    askew = turned((5e5, 4e6), 30, 10, -10)
    pixels = np.random.default_rng(0).choice(np.array([0, 4, 9], np.uint8), (30, 30))
    grid = ChipGrid(GeoBox((60, 60), askew, "EPSG:32633"), 20)
    qa = GeoBox((30, 30), compose(askew, Affine.scale(2)), "EPSG:32633")
    found = chip_shares(ArrayReader(pixels, qa), SENTINEL_2, grid)
    blocks = (pixels == CLOUD).reshape(3, 10, 3, 10)
    assert np.array_equal(found["cloud"], blocks.mean(axis=(1, 3)).astype(np.float32))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("chip_size", "edge"), [(50, "drop"), (70, "pad"), (129, "pad")])
def test_nodata_of_the_reference_band_is_that_of_every_pixel(tmp_path, count, chip_size, edge):
    """Part by part, of one band or where all bands are empty, with padding."""
    affine = Affine(10, 0, 5e5, 0, -10, 4e6)
    pixels = np.random.default_rng(4).integers(0, 2, (count, 130, 160), dtype=np.uint8)
    for name, nodata in (("said", 0), ("silent", None)):
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", height=130, width=160, count=count,
            dtype="uint8", crs="EPSG:32633", transform=affine, nodata=nodata, tiled=True,
            blockxsize=16, blockysize=32,
        ) as dataset:  # fmt: skip
            dataset.write(pixels)
    grid = ChipGrid(GeoBox((130, 160), affine, "EPSG:32633"), chip_size, edge)
    expected = count_shares({"nodata": (pixels == 0).all(axis=0)}, grid)["nodata"]
    for name, nodata in (("said", None), ("said", 1), ("silent", 0)):
        reader = open_reader(str(tmp_path / name), Storage())
        found = nodata_shares(reader, grid, nodata=nodata)
        assert list(found) == ["nodata"]
        np.testing.assert_array_equal(found["nodata"], expected)


def scene(qa_resolution=20, size=600, crs="EPSG:32633"):
    grid = ChipGrid(GeoBox((size, size), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633"), 100)
    count = size * 10 // qa_resolution
    transform = Affine(qa_resolution, 0, 5e5, 0, -qa_resolution, 4e6)
    pixels = np.random.default_rng(1).integers(0, 12, (count, count), dtype=np.uint8)
    return grid, ArrayReader(pixels, GeoBox((count, count), transform, crs))


def test_each_qa_pixel_is_read_once():
    grid, reader = scene()
    reader = replace(reader, block_shape=(64, 300))
    chip_shares(reader, SENTINEL_2, grid)
    seen = np.zeros(reader.shape, int)
    for window in reader.reads:
        seen[window.slices] += 1
    assert (seen == 1).all()


def test_parts_are_whole_blocks_and_bounded_in_bytes():
    shape, block = (20_000, 30_000), (1024, 1024)
    reader = ArrayReader(np.zeros((1, 1), np.float32), None, block)
    from stacchip.index.quality import _LARGE_PART, _cut_parts

    parts = list(_cut_parts(shape, block, 4))
    assert all(part.row % 1024 == 0 and part.col % 1024 == 0 for part in parts)
    assert max(part.height * part.width * 4 for part in parts) <= _LARGE_PART
    assert sum(part.height * part.width for part in parts) == shape[0] * shape[1]
    assert reader.reads == []


def test_what_no_chip_sees_is_not_read():
    grid, reader = scene()
    near = ChipGrid(GeoBox((100, 100), grid.transform, "EPSG:32633"), 100)
    chip_shares(
        replace(reader, block_shape=(50, 50), pixels=np.tile(reader.pixels, (30, 30))),
        SENTINEL_2,
        near,
    )
    far = ChipGrid(GeoBox((100, 100), Affine(10, 0, 9e5, 0, -10, 4e6), "EPSG:32633"), 100)
    shares = chip_shares(reader, SENTINEL_2, far)
    assert reader.reads == []
    assert shares["nodata"].tolist() == [[1.0]]


def test_another_crs_is_refused_and_both_are_named():
    grid, reader = scene(crs="EPSG:32701")
    with pytest.raises(GridMismatch, match=r"EPSG:32701.*EPSG:32633"):
        chip_shares(reader, SENTINEL_2, grid)


def test_a_grid_turned_against_the_qa_band_is_refused():
    grid, reader = scene()
    turned = compose(reader.geobox.affine, Affine.rotation(10))
    reader.geobox = GeoBox(reader.geobox.shape, turned, "EPSG:32633")
    with pytest.raises(GridMismatch, match="turned"):
        chip_shares(reader, SENTINEL_2, grid)


def test_a_qa_band_that_does_not_say_where_it_lies_takes_the_callers_word():
    grid, reader = scene()
    expected = chip_shares(reader, SENTINEL_2, grid)
    placed, reader.geobox = reader.geobox, None
    found = chip_shares(reader, SENTINEL_2, grid, geobox=placed)
    assert np.array_equal(found["cloud"], expected["cloud"])
    with pytest.raises(GridMismatch, match="cannot be placed"):
        chip_shares(reader, SENTINEL_2, grid)


def test_a_qa_band_of_the_grids_shape_lies_where_the_grid_does():
    grid, reader = scene(qa_resolution=10)
    expected = chip_shares(reader, SENTINEL_2, grid)
    reader.geobox = None
    assert np.array_equal(chip_shares(reader, SENTINEL_2, grid)["cloud"], expected["cloud"])


@pytest.mark.parametrize("nodata", [float("nan"), -32768.0])
def test_float_pixels_have_nodata_by_value_or_nan(nodata):
    grid, reader = scene(qa_resolution=10)
    pixels = np.ones(reader.shape, np.float32)
    pixels[:50] = nodata
    reader = replace(reader, pixels=pixels, nodata=nodata)
    shares = chip_shares(reader, SENTINEL_1, grid)
    assert shares["nodata"][0].tolist() == [0.5] * 6
    assert not shares["nodata"][1:].any()


def test_the_callers_classes_count():
    grid, reader = scene(qa_resolution=10)
    strict = replace(SENTINEL_2, classes={**SENTINEL_2.classes, "cloud": (8, 9)})
    cloud = chip_shares(reader, strict, grid)["cloud"]
    expected = np.isin(reader.pixels, (8, 9)).reshape(6, 100, 6, 100).mean(axis=(1, 3))
    assert np.array_equal(cloud, expected.astype(np.float32))


def test_an_error_in_a_read_ends_the_count_and_leaves_no_thread():
    grid, reader = scene()
    before = threading.active_count()

    def fail(window: Any, bands: Any = None) -> Any:
        raise OSError("gone")

    reader.read = fail
    with pytest.raises(OSError, match="gone"):
        chip_shares(reader, SENTINEL_2, grid)
    assert threading.active_count() == before


def test_flags_are_counted_on_the_reference_band():
    grid, _ = scene()
    flags = np.random.default_rng(2).random((600, 600)) < 0.3
    found = count_shares({"nodata": flags, "cloud": ~flags}, grid)
    expected = flags.reshape(6, 100, 6, 100).mean(axis=(1, 3)).astype(np.float32)
    assert np.array_equal(found["nodata"], expected)
    assert np.allclose(found["cloud"], 1 - expected)
    with pytest.raises(UsageError, match=r"'nodata' have shape \(5, 600\)"):
        count_shares({"nodata": flags[:5]}, grid)


def test_flags_of_a_padded_grid_have_nodata_beyond_the_edge():
    grid = ChipGrid(GeoBox((150, 150), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"), 100, "pad")
    shares = count_shares({"cloud": np.ones((150, 150), bool)}, grid)
    assert shares["nodata"].tolist() == [[0, 0.5], [0.5, 0.75]]
    assert shares["cloud"].tolist() == [[1, 0.5], [0.5, 0.25]]


class EndlessReader(ArrayReader):
    """A scene of 28,000 x 22,000 float32 pixels, of which only what is read exists."""

    shape = (22_000, 28_000)
    dtype = np.dtype(np.float32)

    def read(self, window, bands=None):
        return np.full((1, *window.shape), 0.5, np.float32)


def test_a_scene_of_two_gigabytes_is_counted_in_bounded_memory():
    geobox = GeoBox(EndlessReader.shape, Affine(10, 0, 3e5, 0, -10, 5e6), "EPSG:32633")
    reader = EndlessReader(np.zeros((1, 1)), geobox, (512, 512), nodata=-32768.0)
    grid = ChipGrid(geobox, 256)
    process, peak, stop = psutil.Process(), [0], threading.Event()

    def watch():
        while not stop.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    base = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    shares = chip_shares(reader, SENTINEL_1, grid)
    stop.set()
    watcher.join()
    assert not shares["nodata"].any()
    assert peak[0] - base < 350e6


@pytest.mark.parametrize(
    ("of_qa", "of_grid"),
    [("EPSG:4326", "OGC:CRS84"), ("EPSG:9518", "EPSG:4326"), ("OGC:CRS84h", "EPSG:4979")],
)
def test_a_qa_band_in_another_spelling_of_the_crs_is_counted(of_qa, of_grid):
    transform = Affine(0.001, 0, 10, 0, -0.001, 50)
    pixels = np.random.default_rng(0).choice(np.array([0, 4, 9], np.uint8), (30, 30))
    grid = ChipGrid(GeoBox((30, 30), transform, of_grid), 10)
    found = chip_shares(ArrayReader(pixels, GeoBox((30, 30), transform, of_qa)), SENTINEL_2, grid)
    blocks = (pixels == CLOUD).reshape(3, 10, 3, 10)
    assert np.array_equal(found["cloud"], blocks.mean(axis=(1, 3)).astype(np.float32))


@pytest.mark.parametrize("of_qa", ["EPSG:32632", "EPSG:4326", "+proj=sinu +R=6371007.181"])
def test_a_qa_band_in_another_crs_is_refused_by_name(of_qa):
    transform = Affine(10, 0, 5e5, 0, -10, 4e6)
    grid = ChipGrid(GeoBox((30, 30), transform, "EPSG:32633"), 10)
    reader = ArrayReader(np.zeros((30, 30), np.uint8), GeoBox((30, 30), transform, of_qa))
    with pytest.raises(GridMismatch, match="but the chip grid is in EPSG:32633") as caught:
        chip_shares(reader, SENTINEL_2, grid)
    assert caught.value.facts["href"] == "memory.tif"
    assert not reader.reads
