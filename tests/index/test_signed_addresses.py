"""An index that is read by a signed address: what is kept of it, and that it is still found."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scenes import make_scene
from servers.range_server import Answer, RangeServer, Request
from stacchip.chipper import Chipper
from stacchip.errors import AccessDenied, ItemNotFound
from stacchip.index import concat_indexes, index_of, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions


@pytest.fixture
def scene_table(tmp_path: Path):
    scene = make_scene(tmp_path / "scene")
    scene.item.make_asset_hrefs_absolute()
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, tmp_path / "www" / "idx")
    return table


@pytest.fixture
def server(tmp_path: Path, scene_table):
    """A web server that gives the index only to who has the signature or the password."""
    with RangeServer(tmp_path / "www") as running:
        folder = tmp_path / "www" / "idx"

        def serve(request: Request) -> Answer:
            is_known = "sig=SECRET" in request.query or "authorization" in request.headers
            if not is_known:
                return 403, {}, b""
            file = folder / request.path.removeprefix("/idx/")
            return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")

        running.route("/idx", serve)
        yield running


@pytest.fixture(params=["?sig=SECRET", "user:SECRET@"])
def signed(request: pytest.FixtureRequest, server: RangeServer) -> str:
    place = server.url("idx")
    return (
        place + request.param if "?" in request.param else place.replace("//", f"//{request.param}")
    )


def test_a_table_keeps_no_signature_and_finds_its_index_all_the_same(
    signed: str, server: RangeServer, tmp_path: Path, scene_table
) -> None:
    table = read_index(signed)
    assert index_of(table) == signed
    pq.write_table(concat_indexes([table]), tmp_path / "a.parquet")
    kept = [(tmp_path / "a.parquet").read_bytes(), pickle.dumps(table), repr(table).encode()]
    assert not any(b"SECRET" in each for each in kept)
    assert server.url("idx").encode() in kept[0]
    storage = Storage(options=StorageOptions(allow_local=True))
    chip = Chipper(table, storage=storage).chip(0, 0)["red"]
    assert np.array_equal(chip, Chipper(scene_table).chip(0, 0)["red"])
    assert chip.any()


def test_an_index_written_from_such_a_table_keeps_no_signature(signed: str, tmp_path: Path) -> None:
    write_index(read_index(signed), tmp_path / "new")
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert len(files) > 1
    assert not any(b"SECRET" in path.read_bytes() for path in files)


def test_a_reader_in_another_process_is_told_that_access_is_refused(
    server: RangeServer, tmp_path: Path
) -> None:
    table = read_index(server.url("idx") + "?sig=SECRET")
    metadata = {**table.schema.metadata, b"stacchip:index": server.url("idx/").encode()}
    stranger = table.replace_schema_metadata(metadata).drop_columns(["item_href"])
    with pytest.raises((AccessDenied, ItemNotFound)):
        Chipper(stranger).chip(0, 0)


def test_records_hold_no_signature_of_an_item(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene")
    scene.item.make_asset_hrefs_absolute()
    item = scene.item.to_dict()
    link = "https://a.blob.core.windows.net/c/t.png?se=1&sig=SECRET"
    item["properties"]["thumbnail"] = item["assets"]["red"]["signed_url"] = link
    item["links"].append({"rel": "via", "href": link, "title": link, "raw": link})
    table = NoStatsChipIndexer(item).create_index()
    write_index(table, tmp_path / "i")
    pq.write_table(table, tmp_path / "a.parquet")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.parquet"))
    assert b"SECRET" not in written
    assert b"SECRET" not in json.dumps(Chipper(tmp_path / "i").find_item(0).to_dict()).encode()
