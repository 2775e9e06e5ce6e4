"""Where training chips go: cubes of them as `.npz` files, WebDataset shards or a Zarr group.

Each form has a sink that writes and a reader that reads it, side by side in one module;
`find_cubes` finds what is there.
"""

from stacchip.datasets.sinks.cube import Cube, CubeFolder, CubeReader, CubeSink
from stacchip.datasets.sinks.npz import NpzReader, NpzSink
from stacchip.datasets.sinks.stored import StoredCubes, find_cubes, find_platforms
from stacchip.datasets.sinks.webdataset import WebDatasetReader, WebDatasetSink
from stacchip.datasets.sinks.zarr import ZarrReader, ZarrSink

__all__ = [
    "Cube",
    "CubeFolder",
    "CubeReader",
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
]
