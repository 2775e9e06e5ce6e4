"""Where training chips go: cubes of them as `.npz` files, WebDataset shards or a Zarr group.

Each form has a sink that writes and a reader that reads it, side by side in one module;
`find_cubes` finds what is there.
"""

from stacchip.cubes.sinks.cube import Cube, CubeFolder, CubeReader, CubeSink
from stacchip.cubes.sinks.form import CubeForm, CubeSet
from stacchip.cubes.sinks.npz import NpzReader, NpzSink
from stacchip.cubes.sinks.registry import get_form, list_forms, register_form
from stacchip.cubes.sinks.stored import StoredCubes, find_cubes, find_platforms
from stacchip.cubes.sinks.webdataset import WebDatasetReader, WebDatasetSink
from stacchip.cubes.sinks.zarr import ZarrReader, ZarrSink

__all__ = [
    "Cube",
    "CubeFolder",
    "CubeForm",
    "CubeReader",
    "CubeSet",
    "CubeSink",
    "NpzReader",
    "NpzSink",
    "StoredCubes",
    "WebDatasetReader",
    "WebDatasetSink",
    "ZarrReader",
    "ZarrSink",
    "find_cubes",
    "find_platforms",
    "get_form",
    "list_forms",
    "register_form",
]
