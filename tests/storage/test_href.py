from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.collect.recipe import bucket_href
from stacchip.errors import UsageError
from stacchip.items.archive import Archive, file_name
from stacchip.storage import (
    child_href,
    is_remote,
    join_href,
    local_path,
    parent_href,
    redact,
    redact_text,
    unsign,
)
from stacchip.storage.href import Location, parse_href, split_href
from stacchip.storage.redaction import unsign_text

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("a/b.tif", Location("file", "", "a/b.tif")),
        ("/a/b c.tif", Location("file", "", "/a/b c.tif")),
        ("file:///a/b%20c.tif", Location("file", "", "/a/b c.tif")),
        ("file://localhost/a.tif", Location("file", "", "/a.tif")),
        ("s3://bucket/a/b.tif", Location("s3", "bucket", "a/b.tif")),
        ("S3://bucket/a%20b#c?d.tif", Location("s3", "bucket", "a%20b#c?d.tif")),
        ("s3://bucket", Location("s3", "bucket", "")),
        ("gs://bucket/a.tif", Location("gs", "bucket", "a.tif")),
        ("az://container/a.tif", Location("az", "container", "a.tif")),
        ("abfs://c@acc.dfs.core.windows.net/a.tif", Location("az", "c", "a.tif", "acc")),
        ("abfss://c/a/b.tif", Location("az", "c", "a/b.tif")),
        ("wasbs://c@acc.blob.core.windows.net/a.tif", Location("az", "c", "a.tif", "acc")),
        ("az://c@acc/a.tif", Location("az", "c", "a.tif", "acc")),
        ("az://acc.blob.core.windows.net/c/a/b.tif", Location("az", "c", "a/b.tif", "acc")),
        ("abfs://acc.dfs.core.windows.net/c/a.tif", Location("az", "c", "a.tif", "acc")),
        ("https://example.com/a.tif?b=1", Location("http", "", "https://example.com/a.tif?b=1")),
        ("/vsis3/bucket/a.tif", Location("s3", "bucket", "a.tif")),
        ("/vsigs/bucket/a.tif", Location("gs", "bucket", "a.tif")),
        ("/vsiaz/container/a.tif", Location("az", "container", "a.tif")),
        ("/vsicurl/http://h/a.tif", Location("http", "", "http://h/a.tif")),
        (
            "/vsicurl?max_retry=3&url=https%3A%2F%2Fh%2Fa.tif",
            Location("http", "", "https://h/a.tif"),
        ),
    ],
)
def test_an_href_leads_to_one_place(href: str, expected: Location) -> None:
    assert parse_href(href) == expected


@pytest.mark.parametrize("href", ["ftp://h/a.tif", "/vsizip/a.zip/a.tif", "s3:///a.tif"])
def test_an_href_of_no_known_kind_is_refused(href: str) -> None:
    with pytest.raises(UsageError, match=r"unknown scheme|GDAL path|no bucket"):
        parse_href(href)


@pytest.mark.parametrize("scheme", ["https", "s3", "GS", "abfss"])
def test_an_address_that_lost_a_slash_is_no_local_file(scheme: str) -> None:
    with pytest.raises(UsageError, match=rf"lacks a slash: write '{scheme}://h/a.tif'") as caught:
        parse_href(str(PurePosixPath(f"{scheme}://u:{SECRET}@h/a.tif")))
    assert SECRET not in str(caught.value)
    assert parse_href("s3:a.tif").scheme == parse_href("C:/a.tif").scheme == "file"


