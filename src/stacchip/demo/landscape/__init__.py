"""The made-up country that all sample images show, and how it looks in a band, on a day.

`make_landscape` makes the country from a seed, `look` lays its ground out on the pixels of a
`View`, and `make_sky` puts clouds over it. The wing knows no STAC, no CRS, no file: places are
metres east and south of the country's north-west corner.

Files in reading order, from tools to pictures:

- noise.py: smooth random fields, and how fields are resampled and blurred.
- view.py: a rectangle of pixels, and lines and areas drawn on it.
- spectra.py: what each land cover reflects, and which cover each land use has in a season.
- relief.py: mountains that rivers have cut.
- rivers.py: rivers as smooth lines.
- roads.py: towns, and the roads between them.
- parcels.py: fields, stands of wood and blocks of houses.
- landscape.py: puts relief, rivers, towns and parcels together to one country.
- surface.py: the ground of a view, without clouds.
- weather.py: clouds, their shadows, and cirrus.
- standing.py: trees, roofs and cars with their shadows, for pixels under 3 m.
- settlement.py: where each of these stands.

It imports numpy, shapely and Pillow, and nothing else of stacchip. To add a land cover, add its
row to `_PERCENT` in spectra.py (and to `BARE` or `WATER` if it belongs there); `USES` says which
parcels have it, and `_grow_wild` in surface.py where it grows by itself.
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
]
