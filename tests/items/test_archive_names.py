"""A name of a bucket or folder means the same place in every command and in `Chipper(bucket=)`."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

from cubes.cube_world import PLATFORM, World, make_world
from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.options import Place, both_readings, place_option
from stacchip.cli.terminal import console
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
    return ["--sample", "rows.txt", "--catalogue", f"{home}/survey/", "--files", "link"]


@each_spelling
def test_collect_writes_to_a_folder(home, spelled, capsys):
    options = put_survey(home)
    assert run(["collect", "linz", *options, "--bucket", spelled("some/archive")]) == 0
    assert "1 rows, 1 items" in capsys.readouterr().out
    assert (home / "some/archive/linz/here_scene-1/stac_item.json").is_file()
    assert len(read_index(home / "some/archive/index/linz/here_scene-1")) > 0
    assert not (home / "~").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_a_bare_name_is_a_bucket_only_where_the_name_of_the_option_says_so(home, exists):
    if exists:
        (home / "cubes").mkdir()  # whatever lies in the working directory
    assert Archive.named("cubes").href == "s3://cubes"
    imagery = Imagery("index", PLATFORM, data="cubes")
    assert imagery.data == "./cubes"
    assert Prechip(imagery, "cubes").folder.root == "./cubes"
    assert Prechip(imagery, "s3://cubes").folder.root == "s3://cubes"


def test_a_pickle_of_an_earlier_version_means_the_bucket_that_it_meant():
    run = Prechip(Imagery("index", PLATFORM, data="data"), "cubes")
    new = pickle.loads(pickle.dumps(run))
    assert (new.target, new.imagery) == ("./cubes", run.imagery)
    object.__setattr__(run, "target", "cubes")  # as it was kept
    object.__setattr__(run.imagery, "data", "data")
    old = pickle.loads(pickle.dumps(run))
    assert (old.target, old.imagery.data) == ("s3://cubes", "s3://data")


def test_prechip_says_where_it_writes_and_what_else_the_name_could_mean(
    home, world, monkeypatch, capsys
):
    options = ["--index", world.index, "--platform", PLATFORM, "--bands", "blue"]
    assert run(["prechip", *options, "--target", "cubes", "--cube-size", "300"]) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "Writing to ./cubes (for a bucket: s3://cubes)"
    assert len(list((home / "cubes").rglob("cube_*.npz"))) == 1
    monkeypatch.setenv("STACCHIP_CHIP_BUCKET", "cubes")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert run(["prechip", *options, "--max-cloud", "0"]) == 1  # nothing was measured
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "Writing to s3://cubes (for a folder: ./cubes)"


@pytest.mark.parametrize(
    ("options", "variables", "place"),
    [
        (["--to", "cubes"], {}, "./cubes (for a bucket: s3://cubes)"),
        (["--to", "./cubes"], {}, "./cubes"),
        (["--to", "data/cubes"], {}, "data/cubes"),
        (["--to", "s3://user:secret@cubes"], {}, "s3://cubes"),
        ([], {"OUR_BUCKET": "cubes"}, "s3://cubes (for a folder: ./cubes)"),
        ([], {"OUR_BUCKET": "data/cubes"}, "data/cubes (for a bucket: s3://data/cubes)"),
        (["--to", "cubes"], {"OUR_BUCKET": "b"}, "./cubes (for a bucket: s3://cubes)"),
        ([], {"OUR_FOLDER": "cubes"}, "./cubes (for a bucket: s3://cubes)"),
        (["--bucket", "cubes"], {}, "s3://cubes (for a folder: ./cubes)"),
        (["--bucket", "data/cubes"], {}, "data/cubes (for a bucket: s3://data/cubes)"),
        ([], {"PLACE": "cubes"}, "s3://cubes (for a folder: ./cubes)"),
    ],
)
def test_what_an_option_means_depends_on_its_name_or_its_variables(
    options, variables, place, monkeypatch, capsys
):
    def command(
        *,
        to: Annotated[Place | None, place_option("--to", envvar="OUR_BUCKET", help="")] = None,
        at: Annotated[Place | None, place_option("--at", envvar="OUR_FOLDER", help="")] = None,
        bucket: Annotated[Place | None, place_option("--bucket", envvar="PLACE", help="")] = None,
    ) -> None:
        place = to or at or bucket
        assert place is not None
        console.say(both_readings(place))

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert console.run_command(command, "here", options) == 0
    assert capsys.readouterr().out.strip() == place


@pytest.mark.parametrize("name", ["", "~nobody-here/data"])
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
