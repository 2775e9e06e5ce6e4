"""Land covers and their reflectance in the bands of Sentinel-2; land uses and their covers.

The reflectances were set by hand, not measured. They are rounded values, typical of such covers in
surface-reflectance products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stacchip.demo.landscape.noise import Field

BANDS = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3",
    "nir", "nir08", "nir09", "swir16", "swir22",
)  # fmt: skip
"""Keys of the bands in earth-search, from 443 to 2190 nm."""

_PERCENT: dict[str, tuple[float, ...]] = {
    # cover          443   490   560   665   705   740   783   842   865   945  1610  2190
    "conifer":     ( 1.5,  1.8,  3.0,  1.9,  4.8, 13.5, 17.0, 18.0, 19.0, 19.5,  8.5,  3.8),
    "broadleaf":   ( 1.9,  2.3,  4.9,  2.6,  8.4, 27.0, 34.0, 36.0, 37.5, 38.0, 17.0,  7.5),
    "autumn wood": ( 2.1,  2.7,  5.4,  4.4, 10.0, 23.0, 27.0, 28.5, 30.0, 30.5, 17.0,  8.5),
    "young wood":  ( 2.6,  3.1,  6.2,  4.4, 10.5, 23.0, 28.0, 30.0, 31.5, 32.0, 20.0, 10.5),
    "clearing":    ( 3.6,  4.3,  7.0,  7.2, 11.0, 18.0, 20.5, 22.5, 24.0, 24.5, 27.0, 18.5),
    "scrub":       ( 3.0,  3.6,  6.4,  5.6, 10.0, 19.5, 23.0, 24.5, 26.0, 26.5, 22.0, 12.5),
    "meadow":      ( 2.6,  3.1,  7.0,  4.4, 11.0, 27.0, 32.5, 34.5, 36.0, 36.5, 21.5, 11.5),
    "dry grass":   ( 5.0,  6.4, 10.4, 12.2, 16.6, 23.0, 25.5, 27.5, 29.0, 29.5, 29.5, 19.5),
    "alpine turf": ( 3.8,  4.8,  8.0,  7.6, 12.2, 19.5, 22.0, 23.5, 25.0, 25.5, 24.0, 14.5),
    "lush crop":   ( 2.2,  2.6,  6.4,  3.0,  9.6, 35.0, 45.0, 48.0, 49.5, 50.0, 18.5,  8.2),
    "green crop":  ( 2.6,  3.2,  7.4,  4.2, 11.4, 31.0, 38.5, 41.0, 42.5, 43.0, 20.0,  9.6),
    "young crop":  ( 4.4,  5.4,  9.0,  8.8, 13.6, 22.0, 25.5, 27.5, 29.0, 29.5, 26.0, 17.0),
    "oilseed":     ( 3.2,  4.0, 12.6, 11.4, 17.4, 33.5, 41.0, 43.5, 45.0, 45.5, 21.0, 10.5),
    "dark soil":   ( 4.4,  5.2,  7.8,  9.4, 11.4, 13.6, 15.2, 16.8, 18.2, 18.8, 25.0, 21.0),
    "brown soil":  ( 5.4,  6.8, 10.6, 13.4, 16.0, 18.8, 20.4, 22.2, 23.8, 24.5, 31.0, 26.0),
    "pale soil":   ( 7.2,  9.0, 14.2, 17.8, 20.8, 24.4, 26.2, 28.2, 30.0, 30.6, 37.0, 32.0),
    "stubble":     ( 6.0,  7.8, 14.2, 17.6, 21.2, 25.0, 27.6, 30.0, 31.6, 32.2, 36.0, 26.0),
    "rock":        ( 9.0, 10.2, 12.6, 14.4, 15.6, 16.6, 17.6, 18.6, 19.2, 19.6, 22.0, 19.0),
    "snow":        (84.0, 86.0, 86.0, 84.0, 82.0, 79.0, 77.0, 75.0, 72.0, 64.0, 10.0,  8.0),
    "sand":        (15.0, 18.0, 24.0, 29.5, 32.0, 34.0, 36.0, 38.0, 39.0, 40.0, 45.0, 41.0),
    "deep water":  ( 3.4,  3.0,  2.2,  1.0,  0.8,  0.7,  0.6,  0.5,  0.5,  0.5,  0.3,  0.2),
    "shallows":    ( 5.0,  6.0,  7.4,  4.0,  3.0,  2.2,  2.0,  1.6,  1.4,  1.2,  0.6,  0.4),
    "river water": ( 4.6,  5.2,  6.4,  4.4,  3.4,  2.6,  2.4,  2.0,  1.8,  1.6,  0.9,  0.6),
    "marsh":       ( 2.8,  3.3,  6.0,  5.0,  8.6, 15.5, 18.5, 19.5, 20.5, 21.0, 13.5,  7.0),
    "gravel":      (10.0, 12.0, 15.6, 18.6, 20.4, 21.6, 22.6, 23.8, 24.8, 25.2, 30.0, 27.0),
    "asphalt":     ( 9.4, 10.6, 12.2, 13.0, 13.4, 12.2, 12.8, 13.6, 14.2, 14.5, 17.5, 16.5),
    "concrete":    (16.5, 19.0, 22.6, 24.8, 26.0, 27.0, 28.0, 29.2, 30.0, 30.4, 33.0, 30.0),
    "houses":      ( 7.2,  8.4, 10.6, 11.0, 13.4, 18.0, 20.4, 21.8, 22.8, 23.2, 21.0, 16.5),
    "old town":    ( 9.0, 10.4, 12.4, 13.8, 15.2, 17.2, 18.6, 19.8, 20.6, 21.0, 22.5, 19.5),
    "cloud":       (74.0, 73.0, 72.0, 71.0, 71.0, 71.0, 71.0, 70.0, 70.0, 60.0, 52.0, 42.0),
}  # fmt: skip

COVERS = tuple(_PERCENT)
"""Names of the covers; their positions are the numbers that a surface holds."""

COVER = {name: number for number, name in enumerate(COVERS)}

BARE = (
    "dark soil", "brown soil", "pale soil", "stubble", "rock", "snow", "sand", "gravel", "asphalt",
    "concrete", "houses", "old town",
)  # fmt: skip
"""Covers with few living plants."""

WATER = ("deep water", "shallows", "river water")

VIGOUR = dict(
    zip(
        BANDS,
        (-0.10, -0.14, -0.07, -0.20, -0.07, 0.08, 0.12, 0.13, 0.13, 0.13, -0.08, -0.14),
        strict=True,
    )
)
"""The relative change of a plant's reflectance from vigour 0 to vigour 1."""


