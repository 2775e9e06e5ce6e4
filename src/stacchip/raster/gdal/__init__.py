"""GDAL: the one home of rasterio.

What the fast path does not know is read here, and so is what only GDAL can say: what CRS a file's
keys mean, and how pixels are warped. COGs are written here, too. rasterio is imported when it is
first needed (0.5 s).
"""

from stacchip.raster.gdal.codec import decode_by_gdal
from stacchip.raster.gdal.cog import write_array
from stacchip.raster.gdal.convert import Conversion, convert_to_cog
from stacchip.raster.gdal.describe import ImageDescription, ImageTags, describe_image
from stacchip.raster.gdal.file import GdalFile
from stacchip.raster.gdal.warp import warp

__all__ = [
    "Conversion",
    "GdalFile",
    "ImageDescription",
    "ImageTags",
    "convert_to_cog",
    "decode_by_gdal",
    "describe_image",
    "warp",
    "write_array",
]
