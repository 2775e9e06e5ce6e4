"""An item of a remote catalogue that names files of this machine: no way leads to their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacchip.chipper import Chipper
from stacchip.errors import NotAllowed
from stacchip.index import read_index, write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import Indexer, NoStatsChipIndexer, index_items
from stacchip.items.record import parse_items
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path

    import pystac

    from scenes import Scene

FAR = "https://example.com/items/a.json"


@pytest.fixture
def far(scene: Scene) -> pystac.Item:
    """An item of the web that names the files of a scene on this machine."""
    item = scene.item.clone()
    item.set_self_href(FAR)
    for asset in item.assets.values():
        asset.href = "file://" + str(scene.folder / asset.href.removeprefix("./"))
    return item


def test_no_door_reads_what_an_item_may_not_name(far: pystac.Item, tmp_path: Path) -> None:
    table = NoStatsChipIndexer(far).create_index()
    for attempt in (
        lambda: Indexer(far).create_index(),
        lambda: NoStatsChipIndexer(far, open_files=True).create_index(),
        lambda: gather_headers([far]),
        lambda: index_items([far], tmp_path / "i"),
        lambda: index_items([far], tmp_path / "i", stats=False, open_files=True, headers=False),
        lambda: Chipper(table)[0],
        lambda: Chipper(table.replace_schema_metadata(None), items=[far])[0],
    ):
        with pytest.raises(NotAllowed, match=r"asset '\w+': https://example\.com/items/a\.json"):
            attempt()


def test_the_user_may_allow_it_or_name_the_files(far: pystac.Item, scene: Scene) -> None:
    table = NoStatsChipIndexer(far).create_index()
    allowed = Storage(options=StorageOptions(allow_local=True))
    expected = Chipper(NoStatsChipIndexer(scene.item)).chip(0, 0)
    for chip in (
        Chipper(table, storage=allowed).chip(0, 0),
        Chipper(table, mountpath="/").chip(0, 0),
    ):
        assert chip.keys() == expected.keys()
        assert all((chip[key] == expected[key]).all() for key in chip)


def test_an_index_keeps_where_an_item_came_from(scene: Scene, tmp_path: Path) -> None:
    record = scene.item.to_dict(include_self_link=False, transform_hrefs=False)
    for asset in record["assets"].values():
        asset["href"] = str(scene.folder / asset["href"].removeprefix("./"))
    items = parse_items([record], errors="raise", origin="the API", api="https://api.org")
    write_index(NoStatsChipIndexer(next(items)).create_index(), tmp_path / "index")
    for index in (str(tmp_path / "index"), read_index(tmp_path / "index")):
        with pytest.raises(NotAllowed, match=r"https://api\.org names"):
            Chipper(index)[0]
