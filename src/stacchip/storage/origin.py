"""The server that an address names, and whether a prefix of `overrides` covers an address.

Credentials belong to a server. So addresses are compared by their parts, as the request will read
them, and never as texts: `http://127.0.0.1` is the beginning of `http://127.0.0.10`, and
`http://host:1@other/` names `other`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from urllib3.connection import port_by_scheme
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from stacchip.storage.href import Location, parse_href
from stacchip.storage.redaction import SCHEME, redact


class Origin(NamedTuple):
    """A web server, by scheme, host and port (RFC 6454); or a bucket, whose host is its name.

    Attributes:
        scheme: "http", "https", or that of an object store.
        host: The host in lower case; of a bucket its name, with the account if there is one.
        port: The port, also if it is the scheme's own; None for a bucket.
    """

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        is_usual = self.port in (None, port_by_scheme.get(self.scheme))
        return f"{self.scheme}://{self.host}" + ("" if is_usual else f":{self.port}")


def origin_of_url(url: Url) -> Origin | None:
    """Return the origin of a parsed web address; None if it has no host."""
    scheme = (url.scheme or "").lower()
    if scheme not in port_by_scheme or not url.host:
        return None
    return Origin(scheme, url.host.lower(), url.port or port_by_scheme[scheme])


@lru_cache(maxsize=4096)
def web_origin(url: str) -> Origin | None:
    """Return the origin of a web address, as a request reads it; None if it is no web address.

    Example:
        >>> str(web_origin("HTTPS://user:pw@Example.com:443/a.tif"))
        'https://example.com'
        >>> str(web_origin("http://good.org:80@evil.org/a.tif"))
        'http://evil.org'
    """
    try:
        return origin_of_url(parse_url(url))
    except LocationParseError:
        return None


@lru_cache(maxsize=4096)
def user_of(url: str) -> str:
    """Return the user that a web address names, in lower case; "" if it names none.

    Example:
        >>> user_of("http://Good.org:80@evil.org/a.tif")
        'good.org'
    """
    try:
        auth = parse_url(url).auth or ""
    except LocationParseError:
        return ""
    return unquote(auth.rpartition("@")[2].partition(":")[0]).lower()


def origin_of(location: Location, endpoint: str | None = None) -> Origin | None:
    """Return the server that a request for a place goes to; None for local files.

    Args:
        location: The place.
        endpoint: The URL of the service of an object store, if it is not the provider's.
    """
    if location.scheme == "file":
        return None
    if location.scheme == "http":
        return web_origin(location.key)
    if endpoint and (service := web_origin(endpoint)):
        return service
    account = f"@{location.account}" if location.account else ""
    return Origin(location.scheme, f"{location.root}{account}")


class Prefix(NamedTuple):
    """The places that a prefix of `overrides` covers: a server or a bucket, and a path there.

    Attributes:
        origin: The server or the bucket; of local files None, of all servers of a scheme one
            without a host.
        path: The beginning of the path there.
    """

    origin: Origin | None
    path: str

    @property
    def names_a_server(self) -> bool:
        """False for a prefix such as `https://`, which covers every server."""
        return self.origin is None or bool(self.origin.host)

    def covers(self, place: Prefix) -> bool:
        """Return True if an address, parsed in the same way, lies at this place or below it."""
        if self.origin != place.origin:
            is_of_scheme = not self.names_a_server and place.origin is not None
            return is_of_scheme and self.origin[0] == place.origin[0]  # type: ignore[index]
        return _is_below(place.path, self.path)


def _is_below(path: str, folder: str) -> bool:
    """Return True if a path is that of a folder, lies below it, or is the folder's with a suffix.

    `/a` covers `/a`, `/a/b` and the file `/a.tif`, but not `/ab`.
    """
    if not path.startswith(folder):
        return False
    rest = path[len(folder) :]
    if rest and _STEPS.search(path):
        return False  # the server may go up to another folder
    if not rest or folder.endswith(("/", "?", "&")) or not folder:
        return True
    return rest[0] in "/?&#" or (rest[0] == "." and "/" not in rest)


_STEPS = re.compile(r"(^|/)(\.|%2e){1,2}(/|\?|$)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def parse_prefix(prefix: str) -> Prefix:
    """Return the places that a prefix covers, or the one place that an address names.

    Example:
        >>> data = parse_prefix("https://example.com/data")
        >>> [data.covers(parse_prefix(f"https://example.com{path}"))
        ...     for path in ("/data/a.tif", "/database/a.tif", ":8443/data/a.tif")]
        [True, False, False]
    """
    if (match := SCHEME.fullmatch(prefix)) and match[1].lower() in port_by_scheme:
        return Prefix(Origin(match[1].lower(), ""), "")
    location = parse_href(prefix)
    if location.scheme == "http":
        return _parse_web(location.key)
    # what `parse_href` drops tells a folder from the beginning of a name
    is_folder = prefix.endswith("/") and bool(location.key) and not location.key.endswith("/")
    path = f"{location.key}/" if is_folder else location.key
    return Prefix(origin_of(location), path)


def _parse_web(url: str) -> Prefix:
    try:
        parsed = parse_url(url)
    except LocationParseError:
        return Prefix(Origin("", redact(url)), "")  # it is no address, and so like no other
    origin = origin_of_url(parsed) or Origin(parsed.scheme or "", "\0")
    query = "" if parsed.query is None else f"?{parsed.query}"
    return Prefix(origin, f"{parsed.path or '/'}{query}")
