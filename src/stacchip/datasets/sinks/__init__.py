"""Where training chips go: cubes of them as `.npz` files, WebDataset shards or a Zarr group."""

from stacchip.datasets.sinks.cube import Cube, CubeFolder, CubeSink
from stacchip.datasets.sinks.npz import NpzSink
from stacchip.datasets.sinks.webdataset import WebDatasetSink
from stacchip.datasets.sinks.zarr import ZarrSink

__all__ = ["Cube", "CubeFolder", "CubeSink", "NpzSink", "WebDatasetSink", "ZarrSink"]
