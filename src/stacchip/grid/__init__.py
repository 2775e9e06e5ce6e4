"""Pure geometry: CRSs, grids of pixels, chip grids and footprints. It opens no file.

Read the files in this order:

- `window`: rectangles of whole pixels.
- `crs`: parses, compares and names CRSs. Nothing else in stacchip compares two of them.
- `geobox`: grids of pixels (CRS, transform, shape). They are odc-geo's, with what we add.
- `chip_grid`: the chips of a reference band: their number, windows, boxes and footprints.
- `nearest`: which pixel of a raster each pixel of a chip takes. Chips are cut and shares of cloud
  are counted by this one rule.
- `footprints`: polygons and boxes of all chips in longitude and latitude.
- `antimeridian`: footprints that cross the antimeridian or hold a pole.
- `recorded_grid`: the grid that an index keeps with an item.

The folder imports `stacchip.errors` alone. STAC, files and tables belong to the folders above it.
"""
