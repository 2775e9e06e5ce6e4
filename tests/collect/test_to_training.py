"""An archive in a folder and in a bucket, from the first row to cubes and statistics."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import yaml

from collect.worlds import naip_world
from servers.outside import everywhere
from stacchip.cli import run as run_stacchip
from stacchip.cubes.sinks import CubeFolder, find_cubes
from stacchip.index import read_index

pytestmark = pytest.mark.servers

CHIP = 256


@pytest.mark.parametrize("bucket", ["./archive", "end-to-end"], ids=["folder", "bucket"])
def test_what_is_collected_becomes_cubes_and_statistics(
    outside, shared_data, tmp_path, bucket, monkeypatch, capsys
):
    for name, value in outside.store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert run_stacchip(list(words)) == 0
        return capsys.readouterr().err

    world = naip_world(shared_data)
    outside.load(world)
    places = everywhere(tuple(world.items[0]["bbox"]))
    layer = outside.sample("naip-to-training", n=list(range(5)), geometry=places)
    rows = ("--sample", str(layer), "--rows", "2:4,0")
    done = outside.run("collect", "naip", "--bucket", bucket, *rows, cwd=tmp_path)
    assert "3 rows, " in done.stdout
    assert "; 0 rows failed" in done.stdout, "rows that share items wait for each other"
    assert " 2 files " in done.stdout.splitlines()[-2], "each file is fetched once"
    first = done.stderr.splitlines()[0]
    if bucket == "./archive":
        assert first == "Writing to ./archive"
        (tmp_path / "archive").rename(tmp_path / "moved")
        root, there = "moved", str(tmp_path / "moved")
    else:
        assert first == "Writing to s3://end-to-end (for a folder: ./end-to-end)"
        root = there = "s3://end-to-end"

    run("merge", f"{root}/index", "-o", f"{root}/merged")
    index = ("--index", f"{root}/merged", "--platform", "naip")
    said = run("prechip", *index, "--target", f"{root}/cubes")
    assert "naip: 12 of 12 chips are taken, with at most 5% nodata" in said
    run("stats", *index, "--max-nodata", "5%", "-o", "index.yaml")
    run("stats", "--cubes", f"{root}/cubes", "-o", "cubes.yaml")
    of_index, of_cubes = (
        yaml.safe_load((tmp_path / name).read_text())["naip"]
        for name in ("index.yaml", "cubes.yaml")
    )
    assert of_index["bands"] == of_cubes["bands"]
    assert of_index["chips"] == of_cubes["chips"] == 12

    cubes = find_cubes(CubeFolder(f"{there}/cubes", "naip"), outside.storage)
    pixels = np.concatenate([cubes.reader.read(number)["pixels"] for number in cubes.numbers])
    rows = read_index(f"{there}/merged", storage=outside.storage).to_pylist()
    assert sorted(map(bytes, pixels)) == sorted(
        bytes(pixels_of(shared_data / "naip" / f"{row['item_id'].removeprefix('nd_')}.tif", row))
        for row in rows
    )


def pixels_of(path, row):
    """Return a chip as rasterio reads it, as cubes must have it."""
    corner = row["chip_index_x"] * CHIP, row["chip_index_y"] * CHIP
    with rasterio.open(path) as dataset:
        return dataset.read(window=rasterio.windows.Window(*corner, CHIP, CHIP)).astype("float32")
