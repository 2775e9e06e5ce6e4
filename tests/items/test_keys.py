from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from stacchip.errors import UsageError
from stacchip.items import ItemKey, item_key
from stacchip.items.copies import to_dict
from stacchip.items.keys import by_key, match_keys, resolve_ids

JANUARY, FEBRUARY, MINE = (ItemKey(name, "quad") for name in ("january", "february", "mine"))


def make_item(collection: str | None = None, **properties: Any) -> pystac.Item:
    taken = datetime(2024, 1, 1, tzinfo=UTC)
    return pystac.Item("quad", None, None, taken, properties, collection=collection)


@pytest.mark.parametrize(
    ("item", "platform"),
    [
        (make_item("january"), "january"),
        (make_item("sentinel-2-c1-l2a"), "sentinel-2-l2a"),
        (make_item(platform="kompsat-3"), "kompsat-3"),
        (make_item(), "unknown"),
    ],
)
def test_an_item_and_its_dictionary_have_one_key(item, platform):
    assert item_key(item) == item_key(to_dict(item)) == (platform, "quad")


@pytest.mark.parametrize("said", [{}, {"properties": None, "assets": None, "collection": None}])
def test_a_dictionary_that_says_little_has_a_key(said):
    assert item_key({"id": "quad", **said}) == ("unknown", "quad")


def test_items_of_one_id_and_two_collections_are_two_items():
    items = [make_item("january"), make_item("february"), make_item("january")]
    found = by_key(items)
    assert list(found) == [JANUARY, FEBRUARY]
    assert found[JANUARY] is items[0]


@pytest.mark.parametrize("form", [to_dict, lambda item: item])
def test_two_items_of_one_key_are_refused_and_told_apart(form):
    items = [form(make_item("january")), form(make_item("january", gsd=5))]
    with pytest.raises(UsageError, match=r"'quad' \(january\): properties\.gsd is absent and 5"):
        by_key(items)


# -- what is given for the rows of an index --------------------------------------------------------


def test_the_platform_decides_where_it_agrees():
    given = {JANUARY: 1, FEBRUARY: 2}
    assert match_keys([FEBRUARY], given) == {FEBRUARY: 2}
    assert match_keys([FEBRUARY, JANUARY], given) == given


def test_the_id_decides_where_it_leaves_no_choice():
    assert match_keys([MINE], {JANUARY: 1, ItemKey("january", "stranger"): 2}) == {MINE: 1}
    assert match_keys([], {JANUARY: 1}) == {}


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ([MINE], [JANUARY, FEBRUARY]),
        ([JANUARY, FEBRUARY], [MINE]),
        ([JANUARY, FEBRUARY], [JANUARY, MINE]),
    ],
    ids=["two items", "two platforms", "one of two agrees"],
)
def test_no_item_is_guessed(rows, given):
    with pytest.raises(UsageError, match=r"items= has 'quad' of platform .*cannot be told apart"):
        match_keys(rows, dict.fromkeys(given, 1))


def test_a_known_item_says_which_one_is_meant():
    known = {MINE: {"id": "quad", "collection": "february"}}.get
    assert match_keys([MINE], {JANUARY: 1, FEBRUARY: 2}, known=known) == {MINE: 2}
    with pytest.raises(UsageError, match=r"has 'quad' \(january\), .* \(february\), called 'mine'"):
        match_keys([MINE], {JANUARY: 1}, known=known)
    with pytest.raises(UsageError, match=r"headers= has 'quad' \(january\)"):
        resolve_ids([MINE], {JANUARY: 1}, known=known, what="headers=")
    assert resolve_ids([MINE], {"quad": 1}, known=known, what="headers=") == {MINE: 1}


def test_a_plain_id_stands_for_the_one_platform_that_has_it():
    assert resolve_ids([MINE], {"quad": 1, "stranger": 2}, what="headers=") == {MINE: 1}
    assert resolve_ids([JANUARY], {("january", "quad"): 1}, what="headers=") == {JANUARY: 1}
    with pytest.raises(UsageError, match=r"headers= has 'quad', .*'february' and 'january'"):
        resolve_ids([JANUARY, FEBRUARY], {"quad": 1}, what="headers=")


@pytest.mark.parametrize("assets", [["red"], "red", 3, {"red": None, "nir": ["b8.tif"]}])
def test_what_is_no_asset_tells_nothing_of_the_platform(assets):
    """It raised AttributeError: a dictionary is looked at before it is checked."""
    assert item_key({"id": "quad", "collection": "mine", "assets": assets}) == MINE
