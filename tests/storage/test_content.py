"""What came in place of a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.storage.content import describe_content, show_start

WEB = "https://example.com/a.tif"
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234567\n"


@pytest.mark.parametrize(
    ("href", "data", "expected"),
    [
        (WEB, b"<!DOCTYPE html><title>Log in</title>", ["web page", "Log in", "Authorization"]),
        (WEB, b"\xef\xbb\xbf\r\n <HTML><body>", ["web page", "<HTML><body>"]),
        (WEB, XML + b"<!-- a page -->\n<html>", ["web page"]),
        ("a.tif", b"<html><body>Moved</body>", ["web page", "Moved", "fetch it again"]),
        ("s3://b/a.tif", b"<html>", ["web page", "endpoint"]),
        (WEB, b'{"message": "Forbidden"}', ["JSON", "Forbidden"]),
        (WEB, b'[{"code": 1}]', ["JSON"]),
        (WEB, XML + b"<Error><Code>NoSuchKey</Code></Error>", ["XML", "NoSuchKey"]),
        (WEB, b'<ows:ExceptionReport><ows:Exception exceptionCode="No">', ["XML", "No"]),
        ("a.tif", LFS, ["Git LFS pointer", "1,234,567 bytes", "git lfs pull"]),
        ("a.tif", b"../.git/annex/objects/a/b", ["git-annex pointer", "git annex get"]),
        (WEB, b"\x1f\x8b\x08\0", ["gzip", "Decompress"]),
        (WEB, b"PK\x03\x04", ["zip"]),
    ],
)
def test_what_came_is_named_with_what_to_do(href: str, data: bytes, expected: list[str]) -> None:
    text = describe_content(href, data) or ""
    assert text.startswith(href)
    assert not [part for part in expected if part not in text]


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"\x89PNG", b"<VRTDataset>", b"\0\0\0\x0cjP  ", b"version 2", b"text"]
)
def test_other_files_are_left_to_their_readers(data: bytes) -> None:
    assert describe_content(WEB, data) is None


@pytest.mark.parametrize("data", [b'{"type": "x"}', b"\x1f\x8b\x08\0", b"PK\x03\x04"])
def test_some_formats_of_rasters_begin_like_a_document_or_an_archive(data: bytes) -> None:
    assert describe_content("a.json", data) is not None
    assert describe_content("a.json", data, certainly=True) is None


def test_the_type_that_a_server_names_is_told() -> None:
    assert "text/html" in (describe_content(WEB, b"<html>", "text/html") or "")


@pytest.mark.parametrize(
    "data", [b"Warning: session", b"<!-- c --><table>", b"\xef\xbb\xbfSign in"]
)
def test_text_that_is_sent_as_a_page_is_no_file(data: bytes) -> None:
    text = describe_content(WEB, data, "text/html") or ""
    assert f"{WEB} is text, sent as text/html; it begins with" in text
    assert "log-in" in text
    assert describe_content(WEB, data, "image/tiff") is None
    assert describe_content(WEB, b"II*\0" + data, "text/html") is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_page_in_two_bytes_per_character_is_recognised(encoding: str) -> None:
    page = ("\ufeff" if encoding != "utf-16" else "") + "<!DOCTYPE html><html>"
    assert "web page" in (describe_content(WEB, page.encode(encoding)) or "")


@pytest.mark.parametrize(
    "data",
    [
        b"<html><a href='https://user:SECRET@h/a?sig=SECRET'>",
        b'{"access_token": "SECRET", "a": 1}',
        b"<html> Authorization: Bearer SECRET",
        b"{'X-Amz-Signature' = 'SECRET'}",
        b'{"detail":"Bearer SECRET"}',
        b'{"detail":"token=SECRET"}',
        b'{"detail":"{\\"token\\":\\"SECRET\\"}"}',
        b'{"sessionid":"SECRET"}',
        b"Set-Cookie: SECRET",
        b'{"token" : ["SECRET", "SECRET"]}',
        b'{"password": "hunter SECRET"}',
        b'{"password": "a\\"SECRET"}',
        b'{"message": "key SECRETSECRETSECRETSE unknown"}',
        b'{"id": "SECRETSECRETSECRET1234567890"}',
        XML + b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>SECRET</AWSAccessKeyId>",
    ],
)
def test_no_secret_is_shown(data: bytes) -> None:
    assert "SECRET" not in show_start(data).replace("AWSAccessKeyId>SECRET", "")
    assert "SECRET" not in (describe_content(f"{WEB}?sig=SECRET", data) or "")


@given(st.binary(max_size=300))
def test_what_is_shown_is_short_and_printable(data: bytes) -> None:
    shown = show_start(data)
    assert len(shown) <= 60
    assert shown.isprintable()
