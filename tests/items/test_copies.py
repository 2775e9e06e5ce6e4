"""Copies of items: what is unsigned, and which are the same."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.items import unsign_item
from stacchip.items.copies import (
    content_digest,
    describe_difference,
    is_same_item,
    to_dict,
    to_json,
    unsign_hrefs,
)

UNSIGNED = "https://h.blob.core.windows.net/c/B04.tif"
SIGNED = f"{UNSIGNED}?sv=2024&se=2025&sr=c&sig=abc"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["href", "assets", "links", "geometry", "x"]), inner, max_size=3
        )
        | st.fixed_dictionaries({"href": st.sampled_from([SIGNED, UNSIGNED, "s3://u:p@b/k"])})
    ),
    max_leaves=20,
)


def make_item(item_id: str = "scene", **assets: str) -> pystac.Item:
    item = pystac.Item(item_id, None, None, datetime(2020, 2, 19, tzinfo=UTC), {})
    for key, href in assets.items():
        item.add_asset(key, pystac.Asset(href))
    return item


def signatures_in(value: Any, *, below: str = "") -> list[str]:
    """The signed hrefs of a JSON value, by another way than the code's."""
    if isinstance(value, dict):
        return [each for key in value for each in signatures_in(value[key], below=key)]
    if isinstance(value, list):
        return [found for each in value for found in signatures_in(each)]
    is_signed = below == "href" and isinstance(value, str) and ("sig=" in value or "@" in value)
    return [value] if is_signed else []


# -- signatures ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(JSON)
def test_no_signature_is_left_and_nothing_else_changes(value):
    before = deepcopy(value)
    plain = unsign_hrefs(value)
    assert value == before, "the value given stays as it was"
    assert signatures_in(plain) == []
    if not signatures_in(value):
        assert plain == value


@settings(deadline=None)
@given(JSON)
def test_json_text_is_what_the_unsigned_value_gives(value):
    assert json.loads(to_json(value)) == unsign_hrefs(value)


def test_hrefs_are_unsigned_wherever_they_are():
    value = {
        "links": [{"rel": "self", "href": SIGNED}],
        "assets": {"red": {"href": SIGNED, "alternate": {"s3": {"href": SIGNED}}}},
        "properties": {"mine": [{"deep": {"href": SIGNED}}]},
    }
    assert "sig=" not in str(unsign_hrefs(value))
    assert list(unsign_hrefs(value)) == list(value), "in the order they had"


def test_text_that_is_no_address_is_kept():
    value = {
        "title": UNSIGNED,
        "href": 7,
        "description": "a@b?sig=c",
        "question": "Which key? key=1",
        "significance": "What is it? By t.test;sig=0.05, or ?sig=0.05.",
        "licence": "https://example.com/terms?version=2&lang=en#key-points",
        "created_by": "me@example.com",
        "contact": "mailto:me@example.com?subject=token",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
    }
    assert unsign_hrefs(value) == value


@pytest.mark.parametrize(
    "value",
    [[1, 2], [[1, 2]], ["a", [1]], ("a", [1]), {"a": [1]}, {"a": {}}, {"a": [[1], {}]}, {1: [1]}],
)
def test_the_copy_shares_nothing_with_the_value(value):
    def parts(value: Any) -> list[int]:
        inner = value.values() if isinstance(value, dict) else value
        within = [each for part in inner if isinstance(part, dict | list | tuple)
                  for each in parts(part)]  # fmt: skip
        return [id(value), *within]

    copy = unsign_hrefs(value)
    assert copy == value
    assert type(copy) is type(value)
    assert not {*parts(copy)} & {*parts(value)}


