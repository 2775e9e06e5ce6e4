"""The extra `processors`: cubes in two forms, statistics of floats, and a sample layer."""

from __future__ import annotations

from pathlib import Path

from imagery import index_scene, require_only


def main() -> None:
    require_only("geopandas", "datasketches", "isal", "zarr")
    import boto3
    import geopandas
    import shapely
    import yaml

    from stacchip.cli import run
    from stacchip.collect.sample import read_layer

    _, index = index_scene()
    where = ["--index", index, "--platform", "unknown", "--bands", "red,swir", "--max-nodata", "1"]
    for form in ("npz", "zarr"):
        assert run(["prechip", *where, "--target", f"./cubes-{form}", "--format", form]) == 0
        stats = Path(f"{form}.yml")
        assert run(["stats", "--cubes", f"./cubes-{form}", "-o", str(stats)]) == 0
        bands = yaml.safe_load(stats.read_text())["unknown"]["bands"]
        assert bands["min"]["red"] == 1, bands
        assert bands["percentiles"]["red"], bands

    places = geopandas.GeoDataFrame(
        {"name": ["29SMC"]}, geometry=[shapely.box(500000, 4100000, 600000, 4200000)], crs=32629
    )
    places.to_file("sample.fgb")
    (row,) = read_layer("sample.fgb")
    assert row.attributes["name"] == "29SMC"
    assert -9 <= row.geometry.bounds[0] <= -8.9
    assert boto3.__version__


if __name__ == "__main__":
    main()
