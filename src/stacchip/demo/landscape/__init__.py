"""The made-up country that all sample images show, as it looks in a band and a season.

`make_landscape` makes the country from a seed, `look` lays its ground out on the pixels of a
`View`, and `make_sky` puts clouds over it. This folder knows no STAC, no CRS and no files: places
are metres east and south of the country's north-west corner.

Files in reading order, from tools to pictures:

- noise.py: smooth random fields, and how fields are resampled and blurred.
- view.py: a rectangle of pixels, and the drawing of lines and areas on it.
- spectra.py: the reflectance of each land cover, and the cover of each land use in each season.
- relief.py: mountains and the drainage that cuts them.
- rivers.py: rivers as smooth lines.
- roads.py: towns and the roads between them.
- parcels.py: fields, stands of wood and blocks of houses.
- landscape.py: combines relief, rivers, towns and parcels into one country.
- surface.py: the ground of a view, without clouds.
- weather.py: clouds, their shadows, and cirrus.
- standing.py: trees, roofs and cars with their shadows, for pixels narrower than 3 m.
- settlement.py: the places of these trees, roofs and cars.

It imports numpy, shapely and Pillow, and nothing else of stacchip. To add a land cover, add its
row to `_PERCENT` in spectra.py, and its name to `BARE` or `WATER` if it belongs there. `USES`
(spectra.py) gives it to parcels; `_grow_wild` (surface.py) makes it grow without people.
"""

from stacchip.demo.landscape.landscape import (
    HEDGED,
    TRACKED,
    Ground,
    Landscape,
    LandUse,
    make_ground,
    make_landscape,
    settle,
)
from stacchip.demo.landscape.noise import Field, blur
from stacchip.demo.landscape.parcels import spread
from stacchip.demo.landscape.roads import Town
from stacchip.demo.landscape.settlement import furnish
from stacchip.demo.landscape.spectra import BARE, COVER, COVERS, FARMED, WATER
from stacchip.demo.landscape.standing import PAINTS, clear_ground, shine
from stacchip.demo.landscape.surface import Season, Surface, look
from stacchip.demo.landscape.view import CELL_M, CELLS, EXTENT_M, Line, View
from stacchip.demo.landscape.weather import Clouds, Sky, make_sky

__all__ = [
    "BARE",
    "CELLS",
    "CELL_M",
    "COVER",
    "COVERS",
    "EXTENT_M",
    "FARMED",
    "HEDGED",
    "PAINTS",
    "TRACKED",
    "WATER",
    "Clouds",
    "Field",
    "Ground",
    "LandUse",
    "Landscape",
    "Line",
    "Season",
    "Sky",
    "Surface",
    "Town",
    "View",
    "blur",
    "clear_ground",
    "furnish",
    "look",
    "make_ground",
    "make_landscape",
    "make_sky",
    "settle",
    "shine",
    "spread",
]