@pytest.mark.parametrize(
    ("base", "relative", "expected"),
    [
        ("s3://b/x/item.json", "./a.tif", "s3://b/x/a.tif"),
        ("s3://b/x/item.json", "../../../a.tif", "s3://b/a.tif"),
        ("s3://b/x/", "a.tif", "s3://b/x/a.tif"),
        ("s3://b/x/item.json", "https://h/a.tif", "https://h/a.tif"),
        ("/data/x/item.json", "a.tif", "/data/x/a.tif"),
        ("/data/x/item.json", "/other/a.tif", "/other/a.tif"),
        ("item.json", "./a.tif", "a.tif"),
        ("file:///data/x/item.json", "a.tif", "/data/x/a.tif"),
        ("https://h/x/item.json?sig=secret", "../a.tif", "https://h/a.tif"),
        ("https://h/x/item.json", "/vsis3/b/a.tif", "/vsis3/b/a.tif"),
        ("https://h:8/x/item.json?a=1", "/y/a.tif", "https://h:8/y/a.tif"),
        ("https://h/x/item.json", "//other/a.tif", "https://other/a.tif"),
        ("http://h/x/item", "?f=tif", "http://h/x/item?f=tif"),
        ("/vsicurl/https://h/x/item.json", "/y/a.tif", "https://h/y/a.tif"),
        ("s3://b/x/item.json", "/y/a.tif", "s3://b/y/a.tif"),
        ("abfs://c@acc.dfs.core.windows.net/x/i", "/a", "abfs://c@acc.dfs.core.windows.net/a"),
        ("file:///data/x/item.json", "/other/a.tif", "/other/a.tif"),
        ("/data/x/item.json", "//server/share/a.tif", "//server/share/a.tif"),
        ("item.json", "/other//x/../a.tif", "/other//x/../a.tif"),
    ],
)
def test_relative_hrefs_resolve_against_their_document(
    base: str, relative: str, expected: str
) -> None:
    assert join_href(base, relative) == expected


@pytest.mark.parametrize(
    ("folder", "names", "expected"),
    [
        ("s3://b", ("x", "a.tif"), "s3://b/x/a.tif"),
        ("s3://b/x/", ("a.tif",), "s3://b/x/a.tif"),
        ("/data", ("x/y", "a.tif"), "/data/x/y/a.tif"),
        ("", ("a.tif",), "./a.tif"),
        ("https://h/x?token=t", ("a.tif",), "https://h/x/a.tif?token=t"),
    ],
)
def test_a_child_lies_below_its_folder(folder: str, names: tuple[str, ...], expected: str) -> None:
    assert child_href(folder, *names) == expected


@pytest.mark.parametrize("name", ["..", "../a", "a/../b", "/a", "", "a//b", "a\nb", "a\\b", "."])
def test_a_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a file"):
        child_href("/data", name)


def test_parents_and_kinds() -> None:
    assert parent_href("s3://b/a.tif") == "s3://b"
    assert parent_href("/a.tif") == "/"
    assert parent_href("https://h/x/a.tif?sig=1") == "https://h/x"
    assert is_remote("https://h/a")
    assert not is_remote("/vsi" if False else "a.tif")
    assert str(local_path("file:///a%20b.tif")) == "/a b.tif"
    assert local_path("s3://b/a.tif") is None


SECRET = "S3cr3tValue"
SIGNING = [
    "sig", "X-Amz-Signature", "x-amz-security-token", "X-Goog-Signature", "token", "access_token",
    "Signature", "AWSAccessKeyId", "api_key", "apikey", "subscription-key", "password", "key",
    "Authorization", "Policy", "code", "jwt", "client_secret", "%73ig", "X-Amz-Credential",
    "api.key", "map_key", "auth-key", "AccountKey", "appid", "hdnts", "hmac", "JSESSIONID",
    "sas", "sign", "verify", "ticket", "http_bearer", "header.Authorization", "userpwd", "cookie",
    "sig%20", "si%0Ag", "data[password]", "user%5Bapi_key%5D", "my:signature", "x-secret[]",
    "my%20password", "credentials[0]", "PRIVATE-TOKEN", "\u00e9-password",
]  # fmt: skip
word = st.text("abcXYZ019-._~%", min_size=1, max_size=8)
parameter = st.tuples(word, word).map("=".join)


@given(
    scheme=st.sampled_from(["http://", "https://", "HTTPS://"]),
    userinfo=st.sampled_from(["", f"user:{SECRET}@", f"{SECRET}@", f"a@b:{SECRET}@"]),
    path=st.lists(word, max_size=3).map("/".join),
    before=st.lists(parameter, max_size=2),
    name=st.sampled_from(SIGNING),
    after=st.lists(parameter, max_size=2),
    separator=st.sampled_from(["&", ";"]),
)
def test_no_secret_survives_redaction_or_unsigning(
    scheme: str,
    userinfo: str,
    path: str,
    before: list[str],
    name: str,
    after: list[str],
    separator: str,
) -> None:
    query = separator.join([*before, f"{name}={SECRET}", *after])
    href = f"{scheme}{userinfo}example.com/{path}?{query}"
    assert SECRET not in redact(href)
    assert SECRET not in unsign(href)
    assert redact(href) == redact(redact(href))
    assert redact(href).lower().startswith(f"{scheme.lower()}example.com/{path}".lower())


