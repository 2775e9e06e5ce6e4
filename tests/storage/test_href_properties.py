"""What holds for every href: it shows no secret, and folders and names fit together."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import UsageError
from stacchip.storage import (
    child_href,
    is_remote,
    join_href,
    local_path,
    parent_href,
    redact,
    unsign,
)
from stacchip.storage.href import parse_href

NAME = st.text("abcXYZ019_-.~ é", min_size=1, max_size=8).filter(lambda name: name.strip(". "))
FOLDER = st.sampled_from(
    [
        "s3://bucket",
        "s3://bucket/index",
        "gs://bucket/a/b",
        "az://container/a",
        "abfs://container@account.dfs.core.windows.net/a",
        "https://example.com/a",
        "https://example.com:8080/a/b",
        "/data/a",
        "data",
    ]
)
PUBLIC = st.sampled_from(["version=2", "sr=c", "a=b", "versionId=7", "flag", "x=%20", "st=1"])
SECRET = st.sampled_from(
    [
        "sig=SECRET",
        "X-Amz-Signature=SECRET",
        "x-amz-credential=SECRET",
        "AWSAccessKeyId=SECRET",
        "X-Goog-Signature=SECRET",
        "token=SECRET",
        "api_key=SECRET",
        "%73ig=SECRET",
        "password=SECRET",
        "Expires=SECRET",
        "Key-Pair-Id=SECRET",
    ]
)
USERINFO = st.sampled_from(["", "user@", "user:SECRET@", "SECRET@", "us%40er:SECRET@"])
PLACE = st.sampled_from(["https://{}example.com/a b/c.tif", "http://{}h:80/x", "s3://{}bucket/k"])


@given(PLACE, USERINFO, st.lists(PUBLIC | SECRET, max_size=5), st.sampled_from(["", "#part"]))
def test_no_secret_is_shown_or_stored_whatever_stands_around_it(
    place: str, userinfo: str, parameters: list[str], fragment: str
) -> None:
    query = "&".join(parameters)
    href = place.format(userinfo) + (f"?{query}" if query else "") + fragment
    for clean in (redact, unsign):
        cleaned = clean(href)
        assert "SECRET" not in cleaned
        assert clean(cleaned) == cleaned
        assert cleaned.startswith(place.format(""))


@given(st.lists(PUBLIC.filter(lambda each: each != "st=1"), max_size=4))
def test_what_is_no_secret_stays_in_its_order(parameters: list[str]) -> None:
    href = "https://example.com/a.tif" + ("?" + "&".join(parameters) if parameters else "")
    assert redact(href) == unsign(href) == href


@given(st.lists(PUBLIC, max_size=3), SECRET.filter(lambda each: "ig=" not in each))
def test_unsigning_keeps_what_does_not_sign(parameters: list[str], secret: str) -> None:
    href = "https://example.com/a.tif?" + "&".join([*parameters, secret])
    kept = "&".join(parameters)
    assert unsign(href) == "https://example.com/a.tif" + (f"?{kept}" if kept else "")


@given(st.text(max_size=60))
def test_any_text_can_be_shown(text: str) -> None:
    assert redact(redact(text)) == redact(text)
    assert unsign(unsign(text)) == unsign(text)


@given(FOLDER, st.lists(NAME, min_size=1, max_size=3))
def test_a_child_lies_in_its_folder(folder: str, names: list[str]) -> None:
    child = child_href(folder, *names)
    assert child == child_href(f"{folder}/", *names)
    assert child == child_href(folder, "/".join(names))
    above = child
    for _ in names:
        above = parent_href(above)
    assert above == folder
    assert child.startswith(f"{folder}/")


@given(FOLDER, NAME, NAME)
def test_a_document_finds_its_neighbour(folder: str, document: str, neighbour: str) -> None:
    base = child_href(folder, document.replace("~", "-"))
    beside = child_href(folder, neighbour)
    if is_remote(base) and parse_href(base).scheme == "http":
        return  # a browser's rules: test_relative_hrefs_resolve_against_their_document
    assert join_href(base, f"./{neighbour}") == beside
    assert join_href(base, beside) == beside if is_remote(base) else True


@given(FOLDER, st.sampled_from(["..", ".", "", "a/../b", "/a", "a//b", "a\\b", "a\nb", "a\x00"]))
def test_a_name_that_would_leave_its_folder_is_refused(folder: str, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a file"):
        child_href(folder, name)


@given(FOLDER, NAME)
def test_an_href_is_parsed_into_what_it_was(folder: str, name: str) -> None:
    href = child_href(folder, name)
    location = parse_href(href)
    assert parse_href(location.href) == location
    assert location.href == href
    assert is_remote(href) == (location.scheme != "file")
    path = local_path(href)
    assert (path is None) == is_remote(href)
    if path is not None:
        assert str(path) == posixpath.normpath(href)
