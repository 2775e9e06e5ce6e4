from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from scenes import ORIGIN, Scene, make_scene, write_band
from stacchip import Chipper, ChipStore, ChipStream
from stream.conftest import archive, index_items, make_item, nested, server

__all__ = ["archive", "nested", "server"]

Cut = tuple[np.ndarray, np.ndarray]
GB = 1 << 30


@pytest.fixture
def small(tmp_path) -> tuple[Scene, str]:
    """A scene of bands of 10 and 20 m, and its index with headers: 36 chips."""
    scene = make_item(tmp_path / "a", "a", {"red": (10, 384), "swir": (20, 192)}, dtype="uint16")
    return scene, index_items([scene.item], tmp_path / "index")


@pytest.fixture
def mixed_scene(tmp_path) -> Scene:
    """A scene of 10, 20 and 60 m of 16 bits, classes of 20 m in 8 bits, and a mask in the file."""
    return make_mixed(tmp_path / "s2")


def make_mixed(folder: Path, item_id: str = "scene-1") -> Scene:
    scene = make_scene(folder, item_id)
    for key, resolution, shape in (("red", 10, (600, 700)), ("swir", 20, (300, 350))):
        write_band(scene.path(key), resolution, shape, dtype="uint16")
    write_band(scene.path("scl"), 20, (300, 350), dtype="uint8")
    scene.item.assets["scl"] = scene.item.assets["swir"].clone()
    scene.item.assets["scl"].href = "./scl.tif"
    return scene


def spoil(path: Path) -> None:
    """Fill a file with nonsense that nobody can decode; its size and time stay."""
    times, size = path.stat(), path.stat().st_size
    path.write_bytes(b"\xff" * size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut_all(stream: ChipStream, size: int = 7, **options: Any) -> dict[int, Cut]:
    """Return copies of the pixels, and of what is valid, by row."""
    found = {}
    for batch in stream.batches(size, **options):
        valid = [None] * len(batch) if batch.valid is None else batch.valid.copy()
        for row, pixels, usable in zip(batch.rows.tolist(), batch.array.copy(), valid, strict=True):
            found[row] = pixels, usable
    return found


def assert_same(found: dict[int, Cut], expected: dict[int, Cut]) -> None:
    assert found.keys() == expected.keys()
    for row, (pixels, valid) in expected.items():
        assert found[row][0].dtype == pixels.dtype
        assert found[row][0].tobytes() == pixels.tobytes(), row  # NaN equals itself so
        if valid is None or found[row][1] is None:
            assert valid is found[row][1]
        else:
            np.testing.assert_array_equal(found[row][1], valid)


def cut_by_chipper(chipper: Chipper) -> dict[int, Cut]:
    chips = [chipper.cut_row(row) for row in range(len(chipper))]
    return {row: (chip.array, chip.valid) for row, chip in enumerate(chips)}


def packs_of(folder: Path) -> list[Path]:
    return sorted((folder / "packs").iterdir())


def shards_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("packs/*/chips.zarr/*/c/0/0/0/0") if path.is_file())


def folder_bytes(folder: Path) -> int:
    sizes = {}  # by inode: files may be renamed meanwhile
    for place, _, names in os.walk(folder):  # it passes over folders that others delete meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                facts = Path(place, name).stat()
                sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())


def catalogue_rows(folder: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database:
        return database.execute(question).fetchall()


def open_stream(index: Any, folder: Path, limit_bytes: int = GB, **options: Any) -> ChipStream:
    return ChipStream(index, store=ChipStore(folder, limit_bytes), **options)


def write_noise(scene: Scene, key: str, resolution: float, side: int, seed: int) -> None:
    """Overwrite a band with random pixels, which cannot be compressed."""
    pixels = np.random.default_rng(seed).integers(1, 65535, (side, side), np.uint16)
    place = Affine(resolution, 0, ORIGIN[0], 0, -resolution, ORIGIN[1])
    with rasterio.open(
        scene.path(key), "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16",
        crs="EPSG:32629", transform=place, nodata=0, tiled=True, blockxsize=128, blockysize=128,
        compress="deflate",
    ) as file:  # fmt: skip
        file.write(pixels, 1)