def reflectance_table(band: str) -> Field:
    """Return the reflectance, 0 to 1, of each cover in one band.

    Example:
        >>> float(reflectance_table("red")[COVER["snow"]])
        0.8399999737739563
    """
    column = BANDS.index(band)
    return np.array([row[column] for row in _PERCENT.values()], np.float32) / np.float32(100)


USES: dict[str, tuple[str, str]] = {
    # use             cover in spring, in autumn
    "natural": ("scrub", "scrub"),  # see `_grow_wild` in surface.py
    "wheat": ("lush crop", "stubble"),
    "barley": ("green crop", "pale soil"),
    "oilseed": ("oilseed", "young crop"),
    "maize": ("brown soil", "green crop"),
    "potatoes": ("dark soil", "young crop"),
    "vegetables": ("young crop", "dark soil"),
    "fallow": ("pale soil", "dry grass"),
    "beet": ("dark soil", "lush crop"),
    "hay": ("meadow", "stubble"),
    "pasture": ("meadow", "meadow"),
    "dry pasture": ("meadow", "dry grass"),
    "wood": ("broadleaf", "autumn wood"),
    "plantation": ("conifer", "conifer"),
    "young plantation": ("young wood", "young wood"),
    "felled": ("clearing", "clearing"),
    "houses": ("houses", "houses"),
    "old town": ("old town", "old town"),
    "works": ("concrete", "concrete"),
    "park": ("meadow", "meadow"),
}
"""Uses of a parcel by name; their positions are the numbers that `LandUse.use` holds."""

SEASONS = ("spring", "autumn")
"""May and September: the positions of the covers in `USES`."""

USE = {name: number for number, name in enumerate(USES)}

CROPS = (
    "wheat", "wheat", "wheat", "barley", "barley", "oilseed", "maize", "maize", "potatoes",
    "vegetables", "fallow", "beet", "hay", "pasture", "dry pasture",
)  # fmt: skip
"""Farming uses (ploughed, mown or grazed), each repeated in proportion to its likelihood."""

FARMED = np.array([name in CROPS for name in USES])
"""True for each use that is farming, by its number."""

BUILT = np.array([name in {"houses", "old town", "works", "park"} for name in USES])
"""True for each use whose parcels have streets around them, by its number."""