def test_a_name_that_is_no_text_does_not_keep_a_signature():
    assert unsign_hrefs({7: SIGNED, "a": {None: [SIGNED]}}) == {
        7: UNSIGNED,
        "a": {None: [UNSIGNED]},
    }


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (SIGNED, UNSIGNED),
        (f"See {SIGNED}, and {UNSIGNED}?v=1.", f"See {UNSIGNED}, and {UNSIGNED}?v=1."),
        ("https://me:pw@h/a.tif", "https://h/a.tif"),
        ("https://h/a.tif?id=1&X-Amz-Signature=s&v=2", "https://h/a.tif?id=1&v=2"),
        ("https://h/a.tif#access_token=s", "https://h/a.tif"),
        ("https://h/a?subscription-key=s&b=1", "https://h/a?b=1"),
        ("https://h/render?url=https%3A%2F%2Fh%2Fa%3Fsig%3Ds&b=1", "https://h/render?url=https%3A%2F%2Fh%2Fa&b=1"),
        ("/vsicurl?url=https%3A%2F%2Fh%2Fa%3Fsig%3Ds", "/vsicurl?url=https%3A%2F%2Fh%2Fa"),
        ("/vsicurl/https://h/a.tif?sig=s", "/vsicurl/https://h/a.tif"),
        ("thumbnail.png?sig=s", "thumbnail.png"),
        ("https://h/a.tif;jsessionid=s", "https://h/a.tif"),
        ("https://h/a;token=s/b.tif;v=1", "https://h/a/b.tif;v=1"),
        ("/vsicurl?url=https%3A%2F%2Fh%2Fa%3Bsig%3Ds", "/vsicurl?url=https%3A%2F%2Fh%2Fa"),
        ("a/thumbnail.png;jsessionid=s", "a/thumbnail.png"),
        ("https://h/a b.tif?v=1&sig=s", "https://h/a b.tif?v=1"),
        ("a b.tif?sig=s", "a b.tif"),
        ("see (h.org/a.tif?v=1&sig=s).", "see (h.org/a.tif?v=1)."),
        ("https://h/a?filter=b='c'&token=s", "https://h/a?filter=b='c'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["href", "signed_url", "thumbnail", "title", "mine:list"])
def test_a_signature_is_left_out_wherever_it_stands(place, text, plain):
    value = {"properties": {"x": [{place: [text] if place == "mine:list" else text}]}, "id": "a"}
    expected = json.loads(json.dumps(value).replace(json.dumps(text), json.dumps(plain)))
    assert unsign_hrefs(value) == expected
    assert json.loads(to_json(value)) == expected
    assert unsign_hrefs(expected) == expected


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"credential": "st=a%3A1&se=2&sp=rl&sv=3&sr=c&sig=abc%3D"}, {"credential": ""}),
        ({"sas_token": "?sv=3&sr=c&sig=abc="}, {"sas_token": ""}),
        ({"x": "AccountName=a;AccountKey=abc=;B=c"}, {"x": "AccountName=a;B=c"}),
        ({"x": r'{"a": "https:\/\/h\/a?sig=s"}'}, {"x": r'{"a": "https:\/\/h\/a"}'}),
        ({"x": r'"{\"a\": \"https://h/a?sig=s\"}"'}, {"x": r'"{\"a\": \"https://h/a\"}"'}),
        ({"x": '{"a": "b c.tif?sig=s"}'}, {"x": '{"a": "b c.tif"}'}),
        ({"a/b.tif?sig=s": 1}, {"a/b.tif": 1}),
        ({"x": "../a/B04?api_key=s&v=1"}, {"x": "../a/B04?v=1"}),
        (
            {"headers": {"Authorization": "Bearer s", "X-Token": "s", "Accept": "image/tiff"}},
            {"headers": {"Accept": "image/tiff"}},
        ),
        ({"HTTP_Headers": {"Authorization": "s"}}, {"HTTP_Headers": {}}),
        ({"headers": ["Authorization"]}, {"headers": ["Authorization"]}),
    ],
)  # fmt: skip
def test_a_signature_is_left_out_in_whatever_form_it_comes(value, plain):
    item = {"assets": {"data": {"xarray:storage_options": value}}}
    expected = {"assets": {"data": {"xarray:storage_options": plain}}}
    assert unsign_hrefs(item) == json.loads(to_json(item)) == expected


def test_a_session_in_the_path_is_left_out_whatever_its_member_is_called():
    value = {"type": "https://h/a;token=s", "title": "https%3A%2F%2Fh%2Fa%3Btoken%3Ds"}
    plain = {"type": "https://h/a", "title": "https%3A%2F%2Fh%2Fa"}
    assert unsign_hrefs(value) == json.loads(to_json(value)) == plain


def test_an_item_of_pystac_is_unsigned_wherever_a_signature_stands():
    item = make_item(red=SIGNED)
    item.properties["thumbnail"] = SIGNED
    item.extra_fields["mine"] = {"deep": [SIGNED]}
    item.assets["red"].extra_fields["signed_url"] = SIGNED
    item.assets["red"].description = f"also {SIGNED}"
    item.add_link(pystac.Link("via", SIGNED, title=SIGNED, extra_fields={"raw": SIGNED}))
    before = json.dumps(item.to_dict(include_self_link=False))
    text = json.dumps(unsign_item(item).to_dict(include_self_link=False))
    assert "sig=abc" not in text
    assert text == before.replace(SIGNED, UNSIGNED)
    assert json.dumps(item.to_dict(include_self_link=False)) == before


