"""Secrets in addresses: left out of what is shown (`redact`), and of what is kept (`unsign`)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

# bounded: searching a long word for one would take quadratic time
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30})://")
AZURE_SCHEMES = ("abfs", "abfss", "wasb", "wasbs", "az", "azure")

# An address in a text; in a query of another one it is escaped (/vsicurl?url=https%3A%2F%2Fhost).
_ADDRESS = re.compile(
    r"""(?P<address>[a-z][a-z0-9+.-]{0,30}(://|%3A%2F%2F)[^\s'"<>]*?)(?P<end>[.,:;!)\]}]*)"""
    r"""(?=[\s'"<>]|$)""",
    re.IGNORECASE,
)
# Query parameters that grant access, or belong to a scheme that does: AWS (SigV4 and the older
# SigV2), Google, CloudFront, and the tokens and keys of smaller services.
SECRET_PARAMETER = re.compile(
    r"(x-amz-|x-goog-|x-ms-).*"
    r"|.*(signature|token|secret|password|passwd|credential|(api|access|subscription)[-_]?key).*"
    r"|sig|auth|authorization|key|code|pwd|pass|policy|expires|key-pair-id|jwt|session",
    re.IGNORECASE,
)
# An Azure shared access signature is `sig` and these; without `sig` they are no secret.
# https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
AZURE_SAS_PARAMETERS = re.compile(
    r"sv|sr|st|se|sp|sip|spr|ss|srt|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|sdd|ses|sig",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
# a server that is given no cookie may keep its session in the path (RFC 3986, 3.3)
_PATH_SECRET = re.compile(
    r";(?:[a-z]*session_?(?:id)?|(?:access_?)?token|sig(?:nature)?)=[^;/?#]*", re.IGNORECASE
)
_MAY_BE_SIGNED = re.compile("[?#@;]|%3F|%23|%40|%3B", re.IGNORECASE)
_SIGNED_PATH = re.compile(
    r"[^\s?@]+\.\w{2,5}(\?(\S*&)?|;)"
    r"(sig|signature|x-(amz|goog)-(signature|credential|security-token)|[a-z]*session_?id"
    r"|(access|id|session)[-_]?token|token|(api|subscription)[-_]?key)=\S*",
    re.IGNORECASE,
)


def redact(href: str) -> str:
    """Return an href that may be shown: without userinfo, and without a query that holds a secret.

    If any parameter of the query signs or authenticates, the whole query is removed.

    Example:
        >>> redact("https://user:pw@example.com/a.tif?sig=abc&se=2025")
        'https://example.com/a.tif'
        >>> redact("https://example.com/a.tif?version=2")
        'https://example.com/a.tif?version=2'
    """
    plain = _strip_userinfo(href)
    query = _QUERY.search(plain)
    return plain[: query.start()] if query and _is_secret(query[0]) else plain


def redact_text(text: str) -> str:
    """Return a text, such as a message of another library, with each address in it redacted.

    Example:
        >>> redact_text("'https://example.com/a.fgb?sig=abc' is absent, s3://b/a.fgb too.")
        "'https://example.com/a.fgb' is absent, s3://b/a.fgb too."
    """
    return _ADDRESS.sub(_redact_found, text)


def _redact_found(found: re.Match[str]) -> str:
    address = found["address"]
    whole = address if SCHEME.match(address) else unquote(address)
    shown = redact(whole)
    return found[0] if shown == whole else shown + found["end"]


def unsign(href: str) -> str:
    """Return an href that may be stored: without userinfo and signature, with other parameters.

    Example:
        >>> unsign("https://a.blob.core.windows.net/c/B04.tif?sv=2024&se=2025&sr=c&sig=abc")
        'https://a.blob.core.windows.net/c/B04.tif'
        >>> unsign("https://example.com/a.tif?versionId=7&X-Amz-Signature=abc")
        'https://example.com/a.tif?versionId=7'
    """
    plain = _strip_userinfo(href)
    found = _QUERY.search(plain)
    if found is None or not _is_secret(found[0]):
        return plain
    body, query = plain[: found.start()], found[0].partition("#")[0].removeprefix("?")
    # the parts unchanged: decoding and encoding them again could change what is kept
    parts = [(_name(part), part) for part in re.split(r"[&;]", query) if part]
    is_sas = any(name.lower() == "sig" for name, _ in parts)
    kept = [
        _unsign_inner(part)
        for name, part in parts
        if not SECRET_PARAMETER.fullmatch(name)
        and not (is_sas and AZURE_SAS_PARAMETERS.fullmatch(name))
    ]
    return f"{body}?{'&'.join(kept)}" if kept else body


def unsign_text(text: str) -> str:
    """Return a text that may be stored: an address, or words with addresses, each unsigned.

    Example:
        >>> unsign_text("See https://example.com/a.tif?v=2&sig=abc, as of May.")
        'See https://example.com/a.tif?v=2, as of May.'
    """
    if "://" not in text and "%3A%2F%2F" not in text.upper():
        # a relative address; a question in words has no such parameter
        return unsign(text) if _SIGNED_PATH.fullmatch(text) else text
    return text if not _MAY_BE_SIGNED.search(text) else _ADDRESS.sub(_unsign_found, text)


def _unsign_found(found: re.Match[str]) -> str:
    address = found["address"]
    if SCHEME.match(address):
        return unsign(address) + found["end"]
    whole = unquote(address)
    plain = unsign(whole)
    return found[0] if plain == whole else quote(plain, safe="") + found["end"]


def _unsign_inner(part: str) -> str:
    """Return a `name=value` of a query whose value is unsigned, if it is an address itself."""
    name, mark, value = part.partition("=")
    inner = unquote(value)
    plain = unsign(inner) if "://" in inner else inner
    return part if plain == inner else f"{name}{mark}{quote(plain, safe='')}"


def _is_secret(query: str) -> bool:
    """Return True if a query string has a parameter that signs or authenticates.

    A parameter may be an address itself: `/vsicurl?url=https%3A%2F%2F...`.
    """
    return any(
        SECRET_PARAMETER.fullmatch(_name(part)) or _unsign_inner(part) != part
        for part in re.split(r"[&;?#]", query)
    )


def _name(part: str) -> str:
    """Return the name of one `name=value` of a query."""
    return unquote(part.partition("=")[0])


def split_userinfo(href: str) -> tuple[str, str | None]:
    """Return an href without `user:password@`, and these two as they are written, if it has them.

    Azure's `container@account` is an address.

    Example:
        >>> split_userinfo("https://user:pw@example.com/a@b")
        ('https://example.com/a@b', 'user:pw')
    """
    match = SCHEME.search(href)
    if match is None:
        return href, None
    start = match.end()
    # a backslash ends it as a slash does: so urllib3 reads it
    stop = min(
        (href.find(mark, start) for mark in "/?#\\" if mark in href[start:]), default=len(href)
    )
    userinfo, at, host = href[start:stop].rpartition("@")
    if not at or (match[1].lower() in AZURE_SCHEMES and not re.search(r"[:@]", userinfo)):
        return href, None
    return href[:start] + host + href[stop:], userinfo


def _strip_userinfo(href: str) -> str:
    plain = split_userinfo(href)[0]
    return _PATH_SECRET.sub("", plain) if ";" in plain else plain
