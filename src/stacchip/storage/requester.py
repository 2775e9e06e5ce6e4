"""Send requests: choose the options that apply, sign, try again, and count."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from stacchip.errors import AccessDenied, UsageError
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.href import Location, parse_href
from stacchip.storage.origin import Origin, origin_of, parse_prefix, user_of, web_origin
from stacchip.storage.redaction import SCHEME, redact
from stacchip.storage.retry import persist
from stacchip.storage.transports import object_clients, objects, planetary_computer

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from stacchip.storage.options import StorageOptions

T = TypeVar("T")
ACCOUNT_VARIABLES = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_THIS_MACHINE = Origin("file", "")
Sign = Callable[[str], str] | Literal["auto"] | None


class Requester:
    """Sends the requests of one `Storage`, and repeats them until they succeed or finally fail.

    Args:
        options: Used if no override applies. Their headers go to one server: that of their
            endpoint, else the first one that is named (`name_server`), else the first that is
            asked. Other servers are named by items, and get the options without the headers.
        overrides: Options for places at or below a prefix; the longest prefix wins.
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
            overrides.items(), key=lambda pair: -len(parse_prefix(pair[0]).path)
        )
        _refuse_headers_for_all(self._prefixes)
        # the server of the headers, and the Azure account of the environment's credentials, once
        # they are known; dicts, since threads may name them at once
        self._home: dict[str, Origin | None] = {}
        if options.headers and options.endpoint:
            self._home["server"] = web_origin(options.endpoint)
        self._account: dict[str, str | None] = {}
        # the servers that the user named; None once all others come from items
        self._named: set[Origin | None] = set()
        self._configured = self._configured_servers()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # pickles of earlier versions have none
        earlier = {"_home": {}, "_account": {}, "_named": {None}, "_configured": frozenset()}
        self.__dict__.update({**earlier, **state})

    def _configured_servers(self) -> frozenset[Origin | None]:
        """Return the servers that the user named in the options."""
        servers = {parse_prefix(prefix).origin for prefix, _ in self._prefixes}
        every = (self.options, *(options for _, options in self._prefixes))
        servers |= {web_origin(options.endpoint) for options in every if options.endpoint}
        return frozenset(servers - {None})

    def options_for(self, location: Location) -> StorageOptions:
        """Return the options for a place, without those from the environment."""
        found = self._override_for(location)
        if found is not None:
            return found
        if not self.options.headers or self._server_of(location) in self._home.values():
            return self.options
        return self._plain_options if self._home else self.options

    def _override_for(self, location: Location) -> StorageOptions | None:
        if not self._prefixes:
            return None
        place = parse_prefix(location.href)
        return next((o for prefix, o in self._prefixes if parse_prefix(prefix).covers(place)), None)

    @property
    def _plain_options(self) -> StorageOptions:
        return replace(self.options, headers={})

    def _server_of(self, location: Location) -> Origin | None:
        return origin_of(location, self.options.endpoint)

    def name_server(self, location: Location | None) -> None:
        """Say which server the headers of the options are for, unless that is known already.

        Args:
            location: A place there; None, or a local file, if they are for none.
        """
        self._remember(location)
        self._account.setdefault("first", None if location is None else location.account)
        if self.options.headers and not self._home:
            server = None if location is None else self._server_of(location)
            self._home.setdefault("server", server)

    def _remember(self, location: Location | None) -> None:
        """Remember a server that the user named; None: what follows comes from items."""
        if None not in self._named:
            server = None if location is None else self._server_of(location) or _THIS_MACHINE
            self._named.add(server)

    def _is_named(self, location: Location) -> bool:
        """Return True if the user named the server of a web address."""
        server = self._server_of(location)
        return server is not None and (server in self._named or server in self._configured)

    def _options_to_ask(self, location: Location) -> StorageOptions:
        if self.options.headers and not self._home and self._override_for(location) is None:
            self.name_server(location)
        if not self._named:
            self._remember(location)
        if location.scheme == "http" and (user := user_of(location.key)):
            self._refuse_disguise(location, user)
        return self.options_for(location)

    def _refuse_disguise(self, location: Location, user: str) -> None:
        """Refuse `http://good.org@evil.org/`, if good.org is a server that options are for."""
        servers = [parse_prefix(prefix).origin for prefix, _ in self._prefixes]
        servers.extend(self._home.values())
        if any(server is not None and server.host == user for server in servers):
            place, shown = web_origin(location.key), redact(location.href)
            raise UsageError(
                f"{shown} is written with {user!r} before an '@', like the server of that name, "
                f"but it is on {place}. Write the address without it."
            )

    def _is_own_account(self, location: Location, options: StorageOptions) -> bool:
        """Return True if the credentials of the environment may be sent to an Azure account.

        A signature or token of Azure serves whoever gets it, and anybody may own an account. So it
        is for accounts that the user named: in the options, in the environment, by a prefix of
        `overrides`, or else by the first address.
        """
        if location.account is None or options.endpoint:
            return True
        named = {options.account, *(os.environ.get(name) for name in ACCOUNT_VARIABLES)} - {None}
        prefixes = [prefix for prefix, _ in self._prefixes]
        named |= {parse_href(p).account for p in prefixes if not SCHEME.fullmatch(p)} - {None}
        first = self._account.setdefault("first", location.account)
        return location.account in named or (not named and location.account == first)

    def _explain(self, error: AccessDenied, location: Location) -> AccessDenied:
        """Return the error of a refusal, which says so if headers were kept back."""
        if not self.options.headers or self.options_for(location) != self._plain_options:
            return error
        home = self._home.get("server")
        other = f"they are for {home} alone" if home else "no server was named that they are for"
        server = self._server_of(location)
        return type(error)(
            f"{error} The headers of Storage(options=...) were not sent to it: {other}. If they "
            f"are for {server} too, pass Storage(overrides={{'{server}/': StorageOptions("
            "headers=...)}).",
            **error.facts,
        )

    def ask_web(
        self, location: Location, request: Callable[[str, StorageOptions, float, bool], T]
    ) -> T:
        """Send a request to a web server, signed if necessary, until it succeeds.

        Args:
            location: The address.
            request: Sends it once, to a URL with options, until a time; the last argument is True
                if the user named the server.
        """
        options = self._options_to_ask(location)
        is_named = self._is_named(location)

        def attempt(until_s: float) -> T:
            url = self._sign(location.key, options)
            self.counters.add(1)
            try:
                return request(url, options, until_s, is_named)
            except AccessDenied:
                if self.sign != "auto" or not planetary_computer.SIGNER.renew(location.key, url):
                    raise
            self.counters.add(1)
            url = planetary_computer.SIGNER.sign(location.key, options)
            return request(url, options, until_s, is_named)

        try:
            return persist(attempt, location.key, options)
        except AccessDenied as error:
            denied = error
        raise self._explain(denied, location)

    def _sign(self, url: str, options: StorageOptions) -> str:
        if self.sign == "auto":
            return planetary_computer.SIGNER.sign(url, options)
        return self.sign(url) if self.sign else url

    def ask_store(
        self,
        location: Location,
        request: Callable[[ObjectStore], T],
        mode: object_clients.Mode = "read",
        parts: int = 1,
    ) -> T:
        """Send a request to an object store until it succeeds.

        Args:
            location: The object.
            request: Sends it once.
            mode: What it does.
            parts: How many times the time limit it may take.
        """
        options = self._options_to_ask(location)
        if parts > 1:
            options = replace(options, deadline_s=options.deadline_s * parts)
        if location.scheme == "az" and not self._is_own_account(location, options):
            options = replace(options, skip_signature=True)
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


def _refuse_headers_for_all(prefixes: list[tuple[str, StorageOptions]]) -> None:
    """Refuse headers for every server of a scheme: a server that an item names would get them."""
    for prefix, options in prefixes:
        if options.headers and not parse_prefix(prefix).names_a_server:
            raise UsageError(
                f"overrides has headers for {redact(prefix)!r}, which names no server. Write the "
                "server that they are for, such as 'https://example.com/'."
            )


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
