"""Addresses: parse hrefs, and join them.

An href is a string: a local path, `file://`, `http(s)://`, `s3://bucket/key`, `gs://bucket/key`,
`az://container/key` or `abfs(s)://container@account.../key`. GDAL's `/vsis3/`, `/vsigs/`, `/vsiaz/`
and `/vsicurl/` prefixes are translated. Azure's schemes (`az`, `azure`, `abfs(s)`, `wasb(s)`) mean
the same; if an href names no account, that of the options or of the environment counts.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urljoin, urlsplit, urlunsplit

from stacchip.errors import UsageError
from stacchip.storage.redaction import (
    AZURE_SCHEMES,
    SCHEME,
    redact,
    redact_text,  # noqa: F401 - pickles of 0.x name it here
    unsign,  # noqa: F401 - and this, too
)

OBJECT_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
AZURE_HOST = ".core.windows.net"
VSI_PREFIXES = {"/vsis3/": "s3://", "/vsigs/": "gs://", "/vsiaz/": "az://", "/vsiadls/": "az://"}


# RFC 3986, appendix B; matches every text
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://[^/?#]*)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Location:
    """The place that an href names.

    Attributes:
        scheme: "file", "http" (also for https), "s3", "gs" or "az".
        root: The bucket or container; "" for files and web addresses.
        key: The key in the bucket, the path of a file, or the whole web address.
        account: The Azure account, if the href names one.
    """

    scheme: str
    root: str
    key: str
    account: str | None = None

    def __repr__(self) -> str:
        return f"Location({redact(self.href)!r})"

    @property
    def href(self) -> str:
        """The href in its canonical form."""
        if self.scheme in ("file", "http"):
            return self.key
        if self.account:
            host = f"{self.root}@{self.account}.dfs.core.windows.net"
            return f"abfs://{host}/{self.key}"
        return f"{self.scheme}://{self.root}/{self.key}"


@lru_cache(maxsize=4096)
def parse_href(href: str) -> Location:
    """Parse an href.

    Raises:
        UsageError: The scheme is unknown, or the href names no bucket.

    Example:
        >>> parse_href("s3://sentinel-cogs/a/B04.tif").key
        'a/B04.tif'
        >>> parse_href("/vsicurl/https://example.com/a.tif").href
        'https://example.com/a.tif'
    """
    if href.startswith("/vsi"):
        href = _translate_vsi(href)
    match = SCHEME.match(href)
    if match is None:
        _refuse_lost_slash(href)
        return Location("file", "", href)
    scheme, rest = match[1].lower(), href[match.end() :]
    if scheme in ("http", "https"):
        return Location("http", "", f"{scheme}://{rest}")
    if scheme == "file":
        # file:///path and file://localhost/path; a path may be percent-encoded
        return Location("file", "", unquote("/" + rest.partition("/")[2]))
    root, _, key = rest.partition("/")
    key = key.strip("/")
    if not root:
        raise UsageError(f"{redact(href)!r} names no bucket. Write {scheme}://bucket/key.")
    if scheme in OBJECT_SCHEMES:
        _require_name(_BUCKET, root, "bucket", href)
        return Location(OBJECT_SCHEMES[scheme], root, key)
    if scheme in AZURE_SCHEMES:
        location = _parse_azure(root, key)
        _require_name(_CONTAINER, location.root, "container", href)
        _require_name(_ACCOUNT, location.account or "account", "account", href)
        return location
    raise UsageError(
        f"{redact(href)!r} has an unknown scheme, {scheme!r}. "
        "Use a local path, file, http, https, s3, gs, az or abfs."
    )


# a name is put into the address of a request: "@", "?", "#" or "/" in it would lead elsewhere
_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTAINER = re.compile(r"[A-Za-z0-9$][A-Za-z0-9_-]*")
_ACCOUNT = re.compile(r"[A-Za-z0-9-]+")


_LOST_SLASH = re.compile(
    rf"({'|'.join(['https?', *OBJECT_SCHEMES, *AZURE_SCHEMES])}):/(?!/)", re.IGNORECASE
)


def _refuse_lost_slash(href: str) -> None:
    """Refuse what is meant for an address, and would be a local file named "https:/..."."""
    match = _LOST_SLASH.match(href)
    if match is not None:
        meant = redact(f"{match[1]}://{href[match.end() :]}")
        raise UsageError(
            f"{redact(href)!r} lacks a slash: write {meant!r}. A Path cannot hold an address; pass "
            "it as text."
        )


def _require_name(form: re.Pattern[str], name: str, what: str, href: str) -> None:
    if not form.fullmatch(name):
        raise UsageError(
            f"{redact(href)!r} names no {what}: it has characters that the name of one cannot have."
        )


def _parse_azure(root: str, key: str) -> Location:
    """Parse what follows the scheme: container@account.host/key, host/container/key or else."""
    container, _, host = root.rpartition("@")
    if not container and root.endswith(AZURE_HOST):
        host, (container, _, key) = root, key.partition("/")
    account = host.partition(".")[0] if container else None
    return Location("az", container or root, key, account)


def _translate_vsi(href: str) -> str:
    """Translate a path of GDAL's virtual file systems into an href."""
    for prefix, scheme in VSI_PREFIXES.items():
        if href.startswith(prefix):
            return scheme + href.removeprefix(prefix)
    if href.startswith("/vsicurl/"):
        return href.removeprefix("/vsicurl/")
    if href.startswith("/vsicurl?"):
        options = dict(parse_qsl(href.partition("?")[2]))
        if "url" in options:
            return options["url"]
    known = ", ".join([*VSI_PREFIXES, "/vsicurl/"])
    raise UsageError(f"{redact(href)!r} is an unsupported GDAL path. Supported: {known}.")


