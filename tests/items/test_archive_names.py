"""A name of a bucket or folder means the same place in every command and in `Chipper(bucket=)`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cubes.cube_world import PLATFORM, World, make_world
from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.commands.collect import collect_root
from stacchip.cubes.prechip import Imagery, Prechip
from stacchip.errors import UsageError
from stacchip.index import read_index
from stacchip.items.archive import Archive
from stacchip.storage import Storage
from stacchip.utils import load_indexer_local, load_indexer_s3

# each names `place` below the home folder, which is the working directory, too
SPELLINGS = ("~/{place}", "./{place}", "{place}", "{home}/{place}", "file://{home}/{place}")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "some/archive"), folder, Storage())


@pytest.fixture
def spelled(request, home):
    """Spells a place in each way."""
    return lambda place: request.param.format(home=home, place=place)


each_spelling = pytest.mark.parametrize("spelled", SPELLINGS, indirect=True)


@each_spelling
def test_the_chipper_finds_a_folder(home, spelled):
    folder = home / "some/archive/my-source/scene-1"
    make_scene(folder)
    (folder / "item.json").rename(folder / "stac_item.json")
    name = spelled("some/archive")
    expected = Chipper(load_indexer_local(home / "some/archive", "my-source", "scene-1")).chip(1, 0)
    for chipper in (
        Chipper(bucket=name, platform="my-source", item_id="scene-1"),
        Chipper(load_indexer_s3(name, "my-source", "scene-1")),
    ):
        np.testing.assert_array_equal(chipper.chip(1, 0)["red"], expected["red"])


def test_the_chipper_takes_a_path_without_a_slash_for_a_folder(home):
    folder = home / "archive/my-source/scene-1"
    make_scene(folder)
    (folder / "item.json").rename(folder / "stac_item.json")
    assert len(Chipper(bucket=Path("archive"), platform="my-source", item_id="scene-1")) > 0


@each_spelling
def test_prechip_reads_data_from_and_writes_cubes_to_a_folder(home, spelled, world, capsys):
    (home / "some").symlink_to(Path(world.data).parent)
    options = ["--index", world.index, "--platform", PLATFORM, "--max-nodata", "1"]
    places = ["--data", spelled("some/archive"), "--target", spelled("new/cubes")]
    assert run(["prechip", *options, *places, "--cube-size", "100"]) == 0
    assert "3 cubes written" in capsys.readouterr().out
    assert len(list((home / "new/cubes").rglob("cube_*.npz"))) == 3
    assert {path.name for path in home.iterdir()} == {"some", "new"}
    # and the statistics find them there
    assert run(["stats", "--cubes", spelled("new/cubes")]) == 0
    assert PLATFORM in capsys.readouterr().out


def put_survey(home: Path) -> list[str]:
    """A static catalogue of one item below `home`, and the options that collect it."""
    scene = make_scene(home / "survey/here")
    scene.item.assets = {"visual": scene.item.assets["red"]}
    (scene.folder / "item.json").write_text(json.dumps(scene.item.to_dict(transform_hrefs=False)))
    links = [{"rel": "item", "href": "./item.json"}]
    (scene.folder / "collection.json").write_text(json.dumps({"links": links}))
    (home / "rows.txt").write_text("here\n")
    return ["--sample", "rows.txt", "--catalogue", f"{home}/survey/", "--assets", "link"]


@each_spelling
def test_collect_writes_to_a_folder(home, spelled, capsys):
    options = put_survey(home)
    assert run(["collect", "linz", *options, "--bucket", spelled("some/archive")]) == 0
    assert "1 rows, 1 items" in capsys.readouterr().out
    assert (home / "some/archive/linz/here_scene-1/stac_item.json").is_file()
    assert len(read_index(home / "some/archive/index/linz/here_scene-1")) > 0
    assert not (home / "~").exists()


@pytest.mark.parametrize("spelled", ["my-cubes", "s3://my-cubes"])
def test_a_bare_name_is_a_bucket_everywhere(home, spelled):
    (home / "my-cubes").mkdir()  # whatever lies in the working directory
    assert collect_root(spelled) == "s3://my-cubes"
    assert Prechip(Imagery("index", PLATFORM), spelled).folder.root == "s3://my-cubes"


@pytest.mark.parametrize("name", ["", "my bucket", "~nobody-here/data"])
@pytest.mark.parametrize(
    "command",
    [
        ["collect", "modis", "--rows", "0", "--bucket"],
        ["prechip", "--index", "{index}", "--platform", PLATFORM, "--target"],
        ["stats", "--cubes"],
    ],
    ids=lambda command: command[0],
)
def test_a_name_of_nothing_is_misuse_in_one_line(world, command, name, capsys):
    command = [word.format(index=world.index) for word in command]
    assert run([*command, name]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["", "./\x00", "http://[", "s3://", "file://", b"abc", 5, None, "https://user:secret@["]
)
def test_what_names_no_place_is_refused_without_its_secrets(name):
    with pytest.raises(UsageError) as caught:
        Archive.named(name)
    assert "secret" not in str(caught.value)
