"""The forms of cubes: `.npz` files, shards of WebDataset, one Zarr group.

In reading order:

- `cube`: a cube, its folder, and the protocols `CubeSink` (writes) and `CubeReader` (reads)
- `form`: `CubeForm`, the name, sink and reader of one form
- `npz`, `webdataset`, `zarr`: the forms, each with its sink, its reader and its `CubeForm`
- `npy`: arrays as `.npy` bytes, read and written, and fast zip files of them
- `registry`: the forms by name; packages add theirs
- `stored`: finds which cubes a folder holds, in any form

To add a form: write `cubes/sinks/NAME.py` with a sink, a reader and a `CubeForm`, and add that to
`BUILT_IN` in `registry`. Both commands then take `--format NAME`, and `find_cubes` finds its
cubes; `tests/cubes/sinks/test_third_party.py` tests every registered form. A package of your own
needs no change here: it names its `CubeForm` in the entry point group `stacchip.sinks`.

```python
CubeForm("bare", "bare arrays", BareSink, BareReader)
```

A sink writes a cube whole or not at all, and the same bytes for the same cube, so that a job that
was killed can run again. `Prechip.run` removes the uploaded parts that a killed job left.
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
