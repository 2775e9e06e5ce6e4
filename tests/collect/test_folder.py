"""An archive in a folder, given relative to the working folder, which is moved afterwards."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio

from collect.memory_catalogue import MemoryCatalogue
from collect.survey import SURVEY as ONE_SHEET
from collect.survey import Survey
from collect.worlds import WORLDS, World
from stacchip.chipper import Chipper
from stacchip.collect.job import Job
from stacchip.collect.recipe import Recipe
from stacchip.collect.recipes.registry import get_recipe
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.errors import AssetChanged
from stacchip.index import merge_indexes, read_index
from stacchip.items import load_items, parse_item
from stacchip.storage import Storage, StorageOptions


def source_path(href: str) -> str:
    """Return where a world keeps the file that an item has at an address."""
    parts = urlsplit(href)
    return f"{parts.netloc if parts.scheme == 's3' else 'public-bucket'}{parts.path}"


def put_down(world: World, folder: Path) -> None:
    """Put a source's files into a folder."""
    for place, content in world.objects.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.symlink_to(content.absolute())


def local_recipe(name: str, world: World, folder: Path) -> Recipe:
    """Return a source's recipe with its items in memory and its files in a folder."""
    recipe = get_recipe(name)
    if name == "linz":  # a catalogue of files, which can be in a folder as it is
        return recipe
    (item,) = (each for each in world.items if each["id"] == world.expected[0])
    catalogue = MemoryCatalogue([parse_item(item)])

    def choose(row, choices, _, dice, __):
        return recipe.choose(row, choices, catalogue, dice, recipe)

    def find_hrefs(item, key):
        return tuple(str(folder / source_path(href)) for href in recipe.find_hrefs(item, key))

    return dataclasses.replace(recipe, choose=choose, find_hrefs=find_hrefs)


def row_of(world: World) -> Row:
    name = world.listed or f"row {world.row}"
    return Row(world.row, name, world.area, {"name": "29RKH"})


def check_chip(index: Any, record: dict[str, Any], folder: Path) -> None:
    """Compare a chip of an item with rasterio's, in each band that has the chip's grid."""
    chip = Chipper(index).cut_row(0)
    compared = 0
    for key, asset in record["assets"].items():
        with rasterio.open(folder / asset["href"]) as dataset:
            if dataset.res != pytest.approx(tuple(map(abs, chip.geobox.resolution.xy))):
                continue
            window = rasterio.windows.Window(chip.x * 256, chip.y * 256, 256, 256)
            bands = [name for name in chip.bands if name.partition(":")[0] == key]
            ours = np.stack([chip.array[chip.bands.index(name)] for name in bands])
            np.testing.assert_array_equal(ours, dataset.read(window=window), err_msg=key)
            compared += 1
    assert compared


@pytest.mark.parametrize("name", WORLDS)
def test_a_relative_folder_is_filled_and_can_be_moved(name, shared_data, tmp_path, monkeypatch):
    (tmp_path / "world").mkdir()
    world = WORLDS[name](shared_data, tmp_path / "world")
    source = tmp_path / "source"
    put_down(world, source)
    monkeypatch.chdir(tmp_path)
    recipe = local_recipe(name, world, source)
    catalogue = source / "nz-imagery" if name == "linz" else source
    job = Job(recipe, recipe.choices, Settings("./archive", catalogue=str(catalogue)))
    report = job.run(row_of(world))
    assert report.errors == ()
    (item,) = report.items
    assert item.chips > 0

    (path,) = (tmp_path / "archive").glob("*/*/stac_item.json")
    record = json.loads(path.read_text())
    hrefs = [asset["href"] for asset in record["assets"].values()]
    assert all(href.startswith("./") and "/" not in href[2:] for href in hrefs)
    assert not [link for link in record["links"] if link["rel"] == "self"]
    place = f"{item.platform}/{item.item_id}"
    check_chip(f"archive/index/{place}", record, path.parent)

    merge_indexes("archive/index", "archive/all")
    (tmp_path / "else/where").mkdir(parents=True)
    shutil.move("archive", "else/where/moved")
    monkeypatch.chdir(tmp_path / "else")
    moved = tmp_path / "else/where/moved"
    for index in (
        f"where/moved/index/{place}",
        f"where/moved/index/{place}/index_{item.item_id}.parquet",
        "where/moved/all",
        moved / "all",
        read_index("where/moved/all"),
    ):
        check_chip(index, record, moved / place)
    (found,) = load_items(moved / place / "stac_item.json")
    assert all(Path(each.get_absolute_href()).exists() for each in found.assets.values())


@pytest.mark.parametrize("form", ["archive", "./archive/", "{}/archive", "file://{}/archive"])
def test_a_folder_has_one_address_however_it_is_written(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(form.format(tmp_path), catalogue="stac")
    assert settings.archive.href == str(tmp_path / "archive")
    assert settings.catalogue == str(tmp_path / "stac")


def test_a_bucket_stays_what_it_is():
    settings = Settings("s3://bucket/prefix/", catalogue="https://example.com/stac/")
    assert settings.archive.href == "s3://bucket/prefix"
    assert settings.catalogue == "https://example.com/stac/"


def test_a_worker_in_another_folder_writes_to_the_same_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = get_recipe("naip")
    sent = pickle.dumps(Job(recipe, recipe.choices, Settings("./archive")))
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    assert pickle.loads(sent).settings.archive.href == str(tmp_path / "archive")


def test_a_copy_without_the_times_of_its_files_is_read_when_sizes_are_to_tell(tmp_path):
    """The time alone tells a file that was replaced by one of the same size."""
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    recipe = get_recipe("linz")
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"))
    assert not Job(recipe, recipe.choices, settings).run(Row(0, ONE_SHEET)).errors
    shutil.copytree(tmp_path / "archive", tmp_path / "copy", copy_function=shutil.copyfile)
    (index,) = (tmp_path / "copy").glob("index/linz/*")
    with pytest.raises(AssetChanged, match="--identity size"):
        Chipper(index).cut_row(0)
    by_size = Storage(options=StorageOptions(identity="size"))
    assert (Chipper(index, storage=by_size).cut_row(0).array == 10).all()
    (file,) = (tmp_path / "copy").glob("linz/*/*.tiff")
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(AssetChanged):
        Chipper(index, storage=by_size).cut_row(0)
