"""Items from files, addresses, objects, collections and stac-geoparquet."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pystac
import pytest
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from stacchip.errors import (
    InvalidMetadata,
    LimitExceeded,
    MissingMetadata,
    ObjectNotFound,
    UsageError,
)
from stacchip.items import item_href, load_items, read_assets, reference_asset

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(item_id: str = "scene", **changes: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:04:56Z"},
        "links": [],
        "assets": {"red": {"href": "./B04.tif"}},
    } | changes


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def ids(source: Any, **options: Any) -> list[str]:
    return [item.id for item in load_items(source, **options)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server over `tmp_path`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# -- objects


def test_items_dicts_paths_and_collections_may_be_mixed(tmp_path: Path) -> None:
    (item,) = load_items(record("item"))
    path = write(tmp_path / "item.json", record("path"))
    collection = pystac.ItemCollection([item.clone()])
    features = {"type": "FeatureCollection", "features": [record("a"), record("b")]}

    mixed = [item, record("dict"), path, str(path), collection, features, [record("inner")]]

    assert ids(mixed) == ["item", "dict", "path", "path", "item", "a", "b", "inner"]
    assert ids(iter(mixed)) == ids(tuple(mixed))


def test_an_item_that_is_passed_in_is_passed_on() -> None:
    (item,) = load_items(record())

    assert next(load_items(item)) is item


def test_items_come_one_at_a_time() -> None:
    def endless() -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            number += 1
            yield record(str(number))

    items = load_items(endless())

    assert [next(items).id, next(items).id] == ["1", "2"]


@pytest.mark.parametrize("nothing", [[], {"type": "FeatureCollection", "features": []}, ()])
def test_nothing_gives_no_items(nothing: Any) -> None:
    assert ids(nothing) == []


@pytest.mark.parametrize("source", [None, 7, b"{}", pystac.Catalog("c", "d")])
def test_what_holds_no_items_is_refused_at_once(source: Any) -> None:
    with pytest.raises(UsageError, match="Pass"):
        load_items(source)


def test_an_unknown_way_with_errors_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="skip"):
        load_items([], errors="ignore")  # type: ignore[arg-type]


# -- files


def test_a_files_item_has_the_file_for_its_address(tmp_path: Path) -> None:
    own = [{"rel": "self", "href": "https://example.com/items/scene"}]
    path = write(tmp_path / "scene" / "item.json", record(links=own))

    (item,) = load_items(path)

    assert item_href(item) == str(path)
    assert item.assets["red"].href == "./B04.tif"
    assert read_assets(item)["red"].href == str(tmp_path / "scene" / "B04.tif")


@pytest.mark.parametrize("name", ["item.json", "items.ndjson", "page.json", "list.json"])
def test_paths_of_a_local_copy_are_those_of_the_host_it_came_from(
    name: str, tmp_path: Path
) -> None:
    hrefs = {"red": "/d/B04.tif?v=1", "blue": "s3://bucket/B02.tif"}
    content: Any = record(
        links=[{"rel": "self", "href": "https://a.org/stac/items/scene"}],
        assets={key: {"href": href} for key, href in hrefs.items()},
    )
    if name == "page.json":
        content = {"type": "FeatureCollection", "features": [content]}
    elif name == "list.json":
        content = [content]
    (item,) = load_items(write(tmp_path / name, content))
    found = {key: info.href for key, info in read_assets(item).items()}
    assert found == hrefs | {"red": "https://a.org/d/B04.tif?v=1"}


def test_a_local_copy_finds_what_is_on_this_machine(tmp_path: Path) -> None:
    links = [{"rel": "self", "href": "https://a.org/stac/items/scene"}]
    downloaded = str(write(tmp_path / "elsewhere" / "B08.tif", ""))
    assets = {"red": {"href": "./B04.tif"}, "nir": {"href": downloaded}}
    (item,) = load_items(write(tmp_path / "item.json", record(links=links, assets=assets)))
    found = {key: info.href for key, info in read_assets(item).items()}
    assert found == {"red": str(tmp_path / "B04.tif"), "nir": downloaded}


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "item.json", record())
    monkeypatch.chdir(tmp_path)

    (item,) = load_items("item.json")

    assert item_href(item) == str(tmp_path / "item.json")


def test_a_collections_items_keep_their_own_address_or_have_the_files(tmp_path: Path) -> None:
    own = [{"rel": "self", "href": "https://example.com/items/a"}]
    features = [record("a", links=own), record("b")]
    path = write(tmp_path / "all.geojson", {"type": "FeatureCollection", "features": features})

    first, second = load_items(path)

    assert item_href(first) == "https://example.com/items/a"
    assert item_href(second) == str(path)
    assert read_assets(second)["red"].href == str(tmp_path / "B04.tif")


def test_a_url_is_read_like_a_file(tmp_path: Path, site: str) -> None:
    write(tmp_path / "scene" / "item.json", record())

    (item,) = load_items(f"{site}/scene/item.json")

    assert item_href(item) == f"{site}/scene/item.json"
    assert read_assets(item)["red"].href == f"{site}/scene/B04.tif"


@pytest.mark.parametrize("kind", ["Collection", "Catalog", None])
def test_the_items_that_a_collection_links_to_are_followed(
    tmp_path: Path, site: str, kind: str | None
) -> None:
    links = [{"rel": "item", "href": f"./{name}/item.json"} for name in "ab"]
    links += [{"rel": "root", "href": "../catalog.json"}]
    write(tmp_path / "collection.json", {"type": kind, "id": "c", "links": links})
    for name in "ab":
        write(tmp_path / name / "item.json", record(name))

    assert ids(tmp_path / "collection.json") == ["a", "b"]
    assert ids(f"{site}/collection.json") == ["a", "b"]


def test_a_catalog_without_items_says_what_to_pass_instead(tmp_path: Path) -> None:
    links = [{"rel": "child", "href": "./a/collection.json"}] * 3
    path = write(tmp_path / "catalog.json", {"type": "Catalog", "id": "c", "links": links})

    with pytest.raises(UsageError, match=r"catalog\.json.*3 children"):
        ids(path)


def test_real_collections_of_linz_link_to_their_items(shared_data: Path) -> None:
    (path,) = (shared_data / "linz/collections").glob("*tasman*")

    # the collection is there, its items are not
    with pytest.raises(ObjectNotFound, match=r"BQ26_1000_2304\.json"):
        ids(path)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("<html>", "not JSON"),
        ("", "not JSON"),
        ('{"type": "Feature", "id":', "not JSON"),
        ("3", "JSON object"),
        ('{"type": "FeatureCollection"}', "features"),
        ('{"type": "FeatureCollection", "features": [3]}', "JSON object"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, error: str) -> None:
    path = write(tmp_path / "item.json", content)

    with pytest.raises(InvalidMetadata, match=error):
        ids(path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ObjectNotFound, match=r"nowhere\.json"):
        ids("/nowhere.json")


def test_wrong_items_are_left_out_and_counted_only_when_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [
        record("a"),
        record("b", assets={"red": {}}),
        record("c", properties={}),
        record("d"),
    ]

    with pytest.raises(InvalidMetadata, match="'b'"):
        ids(records)
    with caplog.at_level(logging.WARNING, "stacchip"):
        assert ids(records, errors="skip") == ["a", "d"]
    assert "'b'" in caplog.text
    assert "'c'" in caplog.text
    assert "2 items were left out" in caplog.text


def test_a_file_that_is_no_json_is_an_error_also_when_items_may_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "item.json", "<html>")

    with pytest.raises(InvalidMetadata):
        ids(path, errors="skip")


# -- stac-geoparquet


@pytest.fixture
def pc_records(shared_data: Path) -> list[dict[str, Any]]:
    path = shared_data / "items/sentinel2/stac-geoparquet__sentinel-2-l2a-pc.json"
    records: list[dict[str, Any]] = json.loads(path.read_text())
    return records


def test_stac_geoparquet_gives_what_the_items_json_gives(
    pc_records: list[dict[str, Any]], tmp_path: Path, site: str
) -> None:
    path = tmp_path / "items.parquet"
    to_parquet(parse_stac_items_to_arrow(pc_records).read_all(), path)
    plain = list(load_items(pc_records))

    for source in (path, f"{site}/items.parquet"):
        items = list(load_items(source))
        for item, expected in zip(items, plain, strict=True):
            assert item.id == expected.id
            assert item.datetime == expected.datetime
            assert item_href(item) == item_href(expected)
            assert {key: (a.href, a.geobox) for key, a in read_assets(item).items()} == {
                key: (a.href, a.geobox) for key, a in read_assets(expected).items()
            }


def test_a_parquet_file_is_known_by_its_content(
    pc_records: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "items"
    to_parquet(parse_stac_items_to_arrow(pc_records).read_all(), path)

    assert ids(path) == [record["id"] for record in pc_records]


def test_an_arrow_table_of_items_is_read_too(pc_records: list[dict[str, Any]]) -> None:
    table = parse_stac_items_to_arrow(pc_records).read_all()

    assert ids(pa.table(table)) == ids(pc_records)


def test_items_of_several_collections_in_one_table_keep_their_own_assets(
    shared_data: Path, tmp_path: Path
) -> None:
    names = (
        "naip/planetary-computer-tasks__naip1.json",
        "landsat/odc-stac__LC08_L2SP_028030_20200114_20200824_02_T1_SR.json",
    )
    records = [json.loads((shared_data / "items" / name).read_text()) for name in names]
    path = tmp_path / "mixed.parquet"
    to_parquet(parse_stac_items_to_arrow(records).read_all(), path)

    for item, record_ in zip(load_items(path), records, strict=True):
        assert item.assets.keys() == record_["assets"].keys()
        assert reference_asset(item).geobox.shape == tuple(record_["properties"]["proj:shape"])


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"chipid": ["a"]}), tmp_path / "index.parquet")

    with pytest.raises(InvalidMetadata, match=r"index\.parquet.*chipid.*needs id"):
        ids(tmp_path / "index.parquet")


def test_an_item_that_lacks_a_field_in_a_collection_is_named() -> None:
    with pytest.raises(MissingMetadata, match="'b'"):
        ids({"type": "FeatureCollection", "features": [record("a"), record("b", properties={})]})


@pytest.mark.parametrize("form", ["item", "collection", "parquet"])
def test_a_path_of_an_item_from_the_web_is_one_on_its_host(
    tmp_path: Path, site: str, form: str
) -> None:
    content = record(
        links=[{"rel": "self", "href": "/items/scene", "type": "application/geo+json"}],
        assets={"red": {"href": "/data/B04.tif"}, "nir": {"href": f"{tmp_path}/B08.tif"}},
        geometry={"type": "Point", "coordinates": [0.0, 0.0]},
        bbox=[0.0, 0.0, 0.0, 0.0],
        stac_extensions=[],
    )
    place = tmp_path / f"api/{form}"
    if form == "parquet":
        place = place.with_suffix(".parquet")
        place.parent.mkdir()
        to_parquet(parse_stac_items_to_arrow([content]), place)
    else:
        is_item = form == "item"
        write(place, content if is_item else {"type": "FeatureCollection", "features": [content]})

    (item,) = load_items(f"{site}/api/{place.name}")

    assert item_href(item) == f"{site}/{'api/item' if form == 'item' else 'items/scene'}"
    assets = read_assets(item)
    assert assets["red"].href == f"{site}/data/B04.tif"
    assert assets["nir"].href == f"{site}{tmp_path}/B08.tif", "never the local file"


def test_a_dead_link_of_a_catalogue_costs_one_item(tmp_path: Path) -> None:
    write(tmp_path / "a.json", record("a"))
    write(tmp_path / "b.json", {"type": "Catalog", "links": [{"rel": "item", "href": "a.json"}]})
    hrefs: list[Any] = ["gone.json", "b.json", "a.json", None]
    links = [{"rel": "item", "href": href} for href in hrefs]
    catalogue = write(tmp_path / "catalog.json", {"type": "Catalog", "links": links})

    assert ids(catalogue, errors="skip") == ["a"]
    with pytest.raises(ObjectNotFound, match="gone"):
        ids(catalogue)


@pytest.mark.parametrize("links", [None, 5, {}, [5, None, {}]])
def test_malformed_links_of_a_catalogue_are_no_links(links: Any) -> None:
    with pytest.raises(UsageError, match="links to no items"):
        ids({"type": "Catalog", "links": links})


# -- one item among others that nests too deeply


@pytest.mark.parametrize("depth", [150, 5_000, 100_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"\\"[{":', "}")])
def test_an_item_that_nests_too_deeply_does_not_cost_the_others_of_its_file(
    depth: int, brackets: tuple[str, str], tmp_path: Path
) -> None:
    nested = brackets[0] * depth + "1" + brackets[1] * depth
    deep = json.dumps(record("b"))[:-1] + f', "mine": {nested}}}'
    features = ", ".join([json.dumps(record("a")), deep, nested, json.dumps(record("c"))])
    for text in (f'{{"type": "FeatureCollection", "features": [{features}]}}', f"[{features}]"):
        path = write(tmp_path / "items.json", text)
        assert ids(path, errors="skip") == ["a", "c"]
        with pytest.raises(LimitExceeded, match=r"Item 'b': It nests more than 100 deep"):
            ids(path)


def test_links_of_a_catalogue_that_nest_too_deeply_are_refused(tmp_path: Path) -> None:
    links = '[{"rel": "item", "href": ' + "[" * 700 + "]" * 700 + "}]"
    path = write(tmp_path / "catalog.json", f'{{"type": "Catalog", "links": {links}}}')
    with pytest.raises(LimitExceeded, match="nests more than 100 deep"):
        ids(path)
