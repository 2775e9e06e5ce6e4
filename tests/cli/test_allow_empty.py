"""No command succeeds with nothing: it says what was asked and what exists, and exits with 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from items.stac_api import StacApi, Trouble
from scenes import make_scene
from stacchip.cli import run
from stacchip.index import SCHEMA, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer


@pytest.fixture
def said(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; gives its exit code, output and errors."""

    def run_it(*command: str) -> tuple[int, str, str]:
        code = run(list(command))
        return code, *capsys.readouterr()

    return run_it


@pytest.fixture
def index(tmp_path: Path) -> str:
    scene = make_scene(tmp_path / "scene")
    write_index(NoStatsChipIndexer(scene.item).create_index(), tmp_path / "index")
    return str(tmp_path / "index")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[StacApi]:
    scene = make_scene(tmp_path / "found")
    scene.item.make_asset_hrefs_absolute()
    record = scene.item.to_dict() | {"links": [], "collection": "drone-images"}
    with StacApi([record]) as api:
        api.collections = ["landsat-c2-l2", "naip", "sentinel-1-rtc", "drone-images"]
        yield api


def test_a_mistyped_collection_is_named_and_the_closest_offered(catalogue, tmp_path, said):
    out = str(tmp_path / "index")
    search = ["index", "--api", catalogue.url, "--bbox", "1,2,3,4", "-o", out]
    code, stdout, stderr = said(*search, "--collection", "drone-image")
    assert (code, stdout) == (1, "")
    line = stderr.splitlines()[-1]
    assert "--collection drone-image, --bbox 1,2,3,4" in line
    assert "There is no collection 'drone-image'; it has drone-images, " in line
    assert "landsat-c2-l2" in line
    assert "chips of" not in line, "the size of chips is not to blame"
    assert not Path(out).exists()
    code, stdout, stderr = said(*search, "--collection", "drone-image", "--allow-empty")
    assert (code, stdout) == (0, "")
    assert "There is no collection" in stderr
    assert "info" not in stderr


def test_a_search_that_finds_nothing_of_a_collection_that_exists_says_so(catalogue, tmp_path, said):
    search = ["index", "--api", catalogue.url, "--datetime", "2019", "-o", str(tmp_path / "index")]
    code, _, stderr = said(*search, "--collection", "naip")
    assert code == 1
    assert "--collection naip, --datetime 2019. The collection is there; " in stderr
    # its files are on this machine, which no API may name by itself
    code, stdout, _ = said(*search, "--collection", "drone-images", "--allow-local")
    assert code == 0
    assert "of 1 item " in stdout


def test_a_catalogue_that_refuses_a_collection_it_lacks_is_asked_what_it_has(
    catalogue, tmp_path, said
):
    catalogue.troubles.append(Trouble(status=404))
    search = ["index", "--api", catalogue.url, "-o", str(tmp_path / "index")]
    code, _, stderr = said(*search, "--collection", "drone-image")
    assert code == 1
    assert "There is no collection 'drone-image'; it has drone-images" in stderr


def test_a_catalogue_that_does_not_list_its_collections_hides_no_result(tmp_path, said):
    with StacApi([]) as api:
        code, _, stderr = said("index", "--api", api.url, "-o", str(tmp_path / "index"))
    assert code == 1
    assert "has no item" in stderr
    assert "It lists no collection." in stderr


def test_a_file_without_items_is_named(tmp_path, said):
    (tmp_path / "items.json").write_text("[]")
    command = ["index", str(tmp_path / "items.json"), "-o", str(tmp_path / "index")]
    code, _, stderr = said(*command)
    assert code == 1
    assert "items.json holds no item." in stderr
    assert said(*command, "--allow-empty")[0] == 0


def test_merging_indexes_without_chips_fails(tmp_path, said):
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    merge = ["merge", empty, "-o", str(tmp_path / "merged")]
    code, stdout, stderr = said(*merge)
    assert (code, stdout) == (1, "")
    assert "The indexes have no chips" in stderr
    assert not (tmp_path / "merged").exists()
    assert said(*merge, "--allow-empty")[:2] == (0, "")
    assert len(read_index(tmp_path / "merged")) == 0


def test_merging_nothing_does_not_replace_an_index(index, tmp_path, said):
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    before = len(read_index(index))
    assert said("merge", empty, "-o", index, "--replace")[0] == 1
    assert len(read_index(index)) == before > 0


def test_removing_what_is_not_there_names_what_is(index, said):
    code, _, stderr = said("remove", index, "--platform", "unknowm")
    assert code == 1
    assert "it has unknown (" in stderr
    code, _, stderr = said("remove", index, "--item", "scene-2")
    assert code == 1
    assert "it has scene-1 (" in stderr
    assert said("remove", index, "--item", "scene-2", "--allow-empty")[:2] == (0, "")
    assert len(read_index(index))


def test_headers_of_no_item_are_not_all_there(tmp_path, said):
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    code, stdout, stderr = said("headers", empty)
    assert (code, stdout) == (1, "")
    assert str(empty) in stderr


