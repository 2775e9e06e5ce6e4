"""One item from its JSON: what is let in, what is refused, and what is taken off."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacchip.errors import InvalidMetadata, ItemError, LimitExceeded, MissingMetadata
from stacchip.items import item_href, load_items, parse_item, read_assets

SIGNED = "https://account.blob.core.windows.net/c/B04.tif?sv=2024&se=2025&sr=c&sig=abc"
UNSIGNED = "https://account.blob.core.windows.net/c/B04.tif"


def record(**changes: Any) -> dict[str, Any]:
    made = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene",
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:04:56Z"},
        "links": [],
        "assets": {"red": {"href": "./B04.tif"}},
    } | changes
    return {field: value for field, value in made.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"id": ...}, MissingMetadata, "id"),
        ({"id": ""}, InvalidMetadata, "id"),
        ({"id": 7}, InvalidMetadata, "id"),
        ({"type": "Collection"}, InvalidMetadata, "type"),
        ({"type": ...}, InvalidMetadata, "type"),
        ({"geometry": ...}, MissingMetadata, "geometry"),
        ({"geometry": "POINT (0 0)"}, InvalidMetadata, "geometry"),
        ({"geometry": {"coordinates": [0, 0]}}, InvalidMetadata, "geometry"),
        ({"properties": ...}, MissingMetadata, "properties"),
        ({"properties": None}, InvalidMetadata, "properties"),
        ({"properties": {}}, MissingMetadata, "datetime"),
        ({"properties": {"datetime": None}}, MissingMetadata, "datetime"),
        ({"properties": {"datetime": "no date"}}, InvalidMetadata, "datetime"),
        (
            {"properties": {"datetime": None, "start_datetime": "2020-01-01"}},
            MissingMetadata,
            "end_datetime",
        ),
        (
            {"properties": {"start_datetime": "2020-01-01", "end_datetime": "never"}},
            InvalidMetadata,
            "end_datetime",
        ),
        ({"assets": []}, InvalidMetadata, "assets"),
        ({"assets": {"red": {}}}, InvalidMetadata, "href"),
        ({"assets": {"red": {"href": None}}}, InvalidMetadata, "href"),
        ({"assets": {"red": "B04.tif"}}, InvalidMetadata, "href"),
        ({"links": {}}, InvalidMetadata, "links"),
        ({"links": [{"rel": "self"}]}, InvalidMetadata, "links"),
        ({"stac_version": ...}, MissingMetadata, "stac_version"),
        ({"stac_version": 1.0}, InvalidMetadata, "stac_version"),
    ],
)
def test_a_wrong_record_is_refused_with_item_and_field(
    changes: dict[str, Any], kind: type[ItemError], field: str
) -> None:
    with pytest.raises(kind) as caught:
        parse_item(record(**changes))

    assert caught.value.field == field
    if field != "id":
        assert "'scene'" in str(caught.value)
        assert caught.value.item_id == "scene"


@pytest.mark.parametrize("what", [None, 3, "item.json", ["a"]])
def test_what_is_no_object_is_refused(what: Any) -> None:
    with pytest.raises(InvalidMetadata, match="JSON object"):
        parse_item(what)


@pytest.mark.parametrize("version", ["0.7.0", "0.9.0", "1.0.0-beta.2", "1.0.0", "1.1.0"])
def test_versions_of_stac_from_0_7_on_are_read(version: str) -> None:
    assert parse_item(record(stac_version=version)).id == "scene"


@pytest.mark.parametrize("field", ["assets", "links"])
@pytest.mark.parametrize("value", [None, ...])
def test_assets_and_links_may_be_absent(field: str, value: Any) -> None:
    assert parse_item(record(**{field: value})).id == "scene"


def test_a_null_datetime_with_start_and_end_is_read() -> None:
    dates = {"datetime": None, "start_datetime": "2020-01-01", "end_datetime": "2020-12-31"}

    assert parse_item(record(properties=dates)).datetime is None


def test_the_record_is_left_as_it_is() -> None:
    given_ = record(
        stac_version="1.0.0",
        properties={"datetime": "2020-02-19 11:04:56Z", "proj:epsg": 32629, "proj:code": "EPSG:1"},
        stac_extensions=["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        assets={"red": {"href": SIGNED, "proj:epsg": 32629}},
    )
    before = deepcopy(given_)

    parse_item(given_, href="s3://bucket/item.json")

    assert given_ == before


def test_signatures_are_taken_off_assets_alternates_and_links() -> None:
    item = parse_item(
        record(
            assets={"red": {"href": SIGNED, "alternate": {"s3": {"href": SIGNED}}}},
            links=[{"rel": "self", "href": SIGNED}, {"rel": "parent", "href": SIGNED}],
        )
    )

    assert "sig=" not in str(item.to_dict())
    assert item.assets["red"].href == UNSIGNED
    assert item.assets["red"].extra_fields["alternate"]["s3"]["href"] == UNSIGNED
    assert item_href(item) == UNSIGNED


def test_a_record_nested_without_end_is_refused() -> None:
    deep: Any = "end"
    for _ in range(20_000):
        deep = {"inner": deep}

    with pytest.raises(LimitExceeded, match="more than 100 deep"):
        parse_item(record(properties={"datetime": "2020-02-19T11:04:56Z", "deep": deep}))


@pytest.mark.parametrize("place", ["properties", "extra_fields", "asset", "link", "geometry"])
def test_an_item_of_pystac_nested_without_end_is_refused(place: str) -> None:
    deep: Any = "end"
    for _ in range(20_000):
        deep = [deep]
    item = parse_item(
        record(assets={"red": {"href": UNSIGNED}}, links=[{"rel": "via", "href": "a"}])
    )
    item.geometry = {"type": "Point", "coordinates": []}
    places = {
        "properties": item.properties,
        "extra_fields": item.extra_fields,
        "asset": item.assets["red"].extra_fields,
        "link": item.links[0].extra_fields,
        "geometry": item.geometry,
    }
    places[place]["deep"] = deep

    with pytest.raises(LimitExceeded, match="more than 100 deep"):
        list(load_items(item))


@pytest.mark.parametrize(("field", "value"), [("roles", 5), ("roles", {}), ("type", 5)])
def test_a_field_of_an_asset_of_another_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidMetadata, match=rf"assets\.red\.{field}"):
        parse_item(record(assets={"red": {"href": "a.tif", field: value}}))


@pytest.mark.parametrize("field", ["id", "collection"])
def test_a_name_with_half_of_a_character_is_refused(field: str) -> None:
    with pytest.raises(InvalidMetadata, match="whole characters"):
        parse_item(record() | {field: "half \ud800"})


def test_links_without_an_address_are_left_out() -> None:
    links = [{"rel": "self", "href": ""}, {"rel": "via", "href": "https://a.org"}]
    assert [link.rel for link in parse_item(record(links=links)).links] == ["via"]


@pytest.mark.parametrize(
    ("own", "href", "base", "expected"),
    [
        ("https://a.org/items/x", "/data/x.json", None, "/data/x.json"),
        ("./x.json", "/data/x.json", None, "/data/x.json"),
        (None, "/data/x.json", None, "/data/x.json"),
        ("https://a.org/items/x", None, "/data/all.json", "https://a.org/items/x"),
        ("./x.json", None, "/data/all.json", "/data/all.json"),
        (None, None, "/data/all.json", "/data/all.json"),
        ("/items/x", None, "https://a.org/all.json", "https://a.org/items/x"),
        ("//b.org/items/x", None, "https://a.org/all.json", "https://b.org/items/x"),
        ("/items/x", None, "s3://bucket/all.json", "s3://bucket/items/x"),
        ("/items/x", "https://a.org/x.json", None, "https://a.org/x.json"),
        ("/items/x.json", None, "/data/all.json", "/items/x.json"),
        ("/items/x.json", None, None, "/items/x.json"),
        ("./x.json", None, None, None),
        (None, None, None, None),
    ],
)
def test_an_items_address_is_its_file_or_its_own_or_its_collections(
    own: str | None, href: str | None, base: str | None, expected: str | None
) -> None:
    links = [] if own is None else [{"rel": "self", "href": own}]

    item = parse_item(record(links=links), href=href, base=base)

    assert item_href(item) == expected
    assert item.assets["red"].href == "./B04.tif"


@pytest.mark.parametrize("level", ["item", "asset"])
def test_a_code_that_contradicts_an_epsg_is_not_lost_in_migration(level: str) -> None:
    both = {"proj:code": "EPSG:32613", "proj:epsg": 32614}
    grid = {"proj:shape": [1, 1], "proj:transform": [1, 0, 0, 0, -1, 0]}
    made = record(
        stac_extensions=["https://stac-extensions.github.io/projection/v1.1.0/schema.json"]
    )
    (made["properties"] if level == "item" else made["assets"]["red"]).update(both | grid)

    problem = read_assets(parse_item(made))["red"].problem

    assert isinstance(problem, InvalidMetadata)
    assert "32613" in str(problem)
    assert "32614" in str(problem)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(record())), JSON)
def test_no_record_raises_anything_but_an_item_error(field: str, value: Any) -> None:
    try:
        read_assets(parse_item(record(**{field: value})))
    except ItemError as error:
        assert error.field
