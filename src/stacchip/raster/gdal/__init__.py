"""Everything that GDAL does: the only folder that imports rasterio.

- `environment`: the settings that every call runs under. New calls belong inside its
  `gdal_environment()`.
- `formats`: the formats that GDAL may open, chosen by a file's first bytes.
- `jpeg2000`: what a JPEG 2000 header asks for, before a decoder gives it that.
- `named_files`: files that a raster's georeferencing names, which must not be opened.
- `file`: files that the fast path cannot read (JPEG 2000, JPEG, PNG, rare forms of TIFF).
- `codec`: blocks whose codec only GDAL knows, one at a time.
- `jpeg`: what a JPEG stream says of its own size.
- `describe`: what a TIFF's tags mean: CRS, transform, type, nodata, scales.
- `warp`: pixels resampled by bilinear, cubic and other methods.
- `cog`: arrays written as Cloud Optimized GeoTIFFs.
- `convert`: files converted to Cloud Optimized GeoTIFFs.

rasterio is imported inside the functions that need it, because that takes half a second. A worker
that reads by headers from an index never imports it. From `stacchip.raster`, the folder imports
only `tiff`, `codecs`, `location` and `validity`.
"""

from stacchip.raster.gdal.codec import decode_by_gdal
from stacchip.raster.gdal.cog import write_array
from stacchip.raster.gdal.convert import Conversion, convert_to_cog
from stacchip.raster.gdal.describe import ImageDescription, ImageTags, describe_image
from stacchip.raster.gdal.file import GdalFile
from stacchip.raster.gdal.formats import find_driver, not_a_raster
from stacchip.raster.gdal.warp import warp

__all__ = [
    "Conversion",
    "GdalFile",
    "ImageDescription",
    "ImageTags",
    "convert_to_cog",
    "decode_by_gdal",
    "describe_image",
    "find_driver",
    "not_a_raster",
    "warp",
    "write_array",
]
