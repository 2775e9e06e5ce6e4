"""The extra `xarray`: a chip as an array with coordinates."""

from __future__ import annotations

from imagery import index_scene, require_only


def main() -> None:
    require_only()
    import numpy as np

    from stacchip import Chipper

    _, index = index_scene()
    chip = Chipper(index, assets=["red", "swir"]).cut(x=1, y=0)
    array = chip.to_xarray()
    assert array.sizes == {"band": 2, "y": 256, "x": 256}
    assert float(array.x[0]) == 502565
    assert np.array_equal(array.sel(band="red"), chip.array[0])
    assert "WGS 84 / UTM zone 29N" in array.spatial_ref.attrs["crs_wkt"]


if __name__ == "__main__":
    main()
