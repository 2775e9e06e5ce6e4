from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import AccessDenied, AssetChanged, ObjectNotFound, StorageError
from stacchip.storage import Identity
from stacchip.storage.failure import (
    TransientError,
    describe_status,
    failure_of_change,
    failure_of_status,
    read_retry_after,
)

HREF = "https://user:PASSWORD@example.com/a.tif?sig=SECRET"
SHOWN = "https://example.com/a.tif"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, None, ObjectNotFound),
        (410, None, ObjectNotFound),
        (404, "NoSuchKey", ObjectNotFound),
        (401, None, AccessDenied),
        (403, "AccessDenied", AccessDenied),
        (407, None, AccessDenied),
        (400, "ExpiredToken", AccessDenied),
        (400, "AuthorizationHeaderMalformed", AccessDenied),
        (400, "RequestTimeout", TransientError),
        (403, "SlowDown", TransientError),
        (408, None, TransientError),
        (425, None, TransientError),
        (429, None, TransientError),
        (500, None, TransientError),
        (503, "SlowDown", TransientError),
        (504, None, TransientError),
        (522, None, TransientError),
        (400, None, StorageError),
        (418, None, StorageError),
        (501, "NotImplemented", StorageError),
        (505, None, StorageError),
        (599, None, StorageError),
    ],
)
def test_a_status_is_one_error(status: int, code: str | None, kind: type[Exception]) -> None:
    error = failure_of_status(HREF, status, code=code)
    assert type(error) is kind
    assert error.status == status  # type: ignore[attr-defined]
    assert f"HTTP {status}" in str(error)
    assert code is None or code in str(error)
    assert "SECRET" not in str(error)
    assert "PASSWORD" not in str(error)
    if kind is not TransientError:
        assert error.href == SHOWN  # type: ignore[attr-defined]
        assert SHOWN in str(error)


@pytest.mark.parametrize(
    ("href", "remedy"),
    [
        ("s3://bucket/a.tif", "requester_pays=True"),
        ("s3://bucket/a.tif", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/a.tif", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/a.tif", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("/data/a.tif", "permissions"),
        ("https://example.com/a.tif", "Storage(sign=...)"),
    ],
)
def test_a_refusal_says_what_to_do_in_that_kind_of_place(href: str, remedy: str) -> None:
    assert remedy in str(failure_of_status(href, 403))


AZURE = "https://acc.blob.core.windows.net/container/a.tif"


@pytest.mark.parametrize(
    ("href", "status", "code", "kind"),
    [
        (AZURE, 404, "ResourceNotFound", ObjectNotFound),
        (AZURE, 409, "PublicAccessNotPermitted", AccessDenied),
        (AZURE, 403, None, AccessDenied),
        ("https://b.s3.amazonaws.com/a.tif", 403, None, AccessDenied),
        ("https://d1.cloudfront.net/a.tif", 403, None, AccessDenied),
    ],
)
def test_a_file_that_a_signature_made_public_says_why_it_is_refused(
    href: str, status: int, code: str | None, kind: type[StorageError]
) -> None:
    error = failure_of_status(href, status, code=code)
    assert isinstance(error, kind)
    assert "signatures of items' addresses are left out on purpose" in str(error)
    assert "Storage(sign=...)" in str(error)
    assert ("s3://" in str(error)) is ("amazonaws" in href)


def test_a_refused_signature_is_not_said_to_be_left_out() -> None:
    error = str(failure_of_status(f"{AZURE}?sv=1&sig=SECRET", 403))
    assert "may have expired" in error
    assert "left out" not in error
    assert "SECRET" not in error


def test_what_is_not_there_needs_no_signature() -> None:
    for href, code in ((AZURE, "BlobNotFound"), ("https://example.com/a.tif", None)):
        assert "signature" not in str(failure_of_status(href, 404, code=code))


def test_an_unknown_status_is_a_number() -> None:
    assert describe_status(599) == "HTTP 599"
    assert describe_status(404) == "HTTP 404 Not Found"


def test_a_busy_server_says_how_long_to_wait() -> None:
    error = failure_of_status(HREF, 503, headers={"retry-after": "9"})
    assert isinstance(error, TransientError)
    assert error.retry_after_s == 9
    error = failure_of_status(HREF, 503)
    assert isinstance(error, TransientError)
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "nonsense"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30.0,
        ),
    ],
)
def test_a_wait_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


def test_a_date_without_the_servers_own_is_counted_from_now() -> None:
    seconds = read_retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert seconds is not None
    assert 97 <= seconds <= 100


@given(st.text(max_size=40))
def test_no_header_of_a_server_is_a_failure_of_ours(value: str) -> None:
    seconds = read_retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


def test_a_changed_file_names_both_versions_and_the_remedy() -> None:
    expected, found = Identity(10, '"a"'), Identity(11, '"b"')
    error = failure_of_change(HREF, expected, found)
    assert isinstance(error, AssetChanged)
    assert (error.facts["expected"], error.facts["found"]) == (expected, found)
    assert '"a"' in str(error)
    assert '"b"' in str(error)
    assert "Refresh the headers of the index (stacchip headers INDEX --refresh)" in str(error)
    assert "SECRET" not in str(error)
    assert "expected" not in str(failure_of_change(HREF, expected, None))


def test_a_server_that_refuses_every_version_gets_a_remedy() -> None:
    error = failure_of_status(HREF, 412)
    assert isinstance(error, StorageError)
    assert "412 Precondition Failed. The server refuses to send any version: check" in str(error)
