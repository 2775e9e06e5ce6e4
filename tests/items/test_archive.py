"""Names from catalogues, and where things lie in a bucket."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import InvalidMetadata
from stacchip.items.archive import Layout, file_name, safe_name

HOSTILE = [
    "", ".", "..", "...", "../a", "a/b", "/etc/passwd", "a\\b", "a b", "a\nb", "a\0b", "é", "a?b",
    "a#b", "a%2Fb", "a:b", "a" * 201, None, 7,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_nothing_is_repaired(name):
    with pytest.raises(InvalidMetadata, match="Nothing was written"):
        safe_name(name, what="item id")


@pytest.mark.parametrize("item_id", [name for name in HOSTILE if isinstance(name, str)])
def test_no_item_id_leads_out_of_the_bucket(item_id):
    layout = Layout("s3://bucket")
    for place in (layout.folder, layout.item, layout.index):
        with pytest.raises(InvalidMetadata):
            place("naip", item_id)


@given(st.text(max_size=30))
def test_whatever_is_let_through_stays_in_its_folder(name):
    try:
        href = Layout("/bucket").asset("naip", "item", name)
    except InvalidMetadata:
        return
    assert posixpath.normpath(href) == href
    assert posixpath.dirname(href) == "/bucket/naip/item"


def test_the_layout_is_the_originals():
    layout = Layout("s3://bucket")
    assert (
        layout.item("sentinel-2-l2a", "S2A_1") == "s3://bucket/sentinel-2-l2a/S2A_1/stac_item.json"
    )
    assert layout.asset("naip", "m_1", "m_1.tif") == "s3://bucket/naip/m_1/m_1.tif"
    assert layout.index("naip", "m_1") == "s3://bucket/index/naip/m_1/index_m_1.parquet"


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("s3://b/k/B02.tif", "B02.tif"),
        ("https://h/c/iw-vv.rtc.tiff?sv=1&sig=secret", "iw-vv.rtc.tiff"),
        ("./B02.tif", "B02.tif"),
    ],
)
def test_a_file_keeps_its_name_without_the_query(href, name):
    assert file_name(href) == name


@pytest.mark.parametrize(
    "href", ["https://h/a/..%2F..%2Fx", "https://h/", "s3://b/..", "s3://b/a b.tif"]
)
def test_a_file_name_that_climbs_is_refused(href):
    try:
        name = file_name(href)
    except InvalidMetadata:
        return
    assert name == "x", "only the last segment may be left of a path that climbs"