def is_remote(href: str) -> bool:
    """Return True unless an href names a local file.

    Example:
        >>> is_remote("s3://bucket/key"), is_remote("scene/B04.tif"), is_remote("file:///a.tif")
        (True, False, False)
    """
    return parse_href(href).scheme != "file"


def join_href(base: str, relative: str) -> str:
    """Resolve an href relative to the document at `base`, as a browser would.

    A path that begins with "/" is one on the host, or in the bucket, of a remote document; only in
    a local document does it name a local file.

    Args:
        base: The href of a document, or of a folder if it ends in "/".
        relative: An href; an absolute one is returned unchanged.

    Example:
        >>> join_href("s3://bucket/scene/item.json", "./B04.tif")
        's3://bucket/scene/B04.tif'
        >>> join_href("/data/scene/item.json", "../masks/scl.tif")
        '/data/masks/scl.tif'
        >>> join_href("https://example.com/stac/items/a", "/data/B04.tif")
        'https://example.com/data/B04.tif'
    """
    if SCHEME.match(relative) or relative.startswith("/vsi"):
        return relative
    location = parse_href(base)
    if location.scheme == "http":
        _split(location.key)
        try:
            return urljoin(location.key, relative)
        except ValueError:
            return relative  # it is no address, which whoever reads it says
    if location.scheme == "file" and relative.startswith("/"):
        return relative
    if location.scheme == "file":
        folder = location.key if base.endswith("/") else posixpath.dirname(location.key)
        return posixpath.normpath(posixpath.join(folder, relative))
    folder = location.key if base.endswith("/") else posixpath.dirname(location.key)
    key = posixpath.normpath(posixpath.join("/", folder, relative)).lstrip("/")
    return Location(location.scheme, location.root, key, location.account).href


def child_href(folder: str, *names: str) -> str:
    """Return the href of something below a folder; the names cannot lead out of it.

    Args:
        folder: The folder's href, with or without a trailing "/".
        *names: Relative paths; they may come from outside, such as an item id of a catalogue.

    Raises:
        UsageError: A name is empty or absolute, has a part "." or "..", or contains a control
            character or a backslash.

    Example:
        >>> child_href("s3://bucket/index", "sentinel-2-l2a", "index.parquet")
        's3://bucket/index/sentinel-2-l2a/index.parquet'
    """
    for name in names:
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts) or re.search(r"[\x00-\x1f\x7f\\]", name):
            raise UsageError(
                f"{name!r} cannot name a file below {redact(folder)!r}: "
                "it must be a relative path without '..', control characters or backslashes."
            )
    location = parse_href(folder)
    if location.scheme == "http":
        split = _split(location.key)
        path = "/".join([split.path.rstrip("/"), *names])
        return urlunsplit((split.scheme, split.netloc, path, split.query, ""))
    if location.scheme == "file":
        return posixpath.join(location.key or ".", *names)
    key = "/".join([location.key, *names] if location.key else names)
    return Location(location.scheme, location.root, key, location.account).href


def split_href(href: str) -> SplitResult:
    """Return the parts of an href; one whose host is none has no host.

    Items name such hrefs: a server in brackets that is no IPv6 address. Reading them is an error.

    Example:
        >>> split_href("http://[::1/a/b.tif?v=1").path, split_href("http://[::1/b.tif").hostname
        ('/a/b.tif', None)
    """
    try:
        return urlsplit(href)
    except ValueError:
        scheme, path, query, fragment = _PARTS.fullmatch(href).groups("")  # type: ignore[union-attr]
        return SplitResult(scheme.lower(), "", path, query, fragment)


def _split(url: str) -> SplitResult:
    """Return the parts of a web address.

    Raises:
        UsageError: Its host is in brackets, and is no IPv6 address.
    """
    try:
        return urlsplit(url)
    except ValueError:
        pass  # not chained: the text of the original shows the address
    raise UsageError(f"{redact(url)!r} has no host: brackets hold an IPv6 address.")


def parent_href(href: str) -> str:
    """Return the folder that holds `href`, without a trailing "/" and without a query.

    Example:
        >>> parent_href("s3://bucket/scene/item.json"), parent_href("item.json")
        ('s3://bucket/scene', '.')
    """
    location = parse_href(href.rstrip("/") or href)
    if location.scheme == "http":
        split = _split(location.key)
        return urlunsplit((split.scheme, split.netloc, posixpath.dirname(split.path), "", ""))
    if location.scheme == "file":
        return posixpath.dirname(location.key) or "."
    key = posixpath.dirname(location.key)
    return Location(location.scheme, location.root, key, location.account).href.rstrip("/")


def local_path(href: str) -> Path | None:
    """Return the path of a local file, or None if the href is remote."""
    location = parse_href(os.fspath(href))
    return Path(location.key) if location.scheme == "file" else None
