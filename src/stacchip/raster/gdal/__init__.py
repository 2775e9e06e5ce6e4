"""GDAL: the one home of rasterio.

What the fast path does not know is read here, and so is what only GDAL can say: what CRS a file's
keys mean, and how pixels are warped. rasterio is imported when it is first needed (0.5 s).
"""

from stacchip.raster.gdal.codec import decode_by_gdal
from stacchip.raster.gdal.describe import ImageDescription, ImageTags, describe_image
from stacchip.raster.gdal.file import GdalFile
from stacchip.raster.gdal.warp import warp

__all__ = ["GdalFile", "ImageDescription", "ImageTags", "decode_by_gdal", "describe_image", "warp"]