@given(
    path=st.lists(word, max_size=3).map("/".join),
    query=st.lists(st.sampled_from(["version=2", "a=b", "f=tif", "sv=1", "x"]), max_size=3),
)
def test_what_is_no_secret_is_shown_and_kept(path: str, query: list[str]) -> None:
    href = f"https://example.com/{path}" + ("?" + "&".join(query) if query else "")
    assert redact(href) == href
    assert unsign(href) == href


@pytest.mark.parametrize("name", ["jsessionid", "JSESSIONID", "sessionid", "token", "sig"])
def test_a_session_in_the_path_is_neither_shown_nor_kept(name: str) -> None:
    href = f"https://h/a;{name}={SECRET}/b.tif;v=1?w=2"
    for hide in (redact, unsign, redact_text, unsign_text):
        assert hide(href) == "https://h/a/b.tif;v=1?w=2"


@pytest.mark.parametrize(
    ("href", "plain"),
    [
        ("https://me:p/S3cr3tValue@h/a", "https://h/a"),
        ("https://me:p#S3cr3tValue@h/a", "https://h/a"),
        ("https://me:p?S3cr3tValue@h/a", "https://h/a"),
        ("https://me:S3cr3tValue%40h/a", "https://h/a"),
        ("//me:S3cr3tValue@h/a", "//h/a"),
        ("https:/me:S3cr3tValue@h/a", "https:/h/a"),
        ("https:me:S3cr3tValue@h/a", "https:h/a"),
        ("https:\\\\me:S3cr3tValue@h/a", "https:\\\\h/a"),
        ("https://proxy/https://me:S3cr3tValue@h/a", "https://proxy/https://h/a"),
        ("https://p/https%3A%2F%2Fme%3AS3cr3tValue%40h/a", "https://p/https%3A%2F%2Fh/a"),
        ("https://p/https%3A%2F%2Fh%3Fsig%3DS3cr3tValue/1", "https://p/https%3A%2F%2Fh/1"),
        ("https://h/a%3Bjsessionid=S3cr3tValue", "https://h/a"),
        ("https://h:80/a@b", "https://h:80/a@b"),
        ("https://[::1]:80/a@b:c@d", "https://[::1]:80/a@b:c@d"),
        ("s3://bucket/a:b@c/d//e@f", "s3://bucket/a:b@c/d//e@f"),
        ("/data/a:b@c.tif", "/data/a:b@c.tif"),
    ],
)
def test_a_password_is_neither_shown_nor_kept_however_it_is_written(href: str, plain: str) -> None:
    assert redact(href) == unsign(href) == plain


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("https://h/a?v=1?sv=1&sig=S3cr3tValue", "https://h/a?v=1"),  # signed by adding "?..."
        ("https://h/a?v=1\\u0026sig=S3cr3tValue", "https://h/a?v=1"),  # as Go's JSON has it
        ("https://h/a?v=1&amp;sig=S3cr3tValue", "https://h/a?v=1&amp"),
        ("https://h/a?md5=S3cr3tValue&expires=1", "https://h/a"),
        ("https://h/a?md5=0123", "https://h/a?md5=0123"),
        ("/vsicurl?userpwd=me:S3cr3tValue&url=https%3A%2F%2Fh", "/vsicurl?url=https%3A%2F%2Fh"),
    ],
)
def test_a_signature_is_not_kept_however_it_was_added(href: str, kept: str) -> None:
    assert unsign(href) == kept
    assert SECRET not in redact(href)


def test_addresses_in_addresses_are_looked_at_to_a_depth_and_in_time() -> None:
    inner = f"https://h/?sig={SECRET}"
    for _ in range(12):
        inner = f"https://h/?v=1&url={quote(inner, safe='')}"
    raw = f"https://u:{SECRET}@h/" * 5_000 + "a.tif"
    steps = "".join(f"x%{'25' * n}3A%{'25' * n}2F%{'25' * n}2F" for n in range(200))
    for href in (inner, raw, f"https://h/{steps}?sig={SECRET}", "https://h/" + "a;" * 100_000):
        for hide in (redact, unsign, redact_text, unsign_text):
            assert SECRET not in hide(href)


@pytest.mark.parametrize(
    "text",
    [
        f"https://h/a?{'secret' * 8_000}!=1",
        "a=b a?" + "." * 200_000 + "a",
        "https://h/a?sig=1" + "." * 200_000 + "a",
        "a=b " + "https://" * 20_000,
    ],
)
def test_long_texts_take_no_time(text: str) -> None:
    begin = time.process_time()
    for hide in (redact, unsign, redact_text, unsign_text):
        hide(text)
    assert time.process_time() - begin < 1  # a hundredth of a second; it was minutes


