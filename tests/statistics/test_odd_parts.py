"""Parts of statistics, and cubes, that are damaged or claim far more than they hold."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stacchip.cubes.sinks.cube import CubeFolder
from stacchip.cubes.sinks.npy import npy_bytes
from stacchip.cubes.sinks.npz import NpzReader
from stacchip.cubes.sinks.webdataset import WebDatasetReader
from stacchip.cubes.sinks.zarr import ZarrReader
from stacchip.errors import IndexFormatError, InvalidMetadata, LimitExceeded, StacchipError
from stacchip.sources.training_bands import Band, PlatformBands
from stacchip.statistics.measure import cube_statistics
from stacchip.statistics.platform import PlatformStatistics
from stacchip.storage import Limits, Storage, StorageOptions


def part(dtype: str) -> bytes:
    bands = (Band("red", "red", 1, 0.6),)
    return PlatformStatistics(PlatformBands("naip", bands, 0.6, dtype, None), dtype).to_bytes()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_damaged_part_is_a_typed_error_or_a_part(dtype) -> None:
    sound, dice = part(dtype), random.Random(3)
    for _ in range(200):
        raw = bytearray(sound)
        for _ in range(dice.choice((1, 1, 4))):
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        try:
            PlatformStatistics.from_bytes(bytes(raw), href="a.npz")
        except StacchipError as error:
            assert "a.npz" in str(error)


@pytest.mark.parametrize(
    "about",
    [b"", b"[]", b"5", b"{}", b"[" * 50_000, b'{"form": "stacchip statistics 1"}',
     b'{"form": "stacchip statistics 1", "bands": 5}',
     b'{"form": "stacchip statistics 1", "bands": [[]], "dtype": "x"}'],
)  # fmt: skip
def test_a_part_that_says_something_else_is_refused(about) -> None:
    data = zipped(about=npy_bytes(np.frombuffer(about, np.uint8)))
    with pytest.raises(IndexFormatError, match=r"a\.npz"):
        PlatformStatistics.from_bytes(data, href="a.npz")


@pytest.mark.parametrize("shape", [(10**12,), (10**18, 10**18), (2**31, 2**31)])
def test_an_array_that_claims_more_than_its_file_is_refused(tmp_path, shape) -> None:
    data = zipped(about=header(shape), pixels=header(shape))
    with pytest.raises(IndexFormatError):
        PlatformStatistics.from_bytes(data)
    folder = CubeFolder(str(tmp_path), "naip")
    path = Path(folder.cube_href(0, ".npz"))
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(IndexFormatError, match="cube_0"):
        NpzReader(folder, Storage()).read(0, ["pixels"])


def test_a_cube_that_unpacks_to_more_than_the_limit_is_refused(tmp_path) -> None:
    folder = CubeFolder(str(tmp_path), "naip")
    path = Path(folder.cube_href(0, ".npz"))
    path.parent.mkdir(parents=True)
    path.write_bytes(zipped(pixels=npy_bytes(np.zeros(1_000_000, np.float32))))
    storage = Storage(options=StorageOptions(limits=Limits(cube_bytes=1_000_000)))
    with pytest.raises(LimitExceeded, match="cube_bytes"):
        NpzReader(folder, storage).read(0, ["pixels"])


def test_a_zarr_array_that_claims_more_than_the_limit_is_refused(tmp_path) -> None:
    zarr = pytest.importorskip("zarr")
    folder = CubeFolder(str(tmp_path), "naip")
    root = Path(folder.href) / "cubes.zarr"
    group = zarr.create_group(root, attributes={"chips_per_shard": 10**9})
    group.create_array("pixels", shape=(10**9, 3, 64, 64), chunks=(1, 3, 64, 64), dtype="float32")
    shard = root / "pixels/c/0/0/0/0"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"x")
    with pytest.raises(LimitExceeded, match="cube_bytes"):
        ZarrReader(folder, Storage()).read(0, ["pixels"])
    metadata = root / "zarr.json"
    record = json.loads(metadata.read_text())
    for size in ("x", None, [], 1e400):
        record["attributes"]["chips_per_shard"] = size
        metadata.write_text(json.dumps(record))
        with pytest.raises(IndexFormatError, match="is not a whole cube"):
            ZarrReader(folder, Storage()).read(0, ["pixels"])


@pytest.mark.parametrize(
    "record",
    [[], 5, "text", None, {"bands": 5}, {"seed": 1}, {"bands": []}, {"bands": [[]]},
     {"bands": {"a": 1}}, {"bands": ["blue"], "limits": 5}],
)  # fmt: skip
def test_an_odd_record_beside_cubes_is_a_typed_error(tmp_path: Path, record: object) -> None:
    folder = CubeFolder(str(tmp_path), "naip")
    place = Path(folder.href)
    place.mkdir(parents=True)
    np.savez(place / "cube_0.npz", pixels=np.zeros((1, 4, 8, 8), np.float32))
    (place / "_cubes.json").write_text(json.dumps(record))
    with pytest.raises(InvalidMetadata, match=r"_cubes\.json"):
        cube_statistics(str(tmp_path), "naip", Storage())


def test_a_shard_whose_samples_differ_in_shape_is_a_typed_error(tmp_path: Path) -> None:
    folder = CubeFolder(str(tmp_path), "naip")
    reader = WebDatasetReader(folder, Storage())
    path = Path(reader.cube_href(0))
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, shape in enumerate([(4, 8, 8), (), (1, 1, 1)]):
            data = npy_bytes(np.ones(shape, np.float32))
            member = tarfile.TarInfo(f"{number:09}.pixels.npy")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(IndexFormatError, match="cube_0"):
        reader.read(0, ["pixels"])
