"""Items of real catalogues, damaged at random: every public function ends in an error of ours."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from stacchip.errors import InvalidMetadata, LimitExceeded, StacchipError, UnexpectedError
from stacchip.indexer import Indexer, NoStatsChipIndexer, index_items
from stacchip.items import (
    Archive,
    item_datetime,
    item_href,
    item_key,
    load_items,
    parse_item,
    read_assets,
    reference_asset,
)
from stacchip.items.copies import content_digest, to_json
from stacchip.items.mount import Mount
from stacchip.sources import find_source
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = (
    "sentinel2/pystac__raster-sentinel2-example.json",
    "landsat/pystac__classification_landsat_example.json",
    "linz/argo-tasks__BD31.json",
    "naip/stac-geoparquet__naip-pc.json",
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 5, 2**63, 10**400, 1e308, float("nan"), float("inf")),
    *("", " ", ".", "..", "a/b", "\0", "\ud800", "\x1b[2J", "x" * 10_000, "many"),
    *([], [None], [[[]]], [5, 5], [1e308] * 9, ["a"] * 6, [0] * 6, [1, 2, 3], {}, {"a": None}),
    *({"href": 5}, {"type": "Polygon", "coordinates": [[[1e308, 1e308], [0, -1e308], [0, 1]]]}),
    *("EPSG:0", "EPSG:4978", "IAU_2015:30100", "PROJCS[", "+proj=longlat +R=1"),
    *("0000-01-01T00:00:00Z", "99999-01-01", "9999-12-31T23:59:59-23:59", "2020-01-01T00:00+99:99"),
    *("file:///nowhere/a", "http://[::1", "s3://", "weird://x", "/vsizip/a.zip", "http://a:b/x"),
)
FIELDS = (
    *("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson", "proj:shape", "proj:transform"),
    *("proj:bbox", "proj:geometry", "proj:centroid", "eo:bands", "raster:bands", "bands", "nodata"),
    *("data_type", "gsd", "alternate", "roles", "type", "href", "datetime", "start_datetime", "id"),
    *("platform", "eo:cloud_cover", "stac_extensions", "stac_version", "collection", "geometry"),
    *("bbox", "links", "assets", "properties", "stacchip:origin", "stacchip:grid", "rel"),
    *("stacchip:choices", "s2:processing_baseline", "processing:software", "s2:product_uri"),
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    if len(place) < 6 and isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value[:3])
        for key, each in inner:
            yield from places(each, (*place, key))


def damage(record: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy of a record with one to three values replaced, dropped, added or renamed."""
    damaged = deepcopy(record)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        place = dice.choice(list(places(damaged)))
        at: Any = damaged
        for key in place[:-1]:
            at = at[key]
        how, value = dice.random(), deepcopy(dice.choice(VALUES))
        if how < 0.6 or isinstance(at, list):
            at[place[-1]] = value
        elif how < 0.75:
            del at[place[-1]]
        elif how < 0.9:
            at[dice.choice(FIELDS)] = value
        else:
            at[dice.choice(FIELDS)] = at.pop(place[-1])
    return damaged


def doors(record: dict[str, Any], storage: Storage, folder: Path) -> Iterator[Any]:
    """What a user may do with an item, each as a function."""
    yield lambda: item_key(next(load_items([record])))
    yield lambda: NoStatsChipIndexer(record, 4096, storage=storage).create_index()
    yield lambda: index_items([record], folder / "i", chip_size=4096, stats=False, headers=False)
    item = next(load_items([record], errors="skip"), None)
    if item is None:
        return
    yield lambda: [info.is_raster for info in read_assets(item, storage).values()]
    yield lambda: reference_asset(item, source=find_source(item))
    yield lambda: (item_key(item), item_href(item), item_datetime(item))
    yield lambda: (repr(Indexer(item)), Indexer(item).qa_asset)
    yield lambda: (to_json(record).encode(), content_digest(record), content_digest(item))
    yield lambda: Archive(str(folder)).relocate(item, "naip")
    yield lambda: Mount(str(folder)).relocate(item, "naip", storage)


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_an_error_of_ours_at_every_door(name, shared_data, tmp_path):
    record = json.loads((shared_data / "items" / name).read_text())
    record = record[0] if isinstance(record, list) else record
    record["assets"] = dict(list(record["assets"].items())[:3])
    dice, storage = random.Random(name), Storage()
    refused = 0
    for _ in range(30):
        for door in doors(damage(record, dice), storage, tmp_path):
            try:
                door()
            except UnexpectedError:
                raise
            except StacchipError as error:
                refused += 1
                str(error).encode()  # it can be printed
    assert refused


def make_record(**fields: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "links": [],
        "properties": {"datetime": "2020-01-01T00:00:00Z"}, "assets": {}, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    "item_id",
    [".", "..", "../a", "a/../../b", "/etc/a", "\\\\host\\a", "a\\..\\b", "a\0b", "a\nb",
     "\x1b]0;a\x07", "a\x9bb", "a\u202eb", 5, "", None, ["a"]],
)  # fmt: skip
def test_an_id_chooses_no_folder_and_commands_no_terminal(item_id):
    with pytest.raises(StacchipError) as caught:
        parse_item(make_record(id=item_id))
    assert str(caught.value).isprintable()
    if isinstance(item_id, str) and item_id:
        item = parse_item(make_record())
        item.id = item_id
        with pytest.raises(InvalidMetadata):
            NoStatsChipIndexer(item)


@pytest.mark.parametrize("item_id", ["a/b", "S2A_29RKH:1", "été", "a b", "a..b", "...", "x" * 300])
def test_an_id_may_be_any_other_text(item_id):
    assert parse_item(make_record(id=item_id)).id == item_id


def test_an_item_of_too_many_parts_is_refused_before_it_is_copied():
    ring = [[number / 1e6, 0.0] for number in range(200_001)]
    with pytest.raises(LimitExceeded, match="'item_parts' is 200000"):
        parse_item(make_record(geometry={"type": "Polygon", "coordinates": [ring]}))


def test_of_thousands_of_grids_some_are_read():
    grid = {"proj:code": "EPSG:32629", "proj:transform": [10, 0, 500000, 0, -10, 4000000]}
    assets = {
        f"a{number}": {"href": "a.tif", **grid, "proj:shape": [512 + number % 400, 512]}
        for number in range(1000)
    }
    infos = read_assets(parse_item(make_record(assets=assets)))
    assert [info.problem is None for info in infos.values()].count(True) == 300
    assert "different grids" in str(infos["a399"].problem)
    for asset in assets.values():
        asset["proj:shape"] = [512, 512]
    infos = read_assets(parse_item(make_record(assets=assets)))
    assert all(info.geobox is not None for info in infos.values())
