"""What an item is called in an index."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from stacchip.items import item_href, platform_name
from stacchip.sources import NAIP, Source


def item(**fields: Any) -> pystac.Item:
    return pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), **fields)


@pytest.mark.parametrize(
    ("source", "collection", "platform", "expected"),
    [
        (NAIP, "a", "b", "naip"),
        (None, "a", "b", "a"),
        (None, None, "b", "b"),
        (None, None, None, "unknown"),
    ],
)
def test_source_then_collection_then_satellite_names_the_platform(
    source: Source | None, collection: str | None, platform: str | None, expected: str
) -> None:
    made = item(properties={"platform": platform}, collection=collection)

    assert platform_name(made, source) == expected


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("s3://bucket/item.json", "s3://bucket/item.json"),
        ("/data/item.json", "/data/item.json"),
        ("https://a.org/item.json?sig=abc", "https://a.org/item.json"),
        (None, None),
    ],
)
def test_an_items_address_is_unsigned(href: str | None, expected: str | None) -> None:
    made = item(properties={})
    if href is not None:
        made.add_link(pystac.Link("self", href))

    assert item_href(made) == expected
