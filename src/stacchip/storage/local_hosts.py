"""Hosts that only this machine can reach, however an address spells them.

A catalogue on the web that names `http://127.0.0.1:8080/` means a service of the reader's own
machine, and `http://169.254.169.254/` the keys that a cloud gives to this machine. Links and
redirects that come from outside may name neither: see `StorageOptions.allow_local`.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from stacchip.errors import NotAllowed
from stacchip.storage.href import parse_href

_NAMES: Final = frozenset(
    {"localhost", "localhost.localdomain", "localhost6", "localhost6.localdomain6", "ip6-localhost",
     "ip6-loopback"}
)  # fmt: skip
# Clouds give a machine its keys at link-local addresses, and some of them at these.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",  # Azure
            "100.100.100.200",  # Alibaba Cloud
            "fd00:ec2::254",  # AWS: EC2
            "fd00:ec2::23",  # AWS: identities of EKS's pods
            "fd20:ce::254",  # Google Cloud
            "fd00:c1::a9fe:a9fe",  # Oracle Cloud
        ),
    )
)
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})
_MAPPED_V4: Final = tuple(
    map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "::/96"))
)
"""IPv6 networks whose last 32 bits are an IPv4 address."""
_TRANSLATED_V4: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
"""Prefixes of 48 to 96 bits that a network chooses for its NAT64 (RFC 8215)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_local_href(href: str) -> bool:
    """Return True if a web address names a host that only this machine can reach.

    Example:
        >>> is_local_href("http://me:pw@127.0.0.1:8000/a.tif"), is_local_href("s3://localhost/a")
        (True, False)
    """
    location = parse_href(href)
    if location.scheme != "http":
        return False
    try:
        host = parse_url(location.key).host
    except LocationParseError:  # no request can be sent there
        return False
    return host is not None and is_local_host(host)


@lru_cache(maxsize=1024)
def is_local_host(host: str) -> bool:
    """Return True if a host is a loopback or link-local address, or a name of this machine.

    No name is looked up. Numbers count in every form that the system's resolver takes: decimal,
    octal, hexadecimal, with fewer than four parts, or as an IPv6 address that holds one of IPv4.

    Args:
        host: A name or an address, with or without brackets and zone.

    Example:
        >>> [is_local_host(host) for host in ("0x7f.1", "2130706433", "[::ffff:127.0.0.1]")]
        [True, True, True]
        >>> is_local_host("api.localhost."), is_local_host("127.0.0.1.example.com")
        (True, False)
    """
    # as the resolver sees it: full-width figures and dots are those of ASCII
    name = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").casefold()
    name = name.strip().strip("[]").partition("%")[0].rstrip(".")
    if name in _NAMES | _METADATA_NAMES or name.endswith(".localhost"):
        return True
    address = _read_address(name)
    return address is not None and _is_local(address)


def is_local_address(address: str) -> bool:
    """Return True if a numeric address is loopback or link-local, or that of a metadata service.

    Example:
        >>> is_local_address("fe80::1%eth0"), is_local_address("93.184.216.34")
        (True, False)
    """
    found = _read_address(address.partition("%")[0])
    return found is not None and _is_local(found)


def local_refusal(said: str, href: str, *, remedy: str = "") -> NotAllowed:
    """Return the error for what leads from elsewhere to something that is local to this machine.

    Args:
        said: What leads there, as a sentence up to the place.
        href: The address that the error names, without its secrets.
        remedy: What else to do, as a sentence.

    Example:
        >>> print(local_refusal("https://example.com/ redirects to localhost", "https://..."))
        https://example.com/ redirects to localhost, which is local to this machine: nothing was ...
    """
    allow = "If you trust it, allow it: StorageOptions(allow_local=True), or --allow-local."
    return NotAllowed(
        f"{said}, which is local to this machine: nothing was read. {remedy}{' ' * bool(remedy)}"
        f"{allow}",
        href=href,
    )


def _read_address(text: str) -> _Address | None:
    """Return the address that a text stands for; None if it is a name."""
    try:
        return ipaddress.IPv6Address(text) if ":" in text else _read_v4(text)
    except (ValueError, OSError):
        return None


def _read_v4(text: str) -> ipaddress.IPv4Address:
    if not text.isascii() or not text or text.split() != [text]:  # the C library stops at a space
        raise ValueError(text)
    return ipaddress.IPv4Address(socket.inet_aton(text))


def _is_local(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner_v4(address)
        if inner:
            return any(map(_is_local, inner))
    # Linux takes 0.0.0.0 and :: for loopback
    is_this_network = address.version == 4 and address in ipaddress.IPv4Network("0.0.0.0/8")
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or is_this_network
        or address in _METADATA
    )


def _inner_v4(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address may stand for; none if it stands for itself.

    A translator's prefix is not known here: its length says where the address stands, around the
    bits 64 to 71 (RFC 6052, 2.2).
    """
    if address.sixtofour is not None:
        return [address.sixtofour]
    if int(address) > 1 and any(address in network for network in _MAPPED_V4):
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    if address in _TRANSLATED_V4:
        all_bytes = address.packed
        without = all_bytes[:8] + all_bytes[9:]
        parts = [without[6:10], without[7:11], without[8:12], all_bytes[12:]]
        return [ipaddress.IPv4Address(part) for part in parts if part[0]]  # zeros are its padding
    return []
