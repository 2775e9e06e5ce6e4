"""The metadata of Zarr 3, and the files of its arrays, as packs have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.chipstore.planes import PlaneForm

__all__ = [
    "METADATA",
    "map_array",
    "read_attributes",
    "shard_path",
    "write_array",
    "write_group",
    "write_shard_metadata",
]

METADATA: Final = "zarr.json"
_ENDIAN: Final = {"name": "bytes", "configuration": {"endian": "little"}}
_KEYS: Final = {"name": "default", "configuration": {"separator": "/"}}


def shard_path(folder: Path, form: PlaneForm) -> Path:
    """Return the path of the shard with the planes of a form."""
    return folder / form.name / "c" / "0" / "0" / "0" / "0"


def write_shard_metadata(folder: Path, form: PlaneForm, chips: int, planes: int) -> None:
    """Write the metadata of an array of planes: each chip is a chunk, and all are in one shard."""
    codec = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, planes, form.height, form.width],
            "codecs": form.codecs(),
            "index_codecs": [_ENDIAN, {"name": "crc32c"}],
            "index_location": "end",
        },
    }
    shape = [chips, planes, form.height, form.width]
    names = ["chip", f"plane_{form.name}", f"y_{form.height}", f"x_{form.width}"]
    _write_metadata(folder / form.name, form.numpy_dtype, shape, [codec], names)


def write_array(folder: Path, name: str, values: NDArray[Any], dimensions: tuple[str, ...]) -> None:
    """Write an array of one chunk that is not compressed, so that it can be mapped into memory."""
    own = folder / name
    path = own.joinpath("c", *("0" for _ in values.shape))
    path.parent.mkdir(parents=True)
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    path.write_bytes(np.ascontiguousarray(little).tobytes())
    _write_metadata(own, values.dtype, list(values.shape), [_ENDIAN], list(dimensions))


def _write_metadata(
    folder: Path, dtype: np.dtype[Any], shape: list[int], codecs: list[Any], names: list[str]
) -> None:
    zero: Any = {"b": False, "f": 0.0, "c": [0.0, 0.0]}.get(dtype.kind, 0)
    _write_json(
        folder / METADATA,
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": _KEYS,
            "fill_value": zero,
            "codecs": codecs,
            "dimension_names": names,
            "attributes": {},
        },
    )


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the metadata of a group."""
    told = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    _write_json(folder / METADATA, told)


def read_attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of a group.

    Raises:
        OSError, ValueError, LookupError, TypeError: There is no such group.
    """
    told: dict[str, Any] = json.loads((folder / METADATA).read_bytes())["attributes"]
    return told


def map_array(
    folder: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Map an array that `write_array` wrote.

    Raises:
        OSError, ValueError: It is absent, or has another size.
    """
    path = folder.joinpath(name, "c", *("0" for _ in shape))
    size = int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size != size:
        raise ValueError(f"{path} does not have {size} bytes")
    with pa.memory_map(str(path)) as file:  # `numpy.memmap` keeps the file open
        return np.frombuffer(file.read_buffer(), dtype.newbyteorder("<")).reshape(shape)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