def test_a_signed_item_is_copied_and_an_unsigned_one_passed_on() -> None:
    made = make_item(red="B04.tif")
    assert unsign_item(made) is made

    alternate = {"alternate": {"s3": {"href": SIGNED}}}
    made.add_asset("nir", pystac.Asset(UNSIGNED, extra_fields=alternate))
    made.add_link(pystac.Link("via", SIGNED))
    before = deepcopy(made.to_dict())
    copy = unsign_item(made)

    assert "sig=" not in str(copy.to_dict())
    assert made.to_dict() == before


@pytest.mark.parametrize("place", ["asset", "alternate", "link", "properties"])
def test_a_signature_anywhere_in_an_item_is_found(place):
    made = make_item(red=SIGNED if place == "asset" else UNSIGNED)
    if place == "alternate":
        made.assets["red"].extra_fields["alternate"] = {"s3": {"href": SIGNED}}
    if place == "link":
        made.add_link(pystac.Link("via", SIGNED))
    if place == "properties":
        made.properties["mine"] = {"href": SIGNED}
    assert "sig=" not in json.dumps(unsign_item(made).to_dict())
    assert "sig=" in json.dumps(made.to_dict())


def test_json_takes_numbers_of_numpy_and_refuses_other_values():
    assert to_json({"a": np.float32(0.5), "b": np.int16(3)}) == '{"a":0.5,"b":3}'
    with pytest.raises(TypeError, match="datetime cannot be stored"):
        to_json({"a": datetime(2020, 1, 1, tzinfo=UTC)})


# -- the same item ---------------------------------------------------------------------------------


def test_links_do_not_tell_items_apart():
    one, other = make_item(red=UNSIGNED), make_item(red=UNSIGNED)
    other.add_link(pystac.Link("parent", "https://example.com/collection.json"))
    other.set_self_href("https://example.com/scene.json")
    assert is_same_item(one, other)
    assert is_same_item(to_dict(one), to_dict(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (make_item(red="/a/B04.tif"), make_item(red="/b/B04.tif")),
        (make_item(red="/a/B04.tif"), make_item()),
        (make_item("one"), make_item("other")),
    ],
    ids=["files", "assets", "ids"],
)
def test_content_tells_items_apart(one, other):
    assert not is_same_item(one, other)
    assert not is_same_item(to_dict(one), to_dict(other))


def test_a_relative_href_is_another_file_beside_another_item():
    one, other, copy = (make_item(red="./B04.tif") for _ in range(3))
    one.set_self_href("/a/item.json")
    other.set_self_href("/b/item.json")
    copy.set_self_href("/a/another-name.json")
    assert not is_same_item(one, other)
    assert is_same_item(one, copy)


def test_a_difference_is_told_without_credentials_and_the_telling_fields_first():
    one, other = ({**to_dict(make_item(red=f"/{name}/B04.tif"))} for name in "ab")
    other["properties"] = {**other["properties"], "datetime": "2025-01-01T00:00:00Z"}
    said = describe_difference(one, other)
    assert re.fullmatch(
        r"properties\.datetime is '.*' and '2025-.*'; assets\.red\.href is '/a/.*' and '/b/.*'",
        said,
    )
    signed = {"id": "a", "assets": {"red": {"href": "https://h/a.tif?sig=secret"}}}
    assert "secret" not in describe_difference(signed, {"id": "a"})
    listed = {"id": "a", "copies": [{"href": "https://user:secret@h/a.tif"}]}
    assert "secret" not in describe_difference({"id": "a"}, listed)


def test_a_dictionary_of_an_item_keeps_its_hrefs_and_its_address():
    item = make_item(red="./B04.tif")
    item.set_self_href("/a/item.json")
    content = to_dict(item)
    assert content["assets"]["red"]["href"] == "./B04.tif"
    assert [link["href"] for link in content["links"]] == ["/a/item.json"]
    content["id"] = "other"
    assert item.id == "scene"


def test_items_are_compared_whose_files_have_addresses_that_lead_nowhere():
    item = pystac.Item("a", None, None, datetime(2024, 5, 1, tzinfo=UTC), {})
    item.set_self_href("https://example.com/a.json")
    item.add_asset("red", pystac.Asset("http://[::1/red.tif"))
    other = item.clone()
    assert is_same_item(item, other)
    assert content_digest(item) == content_digest(other)
    other.assets["red"].href = "http://[::1/nir.tif"
    assert not is_same_item(item, other)