@pytest.mark.parametrize("start", ["file:///", "file://localhost/", "/", "//", "./", "C:/", "C:\\"])
@pytest.mark.parametrize("rest", ["@data/a.tif", "data@2020/a.tif", "a/b:c@d/e.tif"])
def test_a_folder_with_an_at_sign_is_no_password(start: str, rest: str) -> None:
    assert unsign(start + rest) == redact(start + rest) == unsign_text(start + rest) == start + rest


def test_a_parameter_that_may_be_a_session_is_kept_and_not_shown() -> None:
    assert unsign("https://h/a?sid=42&b=1") == "https://h/a?sid=42&b=1"
    assert redact("https://h/a?sid=42&b=1") == "https://h/a"


def test_unsigning_takes_the_signature_and_nothing_else() -> None:
    href = "https://a.blob.core.windows.net/c/B04.tif"
    sas = "st=2025-01-01&se=2025-01-02&sp=rl&sv=2024-05-04&sr=c&skoid=1&sktid=2&sig=abc%3D"
    assert unsign(f"{href}?{sas}") == href
    assert unsign(f"{href}?snapshot=7&{sas}") == f"{href}?snapshot=7"
    assert unsign("s3://b/a.tif") == "s3://b/a.tif"
    assert unsign("/data/what?sig=no") in ("/data/what?sig=no", "/data/what")


NO_HOSTS = ("http://[", "https://[::1", "HTTP://a]", "http://[v.1]", "s3://[x]", "//[",
            "http://a\u2100b", "https://u:p@\u2100")  # fmt: skip


@pytest.mark.parametrize("server", NO_HOSTS)
def test_an_address_without_a_host_has_a_path_all_the_same(server: str) -> None:
    parts = split_href(f"{server}/a//[b/c d.tif?v=1&w=?#e")
    assert (parts.netloc, parts.hostname) == ("", None)
    assert (parts.path, parts.query, parts.fragment) == ("/a//[b/c d.tif", "v=1&w=?", "e")
    assert parts.scheme == server.partition("//")[0].rstrip(":").lower()


@pytest.mark.parametrize("server", NO_HOSTS)
@pytest.mark.parametrize(
    "use", [file_name, bucket_href, Archive("/data").place("p", "i").asset_href]
)
def test_whoever_takes_an_address_apart_bears_one_without_a_host(
    use: Callable[[str], str], server: str
) -> None:
    assert use(f"{server}/x.blob.core.windows.net/a.tif").endswith("a.tif")


def test_azure_containers_are_no_userinfo() -> None:
    assert redact("az://container@account/a.tif") == "az://container@account/a.tif"
    href = "abfs://container@account.dfs.core.windows.net/a.tif"
    assert redact(href) == href
    assert SECRET not in redact(f"abfs://u:{SECRET}@account.dfs.core.windows.net/a.tif")


def test_a_location_shows_no_secret() -> None:
    assert SECRET not in repr(parse_href(f"https://u:{SECRET}@h/a?sig={SECRET}"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("got 'https://h/a?sig=SECRET', not b", "got 'https://h/a', not b"),
        ("(https://u:SECRET@h/a?v=1).", "(https://h/a?v=1)."),
        ("https://h/a?token=SECRET: gone.", "https://h/a: gone."),
        ("https://h/a?v=1: gone; s3://b/c?d, too", "https://h/a?v=1: gone; s3://b/c?d, too"),
        ('{"a": "https://h/a?sig=SECRET&x=1", "b": 1}', '{"a": "https://h/a", "b": 1}'),
        ("/vsicurl/https://h/a.fgb?sig=SECRET not found", "/vsicurl/https://h/a.fgb not found"),
        ("/vsicurl?url=https%3A%2F%2Fh%2Fa%3Fsig%3DSECRET is", "/vsicurl?url=https://h/a is"),
        ("what?key=1 and a//b?key=2", "what?key=1 and a//b?key=2"),
        ("x" * 100_000 + "://h?sig=SECRET", "x" * 100_000 + "://h"),
    ],
)
def test_a_text_is_shown_without_the_secrets_of_its_addresses(text: str, shown: str) -> None:
    assert redact_text(text) == shown
