"""Judge the refusals of stores: whether to try again, or else which error to raise."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from stacchip.errors import AccessDenied, AssetChanged, ObjectNotFound, StorageError
from stacchip.storage.href import parse_href, split_href
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.storage.identity import Identity

# 429 and 500 to 504 as S3, Azure and HTTP (RFC 9110, 15.6) mean them; 408 and Cloudflare's 52x are
# time-outs too. 501 and 505 will not change.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 509, *range(520, 528)})
# S3 answers 400 when it means "try again" or "wrong credentials".
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
TRANSIENT_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"})
CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed",
        "PublicAccessNotPermitted",  # Azure, with 409
    }
)  # fmt: skip
AZURE_HOST = ".blob.core.windows.net"


class TransientError(Exception):
    """One attempt failed, but another may succeed. Never reaches a user.

    Attributes:
        reason: What happened, without hrefs and secrets.
        status: HTTP status, if there was one.
        retry_after_s: How long the server asked to wait, in seconds.
    """

    def __init__(
        self, reason: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


def failure_of_status(
    href: str, status: int, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Exception:
    """Return the exception for an HTTP status.

    Args:
        href: The object.
        status: HTTP status.
        code: The store's own code, such as "SlowDown".
        headers: Headers of the answer, with names in lower case.

    Returns:
        A `TransientError`, or the `StorageError` to raise.
    """
    shown = redact(href)
    text = describe_status(status, code)
    if status in TRANSIENT_STATUSES or code in TRANSIENT_CODES:
        return TransientError(text, status, read_retry_after(headers or {}))
    if status in (404, 410):
        message = f"Nothing is at {shown} ({text})."
        if _is_azure_page(href) and code != "BlobNotFound":
            # https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-prevent
            message += (
                " If it is there, it is private: Azure answers like this without a signature. "
                f"{_remedy_on_the_web(href)}"
            )
        return ObjectNotFound(message, href=shown, status=status)
    if status in (401, 403, 407) or code in CREDENTIAL_CODES:
        return AccessDenied(
            f"Access to {shown} was refused ({text}). {_remedy(href)}", href=shown, status=status
        )
    message = f"The request for {shown} failed: {text}."
    if status == 202:
        message += " The server does not have the file at hand yet. Try later."
    if status == 412:  # though no version was asked for, or none that the server has
        message += (
            " The server refuses to send any version: check StorageOptions(headers=...), or copy "
            "the file to another store."
        )
    return StorageError(message, href=shown, status=status)


def failure_of_change(href: str, expected: Identity | None, found: Identity | None) -> AssetChanged:
    """Return the error for a file that is not the expected version."""
    shown = redact(href)
    was = f" (expected {expected}, found {found})" if expected and found else ""
    remedy = "Refresh the headers of the index (stacchip headers INDEX --refresh)."
    if found is None or (expected and expected.has_size_of(found)):
        remedy += (
            " If its content has not changed, compare sizes: StorageOptions(identity='size'), or "
            "--identity size."
        )
    return AssetChanged(
        f"{shown} is not the version that was read before{was}. {remedy}",
        href=shown,
        expected=expected,
        found=found,
    )


def describe_status(status: int, code: str | None = None) -> str:
    """Return a status in words.

    Example:
        >>> describe_status(503, "SlowDown")
        'HTTP 503 Service Unavailable, SlowDown'
    """
    try:
        phrase = " " + HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP {status}{phrase}" + (f", {code}" if code else "")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait; it holds seconds or a date.

    A date is counted from the server's own `Date`, so that clocks need not agree.

    Example:
        >>> read_retry_after({"retry-after": "7"})
        7.0
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value).timestamp()
        now = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else None
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None
    return max(0.0, until - (time.time() if now is None else now))


def _remedy(href: str) -> str:
    """Say what to do if credentials are missing or were refused."""
    location = parse_href(href)
    if location.scheme == "s3":
        return (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or pass them in StorageOptions; "
            "for a public bucket pass skip_signature=True, "
            "for a requester-pays bucket requester_pays=True."
        )
    if location.scheme == "gs":
        return "Set GOOGLE_APPLICATION_CREDENTIALS, or pass skip_signature=True if it is public."
    if location.scheme == "az":
        return (
            "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or a SAS token), "
            "or pass skip_signature=True if it is public. They are for that account alone: name "
            "others by overrides={'abfs://container@account.dfs.core.windows.net/': "
            "StorageOptions()}. Files of Planetary Computer are signed "
            "for you if they are read by their https addresses."
        )
    if location.scheme == "file":
        return "Check the permissions of the file and its folder."
    return _remedy_on_the_web(href)


def _remedy_on_the_web(href: str) -> str:
    """Say how to get access to a file on a web server.

    A signature that an item's address had is gone by now (`redaction.unsign`), so a file that was
    public by its signature is refused.
    """
    if redact(href) != href:
        return (
            "The signature or the password in its address was refused: it may have expired. "
            "Renew it, or in Python pass Storage(sign=...) to sign addresses when they are read."
        )
    remedy = (
        "The signatures of items' addresses are left out on purpose, since they expire: in "
        "Python, pass Storage(sign=...) to sign addresses when they are read, or "
        "StorageOptions(headers={'Authorization': ...}) to log in."
    )
    if (split_href(href).hostname or "").endswith(".amazonaws.com"):
        remedy += " Or read it as s3://bucket/key, with AWS keys."
    return remedy


def _is_azure_page(href: str) -> bool:
    return href.startswith("http") and (split_href(href).hostname or "").endswith(AZURE_HOST)
