"""What an item says of the grids of its files, without opening one, and whether it can be true.

`projection.read_geobox` is the way in. The files, in reading order:

```
projection        proj:* fields to a geobox, by the rules of the STAC projection extension
transform_order   the order of the numbers of proj:transform: the specification's, or GDAL's
radar             images in the geometry of their sensor, whose grids catalogues make up
bounds            boxes and footprints as longitudes and latitudes, and what two have in common
place             the grid against all that an item says of its place: boxes, footprint, centroid
```

What files say of their grids, against this, is in `stacchip.items.file_grids`.
"""
