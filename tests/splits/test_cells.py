"""The cells of a global grid are those of Major TOM, on to the poles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import UsageError
from stacchip.splits.cells import CellGrid

LONGITUDES, LATITUDES = st.floats(-180, 180), st.floats(-90, 90)
SIZES = st.sampled_from([1, 10, 99.5, 100, 250, 1000, 5000])


def by_the_paper(km: float, lon: float, lat: float) -> str:
    """The cell of a place as the paper defines it, looked up in sorted lists of edges."""
    rows = math.ceil(math.pi * 6378.137 / km)
    south = np.sort(np.mod(np.linspace(-90, 90, rows + 1)[:-1], 180) - 90)
    row = int(np.searchsorted(south, lat, side="right")) - 1
    count = math.ceil(2 * math.pi * 6378.137 * math.cos(math.radians(south[row])) / km)
    west = np.sort(np.mod(np.linspace(-180, 180, count + 1)[:-1], 360) - 180)
    column = (int(np.searchsorted(west, lon, side="right")) - 1) % count
    up, right = row - int(np.searchsorted(south, 0)), column - int(np.searchsorted(west, 0))
    return f"{abs(up)}{'U' if up >= 0 else 'D'}_{abs(right)}{'R' if right >= 0 else 'L'}"


@pytest.mark.parametrize("km", [10, 100, 117, 250])
def test_names_are_those_of_the_paper(km):
    random = np.random.default_rng(0)
    lon, lat = random.uniform(-180, 180, 500), random.uniform(-85, 85, 500)
    grid = CellGrid(km)
    names = grid.names(grid.at(lon, lat))
    expected = [by_the_paper(km, *place) for place in zip(lon, lat, strict=True)]
    assert names == expected


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [
        (0, 0, "0U_0R"),
        (-1e-6, -1e-6, "1D_1L"),
        (12.57, 55.68, "62U_7R"),
        (180, 0, "0U_200R"),
        (-180, 0, "0U_200R"),
        (10, 90, "100U_0R"),
        (10, -90, "101D_0R"),
    ],
)
def test_some_places_have_these_cells(lon, lat, name):
    grid = CellGrid(100)
    assert grid.names(grid.at(np.array([float(lon)]), np.array([float(lat)]))) == [name]


@given(LONGITUDES, LATITUDES, SIZES)
def test_every_place_lies_within_the_bounds_of_its_cell(lon, lat, km):
    grid = CellGrid(km)
    cell = grid.at(np.array([lon]), np.array([lat]))
    assert 0 <= cell[0] < len(grid)
    west, south, east, north = (float(side[0]) for side in grid.bounds(cell))
    assert south - 1e-9 <= lat <= north + 1e-9
    assert any(west - 1e-9 <= lon + turn <= east + 1e-9 for turn in (-360, 0, 360))


@pytest.mark.parametrize("km", [50, 100, 1000])
def test_each_cell_has_its_own_name_and_no_two_overlap(km):
    grid = CellGrid(km)
    cells = np.arange(len(grid))
    assert len(set(grid.names(cells))) == len(grid)
    west, south, east, north = grid.bounds(cells)
    middle = (west + east) / 2, (south + north) / 2
    assert (grid.at(*middle) == cells).all()
    area = np.radians(east - west) * (np.sin(np.radians(north)) - np.sin(np.radians(south)))
    assert area.sum() == pytest.approx(4 * math.pi), "together they are the whole globe"


@given(LONGITUDES, LATITUDES, st.floats(0, 30), st.floats(0, 20), st.sampled_from([100, 1000]))
def test_the_cells_that_a_box_touches_are_those_of_its_places(lon, lat, width, height, km):
    grid, top = CellGrid(km), min(90.0, lat + height)
    box = [np.array([side]) for side in (lon, lat, lon + width, top)]
    touched = {int(cell[0]) for _, cell in grid.touched(*box, np.array([True]))}
    x, y = np.meshgrid(np.linspace(lon, lon + width, 40), np.linspace(lat, top, 40))
    inside = set(grid.at(x.ravel(), y.ravel()).tolist())
    assert inside <= touched
    edges = (grid.bounds(np.array([cell])) for cell in touched)
    for west, south, east, north in edges:
        assert south[0] <= top + 1e-9
        assert north[0] >= lat - 1e-9
        turns = (-720, -360, 0, 360, 720)
        assert any(west[0] <= lon + width + t + 1e-9 and east[0] >= lon + t - 1e-9 for t in turns)


@pytest.mark.parametrize("km", [0, -1, 0.01, 6000, float("nan")])
def test_an_odd_size_is_refused(km):
    with pytest.raises(UsageError, match=r"A cell is 0.1 to 5000 km high"):
        CellGrid(km)


@pytest.mark.parametrize("km", [1, 7, 100, 250])
def test_both_sides_of_the_antimeridian_are_one_place(km):
    grid = CellGrid(km)
    lat = np.clip((np.arange(grid.first, grid.last + 1) + 0.5) * grid.height, -90, 90)
    east, west = (grid.at(np.full(len(lat), lon), lat) for lon in (180.0, -180.0))
    assert (east == west).all()
