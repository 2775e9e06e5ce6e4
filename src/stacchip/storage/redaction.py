"""Secrets in addresses: left out of what is shown (`redact`), and of what is kept (`unsign`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from stacchip.storage.secret_names import is_secret_name, is_secret_parameter, may_be_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    _IsSecret = Callable[[str], bool]

# bounded: searching a long word for one would take quadratic time
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30})://")
AZURE_SCHEMES = ("abfs", "abfss", "wasb", "wasbs", "az", "azure")

# An address in a text; in a query of another one it is escaped (/vsicurl?url=https%3A%2F%2Fhost),
# and in the JSON that PHP writes, its slashes are.
_ADDRESS = re.compile(
    r"""[a-z][a-z0-9+.-]{0,30}(?:://|%3A%2F%2F|:\\/\\/)[^\s'"<>]*""", re.IGNORECASE
)
# a word that may be an address without a scheme, or the end of one with a space in its path
_SIGNED_WORD = re.compile(r"""(?<![^\s'"<>])[^\s'"<>?#]*[^\s'"<>?#.][?#][^\s'"<>]*""")
_AFTER_ADDRESS = ".,:;!)]}\\"  # marks of the sentence, or of the JSON, that an address stands in
# An Azure shared access signature is `sig` and these; without `sig` they are no secret.
# https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
AZURE_SAS_PARAMETERS = re.compile(
    r"sv|sr|st|se|sp|sip|spr|ss|srt|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|sdd|ses|sig",
    re.IGNORECASE,
)
_AZURE_STARTS = tuple(f"{scheme}://" for scheme in AZURE_SCHEMES)
_DEEPEST = 8  # addresses in addresses
_INVISIBLE = dict.fromkeys(map(ord, "\t\r\n"), None) | {ord("+"): " "}
_QUERY = re.compile(r"[?#].*", re.DOTALL)
# a query as it is written, and as JSON may escape it (Go); HTML's "&amp;" ends in a ";"
_PARAMETERS = re.compile(r"([&;?#])([^&;?#]*)")
_ESCAPED_PARAMETERS = re.compile(r"(\\u0026|[&;?#])((?:(?!\\u0026)[^&;?#])*)")
# a server that is given no cookie may keep its session in the path (RFC 3986, 3.3)
_PATH_SECRET = re.compile(
    r"(?:;|%3B)(?:[a-z]*session_?(?:id)?|sid|(?:access_?)?token|sig(?:nature)?)=[^;/?#]*",
    re.IGNORECASE,
)
_MAY_BE_SIGNED = re.compile("[?#@;]|%3F|%23|%40|%3B", re.IGNORECASE)
# the query of a signed address alone: planetary-computer gives it to fsspec as `credential`
_SIGNATURE = re.compile(
    r"\??(?:[\w-]+=[^\s&=]*&)*sig=[^\s&=]+=*(?:&[\w-]+=[^\s&=]*)*", re.IGNORECASE
)
_CONNECTION = re.compile(
    r"(AccountKey|SharedAccessKey|SharedAccessSignature)=[^;\s]*;?", re.IGNORECASE
)
# what is meant for an address: `https:/user:pw@host`, `https:///user:pw@host`
_USERINFO = re.compile(
    r"^((?:/vsicurl/)?(?:(?!file:)[a-z][a-z0-9+.-]{0,30}:[/\\]{2,}|(?:https?|ftp|s3):[/\\]*))"
    r"[^/\\?#\s]*@",
    re.IGNORECASE,
)
# `//user:pw@host`: without the ":" it may be a folder
_USERINFO_ALONE = re.compile(r"^([/\\]{2,})[^/\\?#\s:]*:[^/\\?#\s]*@")
# a password whose "/", "?" or "#" was not escaped; what stands after the ":" is no port
_BROKEN_PASSWORD = re.compile(
    r"(?P<scheme>^(?!file:)[a-z][a-z0-9+.-]{1,30}:[/\\]+)(?!\[)[^/\\?#:]*:(?!\d*(?:[/\\?#]|$))"
    r".*(?:@|%40)",
    re.IGNORECASE | re.DOTALL,
)
# an address inside of another one, escaped once or more
_INNER = re.compile(
    r"[a-z][a-z0-9+.-]{0,30}%(?:25){0,8}3A%(?:25){0,8}2F%(?:25){0,8}2F[^/?#&;\s]*", re.IGNORECASE
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
    return plain[: query.start()] if query and _is_secret(query[0], may_be_secret) else plain


def redact_text(text: str) -> str:
    """Return a text, such as a message of another library, with each address in it redacted.

    Example:
        >>> redact_text("'https://example.com/a.fgb?sig=abc' is absent, s3://b/a.fgb too.")
        "'https://example.com/a.fgb' is absent, s3://b/a.fgb too."
    """
    return _ADDRESS.sub(_redact_found, text)


def _redact_found(found: re.Match[str]) -> str:
    address, end = _split_end(found[0])
    whole = address.replace("\\/", "/")
    whole = whole if SCHEME.match(whole) else unquote(address)
    shown = redact(whole)
    return found[0] if shown == whole else shown + end


def _split_end(text: str) -> tuple[str, str]:
    """Return an address, and the marks of the sentence that follow it."""
    address = text.rstrip(_AFTER_ADDRESS)
    return address, text[len(address) :]


def unsign(href: str) -> str:
    """Return an href that may be stored: without userinfo and signature, with other parameters.

    Example:
        >>> unsign("https://a.blob.core.windows.net/c/B04.tif?sv=2024&se=2025&sr=c&sig=abc")
        'https://a.blob.core.windows.net/c/B04.tif'
        >>> unsign("https://example.com/a.tif?versionId=7&X-Amz-Signature=abc")
        'https://example.com/a.tif?versionId=7'
    """
    return _unsign(href, 0)


def _unsign(href: str, depth: int) -> str:
    plain = _strip_userinfo(href, depth)
    found = _QUERY.search(plain)
    if found is None or not _is_secret(found[0], is_secret_parameter, depth):
        return plain
    body, query = plain[: found.start()], found[0].partition("#")[0]
    # the parts unchanged: decoding and encoding them again could change what is kept
    parts = [(mark, _name(part), part) for mark, part in _split_query(query) if part]
    names = {name.lower() for _, name, _ in parts}
    kept = [
        (mark, _unsign_inner(part, depth))
        for mark, name, part in parts
        if not is_secret_parameter(name)
        and not ("sig" in names and AZURE_SAS_PARAMETERS.fullmatch(name))
        and not ("expires" in names and name.lower() == "md5")  # nginx's secure links
    ]
    if not kept:
        return body
    (_, first), *more = kept
    rest = "".join(f"{'&' if mark == ';' else mark}{part}" for mark, part in more)
    return f"{body}?{first}{rest}"


def unsign_text(text: str) -> str:
    """Return a text that may be stored: an address, or words with addresses, each unsigned.

    Example:
        >>> unsign_text("See https://example.com/a.tif?v=2&sig=abc, as of May.")
        'See https://example.com/a.tif?v=2, as of May.'
    """
    if "=" in text:
        text = _CONNECTION.sub("", text)
    if _SIGNATURE.fullmatch(text):
        return unsign(f"?{text.removeprefix('?')}")
    if "://" not in text and ":\\/\\/" not in text and "%3A%2F%2F" not in text.upper():
        # a relative address; a question in words has no such parameter
        is_address = text.startswith("//") or _is_signed_path(text)
        return unsign(text) if is_address else _unsign_words(text)
    if not _MAY_BE_SIGNED.search(text):
        return text
    if text.count("://") == 1 and SCHEME.match(text) and len(text.split()) == 1:
        return unsign(text)  # there may be quotation marks in its query
    return _unsign_words(_ADDRESS.sub(_unsign_found, text))


def _unsign_words(text: str) -> str:
    """Return a text with each word unsigned that is a signed path, such as `a.tif?sig=S`."""
    return _SIGNED_WORD.sub(_unsign_word, text) if "=" in text else text


def _unsign_word(found: re.Match[str]) -> str:
    word, end = _split_end(found[0])
    path = _QUERY.sub("", word)
    is_path = ("." in path or "/" in path) and _is_signed_path(word)
    return unsign(word) + end if is_path else found[0]


def _unsign_found(found: re.Match[str]) -> str:
    address, end = _split_end(found[0])
    if SCHEME.match(address):
        return unsign(address) + end
    if ":\\/" in address:
        return unsign(address.replace("\\/", "/")).replace("/", "\\/") + end
    whole = unquote(address)
    plain = unsign(whole)
    return found[0] if plain == whole else quote(plain, safe="") + end


def _unsign_inner(part: str, depth: int) -> str:
    """Return a `name=value` of a query whose value is unsigned, if it is an address itself."""
    name, mark, value = part.partition("=")
    if "/" not in value and "%2f" not in value.lower():
        return part
    inner = unquote(value)
    if "://" not in inner:
        return part
    plain = "" if depth > _DEEPEST else _unsign(inner, depth + 1)
    return part if plain == inner else f"{name}{mark}{quote(plain, safe='')}"


def _is_secret(query: str, is_secret: _IsSecret, depth: int = 0) -> bool:
    """Return True if a query string has a parameter that signs or authenticates.

    A parameter may be an address itself: `/vsicurl?url=https%3A%2F%2F...`.
    """
    return any(
        is_secret(_name(part)) or _unsign_inner(part, depth) != part
        for _, part in _split_query(query)
    )


def _split_query(query: str) -> list[tuple[str, str]]:
    """Return the parts of a query, each with the mark before it."""
    form = _ESCAPED_PARAMETERS if "\\u0026" in query else _PARAMETERS
    return form.findall(query)


def _is_signed_path(text: str) -> bool:
    path = text[: found.start()] if (found := re.search("[?#;]", text)) else text
    return (
        "@" not in path
        and text.split() == [text]
        and any("=" in part and is_secret_name(_name(part)) for _, part in _split_query(text))
    )


def _name(part: str) -> str:
    """Return the name of one `name=value` of a query."""
    name = part.partition("=")[0]
    return name if name.isalnum() else unquote(name).translate(_INVISIBLE).strip()


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


def _strip_userinfo(href: str, depth: int = 0) -> str:
    """Return an address without userinfo, in any place and spelling, and without a session."""
    plain = href
    if "@" in plain or "%40" in plain:
        # the path may be another address: https://proxy/https://user:pw@host/a.tif
        starts = [match.start() for match in SCHEME.finditer(plain)][1:]
        pieces = [plain[i:j] for i, j in zip([0, *starts], [*starts, None], strict=True)]
        plain = "".join(split_userinfo(piece)[0] for piece in pieces)
        if not plain.lower().startswith(_AZURE_STARTS):
            plain = _USERINFO_ALONE.sub(r"\1", _USERINFO.sub(r"\1", plain))
        plain = _BROKEN_PASSWORD.sub(r"\g<scheme>", plain)
    if "%" in plain:
        plain = _INNER.sub(lambda found: _unsign_escaped(found[0], depth), plain)
    return _PATH_SECRET.sub("", plain) if ";" in plain or "%3b" in plain.lower() else plain


def _unsign_escaped(text: str, depth: int) -> str:
    """Return an escaped address unsigned; "" if addresses are nested too deeply to be looked at."""
    if depth > _DEEPEST:
        return ""
    inner = unquote(text)
    plain = _unsign(inner, depth + 1)
    return text if plain == inner else quote(plain, safe="")
