"""Pure geometry: CRSs, grids of pixels, chip grids and footprints. It opens no file.

Read the files in this order:

- `window`: rectangles of whole pixels.
- `named_files`: finds the files that the text of a CRS names.
- `crs_text`: reads CRSs of PROJ, WKT and codes, and refuses those that name a file.
- `same_crs`: compares two CRSs. Nothing else in stacchip does.
- `crs`: parses and names CRSs, tells which are not on Earth, and hands on `same_crs`.
- `transform`: products of affine transforms, which affine 2 and 3 write differently.
- `geobox`: grids of pixels (CRS, transform, shape). They are odc-geo's, with our additions, such as
  the form in which an index keeps one with an item.
- `chip_grid`: the chips of a reference band: their number, windows, boxes and footprints.
- `nearest`: the rule that gives each pixel of a chip its pixel of a raster. Both the cutting of
  chips and the counting of cloud follow it.
- `footprints`: polygons and boxes of all chips in longitude and latitude.
- `rounded_bounds`: the boxes in float32, as an index stores them.
- `geometry_bytes`: geometries from the bytes or texts of others.
- `antimeridian`: footprints that cross the antimeridian or hold a pole.

This folder imports only `stacchip.errors`. STAC, files and tables belong to the folders after it.
"""
