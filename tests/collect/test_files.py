"""The files of an item: what is copied, converted, linked, kept and refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

from stacchip.collect.files import Placer
from stacchip.collect.recipe import Choices
from stacchip.collect.recipes.linz import RECIPE
from stacchip.collect.settings import Settings
from stacchip.errors import InvalidMetadata, NotAllowed, NotARaster, ObjectNotFound
from stacchip.storage import Storage

RAW = dataclasses.replace(RECIPE, converts=False)


def write_tiff(path: Path, size: int = 64, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint8",
        "crs": "EPSG:2193", "transform": Affine(0.3, 0, 1_400_000, 0, -0.3, 4_910_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **{**profile, **options}) as dataset:
        dataset.write(np.arange(size * size, dtype="uint8").reshape(1, size, size))
    return path


def make_item(**hrefs: object) -> pystac.Item:
    item = pystac.Item("i", None, None, dt.datetime(2018, 2, 3, tzinfo=dt.UTC), {})
    for key, href in hrefs.items():
        item.add_asset(key, pystac.Asset(str(href)))
    return item


def make_placer(root: Path, recipe=RAW, choices: Choices | None = None, **settings) -> Placer:
    settings = Settings(str(root), catalogue=str(root.parent / "source"), **settings)
    return Placer(recipe, choices or recipe.choices, settings, Storage())


@pytest.fixture
def source(tmp_path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def archive(tmp_path) -> Path:
    return tmp_path / "archive"


def present(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_files_are_copied_once_and_again_only_if_they_changed(source, archive):
    item = make_item(
        red=write_tiff(source / "B04.tif"), nir=write_tiff(source / "B08.tif", size=32)
    )
    placer = make_placer(archive)
    folder = f"{archive}/p/i/"
    first = placer.place(item, ("red", "nir"), folder, {})
    assert first.written == ("red", "nir")
    assert first.placed["nir"].href == f"{folder}B08.tif"
    assert first.placed["nir"].size_bytes == (source / "B08.tif").stat().st_size
    assert first.placed["nir"].projection is None, "the item has it"
    assert first.headers["red"].shape == (64, 64)
    there = present(Path(folder))
    assert placer.place(item, ("red", "nir"), folder, there).written == ()
    write_tiff(source / "B08.tif", size=48)
    assert placer.place(item, ("red", "nir"), folder, there).written == ("nir",)
    again = make_placer(archive, write_again=True)
    assert again.place(item, ("red",), folder, present(Path(folder))).written == ("red",)


def test_a_conversion_is_made_again_if_the_choices_changed(source, archive):
    item = make_item(visual=write_tiff(source / "CE17.tiff", size=300))
    folder = f"{archive}/linz/i/"

    def place(**choices: object):
        placer = make_placer(archive, RECIPE, Choices(**choices))
        there = present(Path(folder)) if Path(folder).exists() else {}
        return placer.place(item, ("visual",), folder, there)

    first = place(resolution=0.6, band_count=1)
    assert first.written == ("visual",)
    projection = first.placed["visual"].projection
    assert projection["proj:shape"] == [150, 150]
    assert projection["proj:code"] == "EPSG:2193"
    assert place(resolution=0.6, band_count=1).written == ()
    assert place(resolution=0.6).written == (), "a choice that is not made leaves the file"
    assert place(resolution=1.2).written == ("visual",)
    assert place(crs="EPSG:3857").written == ("visual",)


def test_files_without_a_header_of_ours_are_copied_all_the_same(source, archive):
    source.mkdir()
    (source / "notes.txt").write_text("no pixels")
    item = make_item(red=write_tiff(source / "B04.tif"), notes=source / "notes.txt")
    files = make_placer(archive).place(item, ("red", "notes"), f"{archive}/p/i/", {})
    assert set(files.placed) == {"red", "notes"}
    assert set(files.headers) == {"red"}


@pytest.mark.parametrize("name", ["B04.tif", "stac_item.json"])
def test_two_files_of_one_name_are_refused_before_any_is_copied(source, archive, name):
    item = make_item(red=write_tiff(source / "B04.tif"), other=source / "deep" / name)
    with pytest.raises(InvalidMetadata, match=f"'other' has the file name '{name}'") as caught:
        make_placer(archive).place(item, ("red", "other"), f"{archive}/p/i/", {})
    assert caught.value.asset == "other"
    assert not archive.exists()


def test_a_remote_catalogue_may_not_name_local_files(archive):
    settings = Settings(str(archive), catalogue="https://example.com/stac")
    placer = Placer(RAW, RAW.choices, settings, Storage())
    for href in ("/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/a.tif"):
        with pytest.raises(NotAllowed, match="local to this machine"):
            placer.candidates(make_item(red=href), "red")
    assert placer.candidates(make_item(red="https://example.com/a.tif?sig=x"), "red") == (
        "https://example.com/a.tif",
    )


def test_links_name_files_where_they_are(source, archive):
    path = write_tiff(source / "B04.tif")
    item = make_item(red=path)
    item.assets["red"].extra_fields["file:size"] = 17
    files = make_placer(archive).link(item, ("red",))
    assert files.written == ()
    assert (files.placed["red"].href, files.placed["red"].size_bytes) == (str(path), 17)
    assert files.headers["red"].shape == (64, 64)
    assert not archive.exists()


def test_of_several_candidates_the_one_that_exists_is_linked(source, archive):
    path = write_tiff(source / "deep" / "B04.tif")
    recipe = dataclasses.replace(
        RAW, find_hrefs=lambda item, key: (str(source / "B04.tif"), item.assets[key].href)
    )
    files = make_placer(archive, recipe).link(make_item(red=path), ("red",))
    assert files.placed["red"].href == str(path)
    with pytest.raises(ObjectNotFound):
        make_placer(archive, recipe).link(make_item(red=source / "gone.tif"), ("red",))


def test_a_plan_has_the_size_that_the_item_states_or_that_the_file_has(source, archive):
    path = write_tiff(source / "B04.tif")
    placer = make_placer(archive)
    item = make_item(red=path, gone=source / "gone.tif")
    assert placer.look(item, "red").size_bytes == path.stat().st_size
    item.assets["red"].extra_fields["file:size"] = 17
    assert placer.look(item, "red").size_bytes == 17, "no request is needed"
    assert placer.look(item, "gone").size_bytes is None


@pytest.mark.parametrize("size", ["17", -1, 1.5, float("nan"), True, [17], {}, 2**70])
def test_a_size_that_cannot_be_one_is_not_believed(size, source, archive):
    path = write_tiff(source / "B04.tif")
    item = make_item(red=path)
    item.assets["red"].extra_fields["file:size"] = size
    placer = make_placer(archive)
    assert placer.look(item, "red").size_bytes == path.stat().st_size
    assert placer.link(item, ("red",)).placed["red"].size_bytes is None


def test_a_page_in_place_of_a_raster_is_an_error_and_is_not_kept(source, archive):
    item = make_item(red=write_tiff(source / "B04.tif"), nir=source / "B08.tif")
    (source / "B08.tif").write_text("<!DOCTYPE html><title>Log in</title>")
    placer = make_placer(archive)
    with pytest.raises(NotARaster, match="Item 'i', asset 'nir': ") as caught:
        placer.place(item, ("red", "nir"), f"{archive}/p/i/", {})
    assert caught.value.asset == "nir"
    assert [path.name for path in (archive / "p/i").iterdir()] == ["B04.tif"]
    with pytest.raises(NotARaster):
        placer.link(item, ("nir",))
    assert (source / "B08.tif").exists(), "the source is not ours"


def test_a_raster_that_only_gdal_reads_is_taken(source, archive):
    item = make_item(red=write_tiff(source / "B04.jp2", driver="JP2OpenJPEG"))
    files = make_placer(archive).place(item, ("red",), f"{archive}/p/i/", {})
    assert set(files.placed) == {"red"}
