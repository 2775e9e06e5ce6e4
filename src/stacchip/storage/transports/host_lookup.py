"""Looking up the addresses of a host, within a deadline, and judging them."""

from __future__ import annotations

import socket

from urllib3.exceptions import LocationParseError

from stacchip.runtime.per_process import PerProcess
from stacchip.storage.deadline import call_within
from stacchip.storage.local_hosts import is_local_address, is_local_host, local_refusal

# whether a name led to this machine when it was first looked up
_WAS_LOCAL: PerProcess[dict[str, bool]] = PerProcess(dict)


def look_up(host: str, port: int | None, until_s: float) -> list[str]:
    """Return the numeric addresses of a host, the preferred one first.

    Args:
        host: A name or an address.
        port: The port to be reached.
        until_s: The time (`time.monotonic()`) by which the answer must be there. The system's
            resolver takes no limit.

    Raises:
        socket.gaierror: There is no such host.
        TimeoutError: No name server answered in time.
        LocationParseError: No host can have this name.
    """
    host = host.strip("[]")
    try:
        return _resolve(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    return call_within(lambda: _resolve(host, port, 0), until_s)


def _resolve(host: str, port: int | None, flags: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, flags)
    except UnicodeError as error:
        raise LocationParseError(f"{host!r}, label empty or too long") from error
    return [str(address[4][0]) for address in found]


def refuse_local(host: str, addresses: list[str], *, is_named: bool = False) -> None:
    """Refuse a name that resolves to an address that only this machine can reach.

    A host that is such an address, or `localhost`, says so itself, and whoever named it meant it.
    A host that the user named may be this machine by another name. But then it was from the start:
    the owner of a name elsewhere could let it lead here once his items have been read.

    Args:
        host: The name.
        addresses: What it resolves to.
        is_named: Whether the user named it.

    Raises:
        NotAllowed: The name hides such an address.
    """
    if is_local_host(host):
        return
    local = [address for address in addresses if is_local_address(address)]
    was_local = _WAS_LOCAL.get().setdefault(host, bool(local))
    if not (is_named and was_local):
        for address in local:
            remedy = "If you mean this machine, name the address itself or localhost."
            raise local_refusal(f"The host {host} resolves to {address}", host, remedy=remedy)
