"""Requests to a STAC API: pages bounded in size and time, retried like every other read.

pystac-client builds the requests and follows the pages. Its own transport would wait forever for a
server that sends byte by byte, accept an answer of any size, and hide the status behind retries.
"""

from __future__ import annotations

import time
from contextlib import suppress
from copy import copy
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import requests
import urllib3
from pystac_client.stac_api_io import StacApiIO

from stacchip.errors import InvalidMetadata, StorageError
from stacchip.items.api.pages import BrokenPages, Circles, PageRequest, next_request
from stacchip.items.reach import is_out_of_reach
from stacchip.storage import StorageOptions, redact
from stacchip.storage.content import show_start
from stacchip.storage.documents import parse_document, require_depth
from stacchip.storage.failure import TransientError, failure_of_status
from stacchip.storage.foreign_logs import hide_secrets, keep_secrets_out
from stacchip.storage.local_hosts import local_refusal
from stacchip.storage.origin import web_origin
from stacchip.storage.redaction import split_userinfo
from stacchip.storage.retry import persist
from stacchip.storage.transports import redirects, web, web_connection
from stacchip.storage.transports.web_failure import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stacchip.items.api.pace import Pace

_CHUNK_BYTES = 1 << 20
_FOLLOWED: Final = ("search", "data")  # links of a landing page to pages


def _failure_of_connection(error: Exception, url: str) -> Exception:
    """Return what to raise: an unknown host or an untrusted certificate will not change."""
    cause = error.__cause__ or error.__context__  # what urllib3 raised, which tells the reason
    if isinstance(cause, urllib3.exceptions.HTTPError):
        return failure_of(cause, url)
    return TransientError(f"a lost connection ({type(error).__name__})")


class _TimedAdapter(requests.adapters.HTTPAdapter):
    """Connections of requests that keep a deadline for the head of an answer, too."""

    def __init__(self, guard: web_connection.Guard) -> None:
        self._guard = guard
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        web_connection.keep_deadlines(self.poolmanager, self._guard)

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **named)
        if not proxy.lower().startswith("socks"):  # these have connections of their own
            # the proxy looks names up
            web_connection.keep_deadlines(manager, web_connection.Guard.NONE)
        return manager