@pytest.mark.parametrize("command", ["prechip", "stats"])
def test_a_filter_that_leaves_nothing_is_taken_apart(index, command, tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    place = ["--target", "cubes"] if command == "prechip" else []
    asked = [command, "--index", index, *place, "--platform"]
    count = len(read_index(index))
    code, stdout, stderr = said(*asked, "unknowm")
    assert (code, stdout) == (1, "")
    assert f"of platform 'unknowm' in {index}; it has chips of unknown ({count:,})" in stderr
    assert "WARNING" not in stderr, "one fact is one message"
    code, stdout, stderr = said(*asked, "unknown", "--chip-size", "999", "--bands", "red")
    assert (code, stdout) == (1, "")
    assert f"of {count:,} chips, {count:,} of another size (--chip-size)" in stderr
    assert "within these limits (" in stderr
    assert "--chip-size" in stderr
    assert "for a bucket, write" not in stderr, "a target need not be there"
    assert not (tmp_path / "cubes").exists()


def test_prechip_may_find_nothing_if_that_is_allowed(index, tmp_path, said):
    asked = ["prechip", "--index", index, "--bands", "red", "--platform", "unknown"]
    target = ["--target", f"{tmp_path}/cubes", "--allow-empty"]
    assert said(*asked, *target, "--max-cloud", "0")[0] == 0
    few = [*asked, *target, "--unmeasured", "keep", "--last-cube", "drop"]
    code, stdout, stderr = said(*few)
    assert (code, stdout) == (0, "")
    assert "too few for a cube of 128" in stderr


EMPTY = {
    "headers": ["headers", "{empty}"],
    "list": ["list", "{index}", "--platform", "naip"],
    "merge": ["merge", "{empty}", "-o", "{out}"],
    "prechip": ["prechip", "--index", "{index}", "--platform", "naip", "--target", "{out}"],
    "preview": ["preview", "{index}", "--platform", "naip", "-o", "{out}.png"],
    "remove": ["remove", "{index}", "--platform", "naip"],
    "stats": ["stats", "--index", "{index}", "--platform", "naip", "--bands", "red"],
}


@pytest.mark.parametrize("command", EMPTY)
def test_what_finds_nothing_names_the_option_that_allows_it(command, index, tmp_path, said):
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    words = [word.format(index=index, empty=empty, out=tmp_path / "out") for word in EMPTY[command]]
    code, stdout, stderr = said(*words)
    assert (code, stdout) == (1, "")
    assert stderr.rstrip().endswith("(If that is no mistake, give --allow-empty.)")
    code, stdout, stderr = said(*words, "--allow-empty")
    assert (code, stdout) == (0, "")
    assert "If that is no mistake" not in stderr


# -- where nothing is, and where nothing can be written --------------------------------------------


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["stats", "--cubes", "cubes"], "./cubes is a folder; for a bucket, write s3://cubes."),
        (["info", "cubes"], "For a bucket, write s3://cubes."),
        (["merge", "cubes", "-o", "index"], "For a bucket, write s3://cubes."),
    ],
)
def test_where_nothing_is_the_other_reading_of_the_name_is_offered(
    command, hint, tmp_path, monkeypatch, said
):
    monkeypatch.chdir(tmp_path)
    code, _, stderr = said(*command)
    assert code == 1
    assert hint in stderr
    (tmp_path / "cubes").mkdir()
    assert hint not in said(*command)[2], "the folder is there, and was meant"


def test_what_a_variable_names_is_no_bucket_if_the_store_has_none(monkeypatch, said):
    with HTTPServer(("127.0.0.1", 0), NoBucket) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        monkeypatch.setenv("STACCHIP_CHIP_BUCKET", "cubes")
        code, stdout, stderr = said("prechip", "--index", "no-such-index", "--platform", "naip")
        server.shutdown()
    assert (code, stdout) == (2, "")
    assert "s3://cubes cannot be written to: the bucket is not there" in stderr
    assert "s3://cubes is a bucket; for a folder, write ./cubes." in stderr
    assert "no-such-index" not in stderr, "the place is looked at first"


class NoBucket(BaseHTTPRequestHandler):
    """A store without any bucket."""

    def do_PUT(self) -> None:
        body = b"<Error><Code>NoSuchBucket</Code></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    "command",
    [
        ["prechip", "--index", "no-such-index", "--platform", "naip", "--target"],
        ["stats", "--index", "no-such-index", "--jobs", "2", "--job", "0", "-o"],
        ["stats", "--index", "no-such-index", "-o"],
        ["index", "no-such-item.json", "-o"],
        ["merge", "no-such-index", "-o"],
    ],
    ids=lambda command: command[0],
)
def test_a_place_that_cannot_be_written_is_found_first(command, tmp_path, said):
    (tmp_path / "file").touch()
    code, stdout, stderr = said(*command, f"{tmp_path}/file/out")
    assert (code, stdout) == (2, "")
    assert "file is a file, not a folder" in stderr
    assert "no-such" not in stderr
