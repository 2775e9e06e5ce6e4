"""Names of parameters and headers that hold a secret: a signature, a password, a key or a token."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

# parts of a name in which a "-" stands for whatever is no letter or digit
_PARTS: Final = re.compile(
    "signature|secret|passw(?:or)?d|passphrase|passcode|credential|hmac|jwt|userpwd|authorization"
    "|bearer|cookie|sess(?:ion)?-?id|token"
    "|(?:api|access|subscription|account|app|auth|licen[cs]e|map|private|user)-?key"
)
# whole names: Akamai's tokens are `hdnts`, `hdnea`, `hdntl`, and `__gda__`
_WHOLE: Final = frozenset({"sig", "sas", "hdnts", "hdnea", "hdntl", "gda"})
# those that belong to a signature: AWS (SigV4 and the older SigV2), Google, Azure, CloudFront
_STARTS: Final = ("x-amz-", "x-goog-", "x-ms-")
# and whole names that hold a secret in an address, but are words in other places: among them those
# of Cloudflare (`verify`) and Tencent (`sign`)
_IN_ADDRESSES: Final = frozenset(
    {
        "auth", "key", "code", "pwd", "pass", "policy", "expires", "key-pair-id", "session",
        "sign", "verify", "ticket", "cred", "appid",
    }
)  # fmt: skip
# a session, or a station: an address may need it to lead to the same file
_DOUBTFUL: Final = frozenset({"sid"})
_LONGEST_KEPT: Final = 100  # most names come again and again; long ones would fill the memory


class _Kind(Enum):
    PLAIN = "no secret"
    DOUBTFUL = "perhaps a secret"
    IN_ADDRESSES = "a secret in an address"
    ANYWHERE = "a secret"


def is_secret_name(name: str) -> bool:
    """Return True if a header or parameter of this name surely holds a credential.

    Example:
        >>> is_secret_name("Authorization"), is_secret_name("data[password]"), is_secret_name("key")
        (True, True, False)
    """
    return _kind_of(name) is _Kind.ANYWHERE


def is_secret_parameter(name: str) -> bool:
    """Return True if a parameter of an address holds a secret, so that it may not be stored.

    Example:
        >>> [is_secret_parameter(name) for name in ("X-Amz-Date", "key", "sid", "version")]
        [True, True, False, False]
    """
    return _kind_of(name) in (_Kind.ANYWHERE, _Kind.IN_ADDRESSES)


def may_be_secret(name: str) -> bool:
    """Return True if a parameter of an address may hold a secret, so that it is not shown.

    Example:
        >>> may_be_secret("sid"), may_be_secret("version")
        (True, False)
    """
    return _kind_of(name) is not _Kind.PLAIN


def _kind_of(name: str) -> _Kind:
    return _look_at(name) if len(name) > _LONGEST_KEPT else _remember(name)


@lru_cache(maxsize=4096)
def _remember(name: str) -> _Kind:
    return _look_at(name)


def _look_at(name: str) -> _Kind:
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    if plain in _WHOLE or _PARTS.search(plain):
        return _Kind.ANYWHERE
    if plain in _IN_ADDRESSES or plain.startswith(_STARTS):
        return _Kind.IN_ADDRESSES
    return _Kind.DOUBTFUL if plain in _DOUBTFUL else _Kind.PLAIN
