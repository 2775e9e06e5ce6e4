"""Chips as arrays of xarray: what odc-geo would make, without what odc-geo imports for it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from odc.geo.xr import xr_coords

from stacchip.chipper import Chip
from stacchip.grid.geobox import make_geobox
from turned import turned


def chip_of(crs: str, transform: Affine) -> Chip:
    geobox = make_geobox(crs, transform, (3, 4))
    pixels = np.arange(24, dtype="uint16").reshape(2, 3, 4)
    taken = datetime(2024, 5, 1, 11, 30, tzinfo=UTC)
    return Chip(pixels, pixels > 5, ("red", "nir"), geobox, taken, "a-0-0", "sentinel-2", "a", 0, 0)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32629", Affine(10, 0, 500000, 0, -10, 4200000)),
        ("EPSG:4326", Affine(0.1, 0, -9.05, 0, -0.1, 38.123456789)),
        ("EPSG:32629", turned((500000, 4200000), 20, 10, -10)),
        ("+proj=sinu +R=6371007.181 +units=m", Affine(463.3127, 0, 0, 0, -463.3127, 5e6)),
    ],
    ids=["UTM", "degrees", "turned", "sinusoidal"],
)
def test_coordinates_are_those_of_odc_geo(crs, transform):
    chip = chip_of(crs, transform)
    array = chip.to_xarray()
    for name, expected in xr_coords(chip.geobox, dims=("y", "x")).items():
        assert array.coords[name].attrs == expected.attrs, name
        assert array.coords[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(array.coords[name], expected)
    if chip.geobox.axis_aligned:
        assert array.odc.geobox == chip.geobox


def test_an_array_holds_pixels_valid_bands_and_time():
    chip = chip_of("EPSG:32629", Affine(10, 0, 500000, 0, -10, 4200000))
    array = chip.to_xarray()
    assert (array.name, array.dims) == ("a-0-0", ("band", "y", "x"))
    np.testing.assert_array_equal(array, chip.array)
    np.testing.assert_array_equal(array.valid, chip.valid)
    assert array.band.values.tolist() == ["red", "nir"]
    assert array.time.values == np.datetime64("2024-05-01T11:30")
    assert array.sel(x=500015, y=4199995, band="nir") == chip.array[1, 0, 1]
    assert array.attrs == {"item_id": "a", "platform": "sentinel-2"}


def convert_without(module: str) -> subprocess.CompletedProcess[str]:
    """Convert a chip in a Python that lacks a module."""
    program = f"""
        import sys
        sys.modules[{module!r}] = None
        from datetime import UTC, datetime
        import numpy as np
        from affine import Affine
        from stacchip.chipper import Chip
        from stacchip.grid.geobox import make_geobox
        geobox = make_geobox("EPSG:32629", Affine(10, 0, 500000, 0, -10, 4200000), (3, 4))
        pixels = np.ones((1, 3, 4))
        chip = Chip(
            pixels, pixels > 0, ("red",), geobox, datetime(2024, 5, 1, tzinfo=UTC), "a-0-0", "s",
            "a", 0, 0,
        )
        print(chip.to_xarray().x.values)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_an_array_needs_no_dask():
    run = convert_without("dask")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["[500005.", "500015.", "500025.", "500035.]"]


def test_without_xarray_the_extra_is_named():
    run = convert_without("xarray")
    assert run.stderr.strip().endswith(
        "UsageError: Arrays of xarray: pip install 'stacchip[xarray]'."
    )
