"""A sample archive to try stacchip on: generated, and labelled as generated.

It looks like land, but no sensor has seen it: relief cut by rivers, a coast, fields, woods, towns,
clouds and their shadows, in the bands, resolutions, keys and masks of real products.

```python
items = write_archive(Path("demo"))     # three paths of STAC items
```

Files in reading order:

- archive.py: writes the archive: one landscape, three scenes.
- sensor.py: a sensor as a value, and the function that writes the scene of any sensor.
- sentinel2.py, landsat.py, naip.py: one sensor each: its files, its pixels, its item's properties.
- observation.py: what a satellite sees: the ground through the sky.
- frame.py: the place of the landscape on Earth.
- stac.py: items, collections and the files beside the imagery.
- landscape/: the country itself; its introduction lists its files.

The folder imports numpy, shapely, Pillow, odc-geo, and from stacchip only `raster` (to write COGs),
`grid` and `errors`. To add a sensor, write a module that ends in a `SENSOR`, as naip.py does, and
append it to `SENSORS` in archive.py.
"""

from stacchip.demo.archive import write_archive
from stacchip.demo.stac import GENERATED

__all__ = ["GENERATED", "write_archive"]
