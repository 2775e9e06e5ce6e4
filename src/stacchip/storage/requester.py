"""Send requests: choose the options that apply, sign, try again, and count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from stacchip.errors import AccessDenied
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.href import Location, parse_href
from stacchip.storage.retry import persist
from stacchip.storage.transports import object_clients, objects, planetary_computer

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from stacchip.storage.options import StorageOptions

T = TypeVar("T")
Sign = Callable[[str], str] | Literal["auto"] | None


class Requester:
    """Sends the requests of one `Storage`, and repeats them until they succeed or finally fail.

    Args:
        options: Used if no override applies.
        overrides: Options for hrefs that begin with a prefix; the longest prefix wins.
        sign: See `Storage`.
    """

    def __init__(
        self, options: StorageOptions, overrides: Mapping[str, StorageOptions], sign: Sign
    ) -> None:
        self.options = options
        self.sign = sign
        self.counters = Counters()
        # the longest first, so that the first match is the longest
        self._prefixes = sorted(
            ((_parse_prefix(p), o) for p, o in overrides.items()), key=lambda p: -len(p[0])
        )

    def options_for(self, location: Location) -> StorageOptions:
        """Return the options for a place, without those from the environment."""
        if self._prefixes:
            href = location.href
            for prefix, options in self._prefixes:
                if href.startswith(prefix):
                    return options
        return self.options

    def ask_web(self, location: Location, request: Callable[[str, StorageOptions, float], T]) -> T:
        """Send a request to a web server, signed if necessary, until it succeeds."""
        options = self.options_for(location)

        def attempt(until_s: float) -> T:
            url = self._sign(location.key, options)
            self.counters.add(1)
            try:
                return request(url, options, until_s)
            except AccessDenied:
                if self.sign != "auto" or not planetary_computer.SIGNER.renew(location.key, url):
                    raise
            self.counters.add(1)
            return request(planetary_computer.SIGNER.sign(location.key, options), options, until_s)

        return persist(attempt, location.key, options)

    def _sign(self, url: str, options: StorageOptions) -> str:
        if self.sign == "auto":
            return planetary_computer.SIGNER.sign(url, options)
        return self.sign(url) if self.sign else url

    def ask_store(
        self,
        location: Location,
        request: Callable[[ObjectStore], T],
        mode: object_clients.Mode = "read",
    ) -> T:
        """Send a request to an object store until it succeeds."""
        options = self.options_for(location)
        if location.scheme == "s3":
            options = options.with_environment().with_profile_keys()

        def attempt(until_s: float) -> T:
            while True:
                timeout_s = object_clients.shorten(options.deadline_s, until_s - time.monotonic())
                region = object_clients.known_region(location, options)
                here = options if region == options.region else replace(options, region=region)
                self.counters.add(1)
                try:
                    return request(object_clients.open_store(location, here, timeout_s, mode))
                except objects.WrongRegionError:
                    pass
                object_clients.find_region(location, options, region, until_s)

        # obstore repeats single parts, and a stream that was sent cannot be sent again
        limits = replace(options, max_attempts=1) if mode == "parts" else options
        return persist(attempt, location.href, limits)


def _parse_prefix(prefix: str) -> str:
    """Return a prefix in canonical form; one that names a folder keeps its final "/"."""
    href = parse_href(prefix).href
    return f"{href}/" if prefix.endswith("/") and not href.endswith("/") else href


class Counters:
    """Counts that many threads add to; an unpickled copy starts from zero."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_read = 0

    def __reduce__(self) -> tuple[type[Counters], tuple[()]]:
        return Counters, ()

    def add(self, requests: int, bytes_read: int = 0) -> None:
        """Add to the counts."""
        with _COUNTING.get():
            self.requests += requests
            self.bytes_read += bytes_read


# for each process: a thread of the parent may hold the lock during a fork
_COUNTING = PerProcess(threading.Lock)
