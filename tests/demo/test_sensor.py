"""A sensor as a value: what `write_scene` makes of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from PIL import Image

from stacchip.demo import GENERATED
from stacchip.demo.landscape import Landscape, View
from stacchip.demo.sensor import File, Sensor, write_scene

VIEW = View(0.0, 600.0, 10.0, (96, 96))


def draw(_landscape: Landscape, view: View, seed: int) -> Iterator[np.ndarray]:
    height, width = view.shape
    ramp = np.arange(height * width, dtype=np.uint16).reshape(view.shape)
    for number in range(3):
        yield ramp + np.uint16(number + seed)
    yield np.full((height // 2, width // 2), 7, np.uint8)


def make_sensor(**changes: object) -> Sensor:
    names = ("red", "green", "blue")
    files = {name: File(f"{name}.tif", 10, {"title": name, "roles": ["data"]}) for name in names}
    quality = File("quality.tif", 20, {"title": "quality"}, overviews="nearest")
    sensor = Sensor(
        name="Camera",
        collection="camera",
        item_id="one",
        title="Camera",
        stac_version="1.0.0",
        extensions=("proj-v2",),
        crs="EPSG:32610",
        outline=((0, 0), (1, 0), (1, 1), (0, 1)),
        files=files | {"quality": quality},
        thumbnail=("preview", "preview.png"),
        shown=(0, 96 * 96),
        metadata=("notes", "notes.xml"),
        properties={"datetime": "2024-01-01T00:00:00Z", "proj:code": "EPSG:32610"},
        choose_view=lambda _, small: VIEW.coarsen(2) if small else VIEW,
        draw=draw,
        describe_quality=lambda quality: {"camera:quality": int(quality.max())},
    )
    return replace(sensor, **changes)


def write(folder: Path, landscape: Landscape, sensor: Sensor, **options: bool) -> dict:
    path = write_scene(
        folder, sensor, landscape, 5, **{"small": False, **options}, progress=lambda *_: None
    )
    assert path == folder / "camera" / "one" / "stac_item.json"
    return json.loads(path.read_text())


def test_files_hold_what_was_drawn_at_its_place(tmp_path: Path, landscape: Landscape) -> None:
    item = write(tmp_path, landscape, make_sensor())
    drawn = dict(zip(make_sensor().files, draw(landscape, VIEW, 5), strict=True))
    for key, pixels in drawn.items():
        with rasterio.open(tmp_path / "camera" / "one" / item["assets"][key]["href"]) as dataset:
            np.testing.assert_array_equal(dataset.read(1), pixels)
            assert dataset.bounds == (420000, 5218440, 420960, 5219400)


def test_each_asset_has_its_grid_if_the_grids_differ(tmp_path: Path, landscape: Landscape) -> None:
    item = write(tmp_path, landscape, make_sensor())
    assert item["assets"]["red"]["proj:shape"] == [96, 96]
    assert item["assets"]["quality"]["proj:shape"] == [48, 48]
    assert item["assets"]["quality"]["proj:transform"] == [20, 0, 420000, 0, -20, 5219400]
    assert "proj:shape" not in item["properties"]


def test_the_item_has_the_grid_if_all_files_share_it(tmp_path: Path, landscape: Landscape) -> None:
    sensor = make_sensor()
    files = {key: file for key, file in sensor.files.items() if key != "quality"}

    def draw_bands(*arguments: object) -> Iterator[np.ndarray]:
        *bands, _ = draw(*arguments)
        yield from bands

    item = write(tmp_path, landscape, replace(sensor, files=files, draw=draw_bands))
    assert item["properties"]["proj:shape"] == [96, 96]
    assert "proj:shape" not in item["assets"]["red"]


def test_the_last_file_adds_to_the_items_properties(tmp_path: Path, landscape: Landscape) -> None:
    sensor = make_sensor()
    item = write(tmp_path, landscape, sensor)
    assert item["properties"]["camera:quality"] == 7
    assert "camera:quality" not in sensor.properties, "the sensor itself does not change"


def test_the_small_scene_has_the_small_view(tmp_path: Path, landscape: Landscape) -> None:
    def draw_small(*arguments: object) -> Iterator[np.ndarray]:
        yield from list(draw(*arguments))[:3]
        yield np.ones((24, 24), np.uint8)

    sensor = make_sensor()
    files = {key: replace(file, gsd=2 * file.gsd) for key, file in sensor.files.items()}
    item = write(tmp_path, landscape, replace(sensor, files=files, draw=draw_small), small=True)
    assert item["assets"]["red"]["proj:transform"][0] == 20
    assert item["assets"]["red"]["proj:shape"] == [48, 48]


@pytest.mark.parametrize("number", [3, 5])
def test_a_sensor_must_draw_exactly_its_files(
    tmp_path: Path, landscape: Landscape, number: int
) -> None:
    def draw_others(*arguments: object) -> Iterator[np.ndarray]:
        bands = list(draw(*arguments))
        yield from [*bands, bands[-1]][:number]

    with pytest.raises(ValueError, match="zip"):
        write(tmp_path, landscape, make_sensor(draw=draw_others))
    assert not (tmp_path / "camera" / "one" / "stac_item.json").exists()


def test_the_thumbnail_is_black_and_white_at_the_values_shown(
    tmp_path: Path, landscape: Landscape
) -> None:
    write(tmp_path, landscape, make_sensor(shown=(1000, 2000)))
    with Image.open(tmp_path / "camera" / "one" / "preview.png") as picture:
        red = np.asarray(picture)[..., 0].ravel()
    values = np.arange(96 * 96) + 5
    assert (red[values <= 1000] == 0).all()
    assert (red[values >= 2000] == 255).all()
    between = red[(values > 1100) & (values < 1900)]
    assert 0 < between.min() < between.max() < 255
    assert (np.diff(between.astype(int)) >= 0).all()


@pytest.mark.parametrize("name", ["notes.xml", "notes.txt"])
def test_metadata_say_what_they_belong_to(tmp_path: Path, landscape: Landscape, name: str) -> None:
    item = write(tmp_path, landscape, make_sensor(metadata=("notes", name)))
    text = (tmp_path / "camera" / "one" / name).read_text()
    if name.endswith("xml"):
        assert item["assets"]["notes"]["type"] == "application/xml"
        content = {part.tag: part.text for part in ET.fromstring(text)}
    else:
        assert item["assets"]["notes"]["type"] == "text/plain"
        content = dict(line.split(": ", 1) for line in text.splitlines())
    assert content == {"id": "one", "datetime": "2024-01-01T00:00:00Z", "note": GENERATED}
