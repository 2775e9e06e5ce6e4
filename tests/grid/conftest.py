from raster.conftest import storage, write_tiff

__all__ = ["storage", "write_tiff"]