class BoundedApiIO(StacApiIO):  # type: ignore[misc,unused-ignore]  # pystac-client's base is untyped
    """The transport of pystac-client; every failure is a `StorageError` with its status."""

    def __init__(
        self,
        api: str,
        options: StorageOptions,
        *,
        pace: Pace | None = None,
        largest_page_bytes: int | None = None,
    ) -> None:
        super().__init__(max_retries=None)
        keep_secrets_out()
        # no cookies: a jar sends them to every port of a host, and to http too
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        address, userinfo = split_userinfo(api)
        guard = web_connection.Guard.NONE if options.allow_local else web_connection.Guard.ALL
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _TimedAdapter(guard))
        self._server = server = web_origin(address)
        if server is not None and not options.allow_local:  # the user named it
            for own in (f"{server}/", f"{server.scheme}://{server.host}:{server.port}/"):
                self.session.mount(own, _TimedAdapter(web_connection.Guard.NAMED))
        self._pace = pace
        self._largest_page_bytes = largest_page_bytes or options.limits.document_bytes
        self._address = address
        self._options = options
        # for no other server that a page may link to or lead to
        self._credentials = {**options.headers, **web_connection.basic_authorization(userinfo)}

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the text of an answer; requests are repeated as `StorageOptions` say."""
        asked = PageRequest(href, (method or "GET").upper(), parameters or {}, headers or {})
        # the user named the API; where another answer came from does not matter here
        return self._ask(asked, self._address)[0]

    def read_json(
        self,
        source: Any,
        method: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return an answer as a JSON object, such as the landing page.

        Raises:
            NotAllowed: It came from a remote server, after redirects, and its links to the search
                or the collections lead to what only this machine can reach.
        """
        asked = PageRequest(str(source), (method or "GET").upper(), parameters or {})
        text, place = self._ask(asked, self._address)
        page = self._parse(text)
        links = page.get("links")
        for link in links if isinstance(links, list) else ():
            if isinstance(link, dict) and link.get("rel") in _FOLLOWED:
                with suppress(ValueError):  # no address, which nobody can follow
                    self._require_allowed(urljoin(asked.href, str(link.get("href"))), place)
        return page

    def _ask(self, asked: PageRequest, leader: str) -> tuple[str, str]:
        """Return the text of an answer, and the address that it came from, after redirects.

        Args:
            asked: What to ask.
            leader: Address of the document that leads there.
        """
        request = requests.Request(
            asked.method, split_userinfo(asked.href)[0], headers=dict(asked.headers)
        )
        if request.method == "POST":
            request.json = asked.parameters
        else:
            request.params = asked.parameters
        return persist(
            lambda until_s: self._attempt(request, leader, until_s), str(request.url), self._options
        )

    def _prepare(self, request: requests.Request, leader: str) -> requests.PreparedRequest:
        """Return a request as it is sent: with our credentials if it is for the API's own server.

        Raises:
            NotAllowed: A remote API leads to what only this machine can reach.
            StorageError: It cannot be sent.
        """
        self._require_allowed(str(request.url), leader)
        is_own = self._server is not None and web_origin(str(request.url)) == self._server
        prepared = copy(request)
        if is_own:
            prepared.headers = {**request.headers, **self._credentials}
        if not is_own or self._credentials:
            prepared.auth = _add_nothing  # what ~/.netrc has for any host is not for this one
        try:
            return self.session.prepare_request(prepared)
        except (requests.exceptions.RequestException, ValueError) as error:
            failure = self._unsendable(str(request.url), error)
        raise failure

    def _require_allowed(self, href: str, leader: str) -> None:
        """Refuse a page, a link or a redirect of a remote server that leads to this machine.

        An API of this machine may lead to another server here, but not by way of one elsewhere.
        """
        if not self._options.allow_local and is_out_of_reach(href, leader):
            said = f"The STAC API at {redact(self._address)} leads to {redact(href)}"
            raise local_refusal(said, redact(href))

    def _unsendable(self, url: str, error: Exception) -> StorageError:
        # not chained: the text of the original shows the address, or a header
        return StorageError(
            f"No request can be sent to {redact(url)}: {type(error).__name__}. "
            "Check the address of the API.",
            href=redact(url),
        )

    def json_loads(self, txt: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Return an answer as a JSON object."""
        return self._parse(txt)

    def _parse(self, text: str, *, of_items: bool = False) -> dict[str, Any]:
        data = text.encode(errors="surrogatepass")
        limits = self._options.limits
        try:
            answer = parse_document(data, self._address, limits, of_items=of_items)
        except InvalidMetadata:
            pass  # the error would hold the whole text, or its context would
        else:
            if isinstance(answer, dict):
                return answer
            raise self._malformed(f"JSON that is not an object: {show_start(data)!r}")
        raise self._malformed(f"text that is not JSON; it begins with {show_start(data)!r}")

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield pages until one is empty or links to no other.

        Raises:
            StorageError: A page is malformed, or the pages lead in a circle.
            LimitExceeded: They hold more items than one search may find.
        """
        first = PageRequest(url, (method or "GET").upper(), parameters or {})
        request: PageRequest | None = first
        circles = Circles()
        count, place = 0, self._address
        try:
            while request is not None:
                circles.ask(request)
                page, place = self._read_page(request, place)
                members = page.get("features") or page.get("collections")
                if not members:
                    return
                circles.see(members)
                yield page
                count += len(members)
                self._require_few(count)
                request = next_request(page, request, first)
        except BrokenPages as error:
            raise self._malformed(str(error)) from error

    def _require_few(self, count: int) -> None:
        """Refuse pages without end: an API may make up other items for ever.

        Raises:
            LimitExceeded: There are more than the limit.
        """
        if count > self._options.limits.listed:
            href = redact(self._address)
            what = (
                f"The STAC API at {href} finds more than {count - 1:,} items (max_items= ends it)"
            )
            raise self._options.limits.exceeded("listed", what, href=href)

    def _read_page(self, request: PageRequest, leader: str) -> tuple[dict[str, Any], str]:
        """Return a page, and the address that it came from."""
        text, place = self._ask(request, leader)
        page = self._parse(text, of_items=True)
        # each item is measured where it is read
        rest = {name: value for name, value in page.items() if name != "features"}
        limits = self._options.limits
        require_depth(rest, redact(request.href), limits, most_parts=len(text))
        for name in ("features", "collections"):
            if not isinstance(page.get(name, []), list):
                raise BrokenPages(f"a page whose {name} are not a list")
        if "features" not in page and "collections" not in page:
            # the search would seem to end here
            start = show_start(text[:1024].encode(errors="surrogatepass"))
            raise BrokenPages(f"a page without features or collections: {start!r}")
        return page, place

    def _attempt(self, request: requests.Request, leader: str, until_s: float) -> tuple[str, str]:
        """Wait for a turn and send one request, which ends by `until_s` on the monotonic clock."""
        if self._pace is not None:
            self._pace.wait()
        for _ in range(web.MOST_REDIRECTS + 1):
            answer, data = self._send(self._prepare(request, leader), until_s)
            leader = str(answer.url)
            if not answer.is_redirect:
                break
            request = _redirected(request, answer)
        else:
            text = f"{redact(str(request.url))} redirects too often."
            raise StorageError(text, href=redact(str(request.url)))
        if answer.status_code >= 300:
            raise self._refusal(answer, data)
        # a lone surrogate in place of each byte that is no text: an id that has one is refused, and
        # does not become another id
        return data.decode("utf-8", errors="surrogateescape"), leader

    def _send(
        self, prepared: requests.PreparedRequest, until_s: float
    ) -> tuple[requests.Response, bytes]:
        """Send a request and return the answer, which may be a redirect, with its body."""
        url = str(prepared.url)
        settings = self.session.merge_environment_settings(url, {}, True, None, None)
        timeout_s = max(0.001, min(self._options.timeout_s, until_s - time.monotonic()))
        web_connection.begin_request(until_s)
        failure: Exception
        try:
            with self.session.send(
                prepared, timeout=timeout_s, allow_redirects=False, **settings
            ) as answer:
                web_connection.expect_body(self._largest_page_bytes)
                return answer, self._read_body(answer, until_s)
        except requests.exceptions.ConnectionError as error:
            failure = _failure_of_connection(error, url)
        except requests.exceptions.Timeout:
            failure = TransientError(f"no answer within {timeout_s:.3g} s")
        except urllib3.exceptions.HTTPError as error:
            is_late = time.monotonic() >= until_s
            cut_short = f"an answer cut short ({type(error).__name__})"
            failure = TransientError("an answer that came too slowly" if is_late else cut_short)
        except requests.exceptions.RequestException as error:
            failure = self._unsendable(url, error)
        raise failure  # outside of the handler, so that the original is not its context

    def _read_body(self, answer: requests.Response, until_s: float) -> bytes:
        """Return the body of an answer that is neither too large nor too slow."""
        chunks, size = [], 0
        # read1 returns the bytes that are there; iter_content would wait for a full chunk
        while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._largest_page_bytes:
                raise self._malformed(
                    f"more than {self._largest_page_bytes >> 20} MB for one page. If you trust it, "
                    "raise the limit: StorageOptions(limits=Limits(document_bytes=...))"
                )
            if time.monotonic() > until_s:
                raise TransientError("an answer that came too slowly")
        return b"".join(chunks)

    def _refusal(self, answer: requests.Response, data: bytes) -> Exception:
        """Return the error of a status, with the server's words if it found the request wrong."""
        href, status = str(answer.url), answer.status_code
        headers: Mapping[str, str] = {k.lower(): v for k, v in answer.headers.items()}
        failure = failure_of_status(href, status, headers=headers)
        if status not in (400, 422):
            return failure
        return StorageError(
            f"{redact(href)} refuses the search (HTTP {status}): "
            f"{hide_secrets(data[:300].decode('utf-8', errors='replace'))}. Mend its parameters.",
            href=redact(href),
            status=status,
        )

    def _malformed(self, what: str) -> StorageError:
        host = str(self._server).partition("://")[2]
        return StorageError(
            f"The STAC API at {host} answered with {what}. Try later, or another API.", href=host
        )


def _add_nothing(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate as nobody, in the form that requests asks for."""
    return prepared


def _redirected(request: requests.Request, answer: requests.Response) -> requests.Request:
    """Return the request that an answer leads to; the headers of a page stay with its server.

    Raises:
        StorageError: It leads away from HTTP.
    """
    there = split_userinfo(redirects.join(str(answer.url), answer.headers["Location"]))[0]
    redirects.require_http(str(answer.url), there)
    following = copy(request)
    following.url, following.params = there, {}  # the parameters of a GET are in the address
    if web_origin(there) != web_origin(str(answer.url)):
        following.headers = {}
    is_seen_elsewhere = answer.status_code == 303 or (
        answer.status_code in (301, 302) and request.method == "POST"
    )
    if is_seen_elsewhere:  # RFC 9110, 15.4, as browsers do
        following.method, following.json = "GET", None
    return following
