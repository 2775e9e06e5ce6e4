"""JSON documents within limits of size, growth and depth."""

from __future__ import annotations

from typing import Any

import pytest

from stacchip.errors import InvalidMetadata, LimitExceeded, StacchipError
from stacchip.items import load_items
from stacchip.storage import Limits, Storage, StorageOptions
from stacchip.storage.documents import parse_document, parse_json, require_depth


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"a":' * 100_000,
    ],
)
def test_a_document_that_nests_too_deeply_is_refused(data: bytes) -> None:
    with pytest.raises(LimitExceeded, match=r"a\.json nests more than 100 deep") as caught:
        parse_document(data, "a.json", Limits())
    assert caught.value.limit == "document_depth"


def test_a_document_may_nest_as_deep_as_the_limit() -> None:
    assert parse_document(b"[" * 100 + b"]" * 100, "a.json", Limits())


@pytest.mark.parametrize("part", [b"[],", b"{},", b'{"a":0},', b"1,"])
def test_a_document_whose_values_would_fill_the_memory_is_refused(part: bytes) -> None:
    limits = Limits(document_bytes=1 << 20)
    with pytest.raises(LimitExceeded, match="document_bytes"):
        parse_document(b"[" + part * ((2 << 20) // len(part)) + b"0]", "a.json", limits)
    with pytest.raises(LimitExceeded, match="document_bytes"):
        parse_document(b"[" + b"[]," * 300_000 + b"0]", "a.json", limits)


def test_an_object_counts_as_the_memory_that_it_takes() -> None:
    limits = Limits(document_bytes=1 << 20)
    with pytest.raises(LimitExceeded, match="document_bytes"):
        parse_document(b"[" + b'{"a":0},' * 55_000 + b"0]", "a.json", limits)


def test_coordinates_may_fill_a_document_to_the_limit() -> None:
    data = b"[" + b"[-9.125,38.25]," * 69_000 + b"0]"
    assert len(parse_document(data, "a.json", Limits(document_bytes=1 << 20))) == 69_001


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"\x00", b"II*\x00", b"NaN]", b"\x80["])
def test_what_is_no_json_is_refused_with_its_address_but_no_key(data: bytes) -> None:
    with pytest.raises(InvalidMetadata, match="is not JSON") as caught:
        parse_document(data, "https://example.com/a.json?sig=abc", Limits())
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" + "[]," * 500 + "1]", "[" + '{"a":0},' * 500 + "1]", "[" + "1," * 1_000 + "1]"]
)
def test_json_of_an_index_has_no_more_parts_than_its_place_allows(text: str) -> None:
    for given in (text, text.encode()):
        assert len(parse_json(given, 1_001)) > 500
        with pytest.raises(ValueError, match="more than 1,000 parts"):
            parse_json(given, 1_000)


@pytest.mark.parametrize("text", ["[" * 200_000, "", "[", "{1}"])
def test_what_is_no_json_of_an_index_is_a_value_error(text: str) -> None:
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match=r"."):
            parse_json(given, 10**6)


def test_a_value_that_holds_itself_is_refused_at_once() -> None:
    inside: dict[str, Any] = {}
    inside |= {str(number): inside for number in range(50)}
    with pytest.raises(LimitExceeded):
        require_depth(inside, "The item", Limits(), most_parts=1000)
    with pytest.raises(StacchipError):
        list(load_items([inside]))


def test_a_list_in_several_places_counts_in_each() -> None:
    doubled: list[Any] = [1]
    for _ in range(40):  # 2^40 lists, once copied or written
        doubled = [doubled, doubled]
    with pytest.raises(LimitExceeded, match="has more than 1,000 parts") as caught:
        require_depth(doubled, "The item", Limits(), most_parts=1000)
    assert caught.value.limit == "item_parts"
    require_depth([[1, 2]] * 1000, "The item", Limits(), most_parts=1000)


def test_a_file_of_items_above_the_limit_is_refused(tmp_path) -> None:
    path = tmp_path / "items.json"
    path.write_text("[" + " " * 2000 + "]")
    storage = Storage(options=StorageOptions(limits=Limits(document_bytes=1000)))
    with pytest.raises(StacchipError, match="1000"):
        list(load_items(path, storage=storage))
    assert list(load_items(path)) == []


def test_a_document_with_millions_of_lists_is_not_searched_for_the_end_of_each() -> None:
    data = b"[" * 1_500_000 + b"]" * 1_500_000
    with pytest.raises(LimitExceeded, match="nests more than 100 deep"):
        parse_document(data, "a.json", Limits(), of_items=True)
