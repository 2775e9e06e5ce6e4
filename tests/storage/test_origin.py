"""Credentials are bound to scheme, host and port: addresses are compared by their parts."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stacchip.storage.href import parse_href
from stacchip.storage.origin import origin_of, parse_prefix, web_origin


def covers(prefix: str, href: str) -> bool:
    return parse_prefix(prefix).covers(parse_prefix(href))


@pytest.mark.parametrize(
    ("prefix", "href"),
    [
        ("https://example.com", "https://example.com/a.tif"),
        ("https://example.com", "https://example.com?x=1"),
        ("https://example.com", "https://example.com#top"),
        ("https://example.com/", "HTTPS://Example.COM:443/a.tif"),
        ("https://example.com:443/", "https://example.com/a.tif"),
        ("http://example.com", "http://example.com:80/"),
        ("https://me:pw@example.com/", "https://example.com/a.tif"),
        ("https://example.com/", "/vsicurl/https://example.com/a.tif"),
        ("https://example.com/a", "https://example.com/a"),
        ("https://example.com/a", "https://example.com/a?x=1"),
        ("https://example.com/a", "https://example.com/a/b/c.tif"),
        ("https://example.com/a", "https://example.com/a.tif"),
        ("https://example.com/a/", "https://example.com/a/../a/b.tif"),
        ("https://example.com/a?x=1", "https://example.com/a?x=1&y=2"),
        ("https://", "https://any.org/a.tif"),
        ("http://[::1]:80/", "http://[::1]/a.tif"),
        ("s3://bucket", "s3://bucket/a.tif"),
        ("s3://bucket/", "s3a://bucket/a.tif"),
        ("s3://bucket/a", "s3://bucket/a/b.tif"),
        ("s3://bucket/a", "s3://bucket/a.tif"),
        ("abfs://c@acc.dfs.core.windows.net/", "wasbs://c@acc.blob.core.windows.net/a.tif"),
        ("/data", "/data/a.tif"),
        ("/data/", "file:///data/a.tif"),
        ("data/", "data/a.tif"),
    ],
)
def test_a_prefix_covers_what_lies_there(prefix: str, href: str) -> None:
    assert covers(prefix, href)


@pytest.mark.parametrize(
    ("prefix", "href"),
    [
        ("http://127.0.0.1", "http://127.0.0.10/a.tif"),
        ("http://127.0.0.1:80", "http://127.0.0.1:8080/a.tif"),
        ("http://127.0.0.1", "http://127.0.0.1:8080/a.tif"),
        ("https://api.example.com", "https://api.example.com.evil.org/a.tif"),
        ("https://api.example.com", "https://api.example.com@evil.org/a.tif"),
        ("http://host:1", "http://host:1@other/a.tif"),
        ("http://host:1", "http://host:1@other:1/a.tif"),
        ("https://example.com", "https://example.com:443@evil.org/"),
        ("https://example.com", "http://example.com/a.tif"),
        ("https://example.com", "https://example.com./a.tif"),
        ("https://example.com", "https://evil.org\\@example.com/a.tif"),
        ("https://example.com", "https://evil.org#@example.com/a.tif"),
        ("https://example.com", "https://evil.org?@example.com/a.tif"),
        ("https://example.com", "https://example.com:x/a.tif"),
        ("https://example.com/a", "https://example.com/ab"),
        ("https://example.com/a", "https://example.com/a.evil/b"),
        ("https://example.com/a/", "https://example.com/a"),
        ("https://example.com/a/", "https://example.com/a/../b"),
        ("https://example.com/a/", "https://example.com/a/%2e%2E/b"),
        ("https://example.com/a?x=1", "https://example.com/a?x=12"),
        ("https://", "http://any.org/a.tif"),
        ("https://", "s3://bucket/a.tif"),
        ("https://", "/data/a.tif"),
        ("s3://bucket", "s3://bucket-evil/a.tif"),
        ("s3://bucket", "gs://bucket/a.tif"),
        ("s3://bucket/a", "s3://bucket/ab"),
        ("s3://bucket/a", "s3://bucket/a/../b"),
        ("abfs://c@acc.dfs.core.windows.net/", "abfs://c@other.dfs.core.windows.net/a"),
        ("abfs://c@acc.dfs.core.windows.net/", "az://c/a"),
        ("/data", "/database/a.tif"),
        ("/data", "https://example.com/data"),
    ],
)
def test_a_prefix_does_not_cover_what_only_begins_alike(prefix: str, href: str) -> None:
    assert not covers(prefix, href)


LABEL = st.text("abcxyz0129-", min_size=1, max_size=6).filter(lambda label: label[0] != "-")
HOST = st.lists(LABEL, min_size=1, max_size=3).map(".".join).filter(lambda host: "a" in host)
PORT = st.sampled_from(["", ":80", ":443", ":8080", ":1"])
SCHEME = st.sampled_from(["http", "https"])
USER = st.sampled_from(["", "me@", "me:pw@", "example.com:80@", "me:p%40w@"])
PATH = st.lists(st.sampled_from(["a", "b", "ab", "a.tif"]), max_size=3).map("/".join)
USUAL = {"http": 80, "https": 443}


def odd_case(text: str) -> str:
    return "".join(c.upper() if i % 2 else c for i, c in enumerate(text))


@given(SCHEME, HOST, PORT, SCHEME, HOST, PORT, USER, PATH)
def test_a_server_covers_an_address_if_and_only_if_scheme_host_and_port_agree(
    scheme: str, host: str, port: str, scheme2: str, host2: str, port2: str, user: str, path: str
) -> None:
    own = (scheme, host, int(port[1:] or USUAL[scheme]))
    other = (scheme2, host2, int(port2[1:] or USUAL[scheme2]))
    href = f"{odd_case(scheme2)}://{user}{odd_case(host2)}{port2}/{path}"
    for prefix in (f"{scheme}://{host}{port}", f"{scheme}://{host}{port}/"):
        assert covers(prefix, href) == (own == other)


@given(SCHEME, HOST, PORT, st.text("ab.@:/\\#?%1[]", max_size=8))
def test_whatever_follows_a_host_only_its_own_addresses_are_covered(
    scheme: str, host: str, port: str, rest: str
) -> None:
    """Python's own parser is the judge where it and urllib3 agree on the form of an address."""
    prefix = f"{scheme}://{host}{port}"
    href = prefix + rest
    if not covers(prefix, href):
        return
    assume("\\" not in rest)  # the WHATWG reads it as a slash, and urllib3, which sends, too
    parts = urlsplit(href)
    assert parts.hostname == host
    assert (parts.port or USUAL[scheme]) == int(port[1:] or USUAL[scheme])


def test_a_store_is_at_its_endpoint_and_else_its_bucket() -> None:
    place = parse_href("s3://bucket/a.tif")
    assert str(origin_of(place)) == "s3://bucket"
    assert str(origin_of(place, "http://me:pw@Minio:9000/")) == "http://minio:9000"
    assert origin_of(parse_href("/data/a.tif")) is None
    assert str(web_origin("https://h:8443/a")) == "https://h:8443"
