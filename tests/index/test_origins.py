"""What a remote index says stays that of a remote place, whatever road its chips take from there.

The index is on loopback, so that it may name loopback addresses; it may name no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from scenes import Scene, make_scene
from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.errors import ItemNotFound, NotAllowed
from stacchip.index import concat_indexes, merge_indexes, read_index, read_records, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items import load_items, parse_item, read_assets
from stacchip.storage import Storage, StorageOptions

TRUSTED = Storage(options=StorageOptions(allow_local=True))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = make_scene(tmp_path / "scene")
    scene.item.make_asset_hrefs_absolute()
    return scene


@pytest.fixture
def far(tmp_path: Path, scene: Scene) -> Iterator[Callable[[str], str]]:
    """Serves an index whose item names files of this machine; gives the address of a form of it."""
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, tmp_path / "www" / "folder")
    write_index(table, tmp_path / "www" / "one.parquet")
    with RangeServer(tmp_path / "www") as server:
        yield server.url


def through_merge(far: str, out: Path) -> str | pa.Table:
    merge_indexes(far, out)
    return str(out)


def through_the_command(far: str, out: Path) -> str | pa.Table:
    assert run(["merge", far, "-o", str(out)]) == 0
    return str(out)


def through_writing(far: str, out: Path) -> str | pa.Table:
    write_index(read_index(far), out)
    return str(out)


def through_one_file(far: str, out: Path) -> str | pa.Table:
    write_index(read_index(far), f"{out}.parquet")
    return f"{out}.parquet"


def through_two_merges(far: str, out: Path) -> str | pa.Table:
    merge_indexes(far, out.parent / "between")
    merge_indexes([out.parent / "between"], out)
    return str(out)


def through_another_library(far: str, out: Path) -> str | pa.Table:
    return read_index(far).replace_schema_metadata(None)


def through_concat(far: str, out: Path) -> str | pa.Table:
    return concat_indexes([read_index(far)])


@pytest.mark.parametrize("form", ["folder", "one.parquet"])
@pytest.mark.parametrize("road", [
    through_merge, through_the_command, through_writing, through_one_file, through_two_merges,
    through_another_library, through_concat,
])  # fmt: skip
def test_no_road_makes_an_item_of_a_remote_index_a_local_one(
    road: Callable[[str, Path], str | pa.Table], form: str, far, tmp_path: Path
) -> None:
    index = road(far(form), tmp_path / "out")
    with pytest.raises((NotAllowed, ItemNotFound)) as caught:
        Chipper(index)[0]
    assert caught.value.item_id == "scene-1"
    if road is not through_another_library:  # whose rows tell no item; it may be remembered
        assert caught.type is NotAllowed
        assert far("") in str(caught.value)
    rows = index if isinstance(index, pa.Table) else read_index(index)
    assert set(rows["item_href"].to_pylist()) == {None}


def test_a_record_that_is_read_says_where_it_came_from(far, scene: Scene) -> None:
    (record,) = read_records(far("folder"))
    assert record.item_href is None
    for item in (parse_item(record.item), *load_items(record.item)):
        with pytest.raises(NotAllowed, match="127"):
            read_assets(item, Storage())["red"].require_href()
    (trusted,) = read_records(far("folder"), storage=TRUSTED)
    assert trusted.item["assets"] == record.item["assets"]
    assert trusted.item_href == scene.item.get_self_href()


def test_who_trusts_the_index_may_merge_it_as_his_own(far, scene: Scene, tmp_path: Path) -> None:
    merge_indexes(far("folder"), tmp_path / "out", storage=TRUSTED)
    expected = Chipper(NoStatsChipIndexer(scene.item)).chip(0, 0)
    chip = Chipper(str(tmp_path / "out")).chip(0, 0)
    assert all((chip[key] == expected[key]).all() for key in expected)


def test_the_copy_of_an_index_on_the_web_is_of_the_same_items(far, tmp_path: Path) -> None:
    merged = merge_indexes(
        [tmp_path / "www" / "folder", far("folder")], tmp_path / "out", duplicates="drop"
    )
    assert merged.records == 1
    assert merged.dropped == merged.chips


def test_a_local_index_stays_local_beside_a_remote_one(far, tmp_path: Path) -> None:
    other = make_scene(tmp_path / "other", item_id="scene-2")
    other.item.make_asset_hrefs_absolute()
    write_index(NoStatsChipIndexer(other.item).create_index(), tmp_path / "near")
    merge_indexes([tmp_path / "near", far("folder")], tmp_path / "out")
    mine = read_index(tmp_path / "out", item_id="scene-2")
    assert Chipper(mine)[0]
    with pytest.raises(NotAllowed):
        Chipper(read_index(tmp_path / "out", item_id="scene-1"))[0]
