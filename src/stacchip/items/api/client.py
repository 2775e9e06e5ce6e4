"""A STAC API over HTTP: pages bounded in size and time, retried like every other read.

pystac-client builds the requests and follows the pages. Its own transport would wait forever for a
server that sends byte by byte, accept an answer of any size, and hide the status behind retries.

This module is imported only when an API is searched: pystac-client is slow to import.
"""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from pystac_client import Client
from pystac_client.stac_api_io import StacApiIO

from stacchip.errors import StacchipError, StorageError, UsageError
from stacchip.items.api.pages import BrokenPages, Circles, PageRequest, next_request
from stacchip.storage import StorageOptions, redact
from stacchip.storage.failure import TransientError, failure_of_status
from stacchip.storage.retry import persist
from stacchip.storage.transports import web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stacchip.items.api.pace import Pace

# a page of 1000 Landsat items is about 30 MB
LARGEST_PAGE_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20
_END: Any = object()


class StacApi:
    """A STAC API: its landing page is read once, at the first search.

    Args:
        href: URL of the landing page.
        options: Time limits, attempts, and headers for the API's own host.
        pace: Limits the requests per second; None for no limit.
    """

    def __init__(self, href: str, options: StorageOptions, pace: Pace | None = None) -> None:
        self._href = href
        self._io = BoundedApiIO(href, options, pace=pace)
        self._client: Client | None = None

    def list_collections(self, most: int = 1000) -> list[str]:
        """Return the ids of the API's collections, `most` of them at the most.

        Raises:
            StorageError: The API cannot be reached, refuses, or does not list its collections.
        """
        try:
            link = self._open().get_single_link("data")
            href = f"{self._href.rstrip('/')}/collections" if link is None else link.absolute_href
            pages = self._io.get_pages(href)
            ids = (str(each["id"]) for page in pages for each in page.get("collections") or ())
            return list(islice(ids, most))
        except StacchipError:
            raise
        except Exception as error:
            # pystac-client, and records of any form, raise any error at all
            raise self._not_an_api(error) from error

    def _open(self) -> Client:
        try:
            self._client = self._client or Client.open(self._href, stac_io=self._io)
        except StacchipError:
            raise
        except Exception as error:
            # a page that is not a STAC API's makes pystac-client raise any error at all
            raise self._not_an_api(error) from error
        return self._client

    def search(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of the items that a search finds, page by page.

        Args:
            **arguments: As `pystac_client.Client.search` takes them.

        Raises:
            UsageError: An argument cannot be searched for.
            StorageError: The API cannot be reached, refuses, or does not answer as a STAC API.
        """
        client = self._open()
        try:
            search = client.search(**arguments, method=_method(client, arguments))
        except StacchipError:
            raise
        except NotImplementedError as error:
            raise self._not_an_api(error) from error
        except Exception as error:
            # pystac-client checks arguments before it sends a request, and raises plain Exception
            raise UsageError(
                f"This cannot be searched for: {error}. Mend the arguments."
            ) from error
        records = search.items_as_dicts()
        while True:
            try:
                record = next(records, _END)
            except StacchipError:
                raise
            except Exception as error:  # as above
                raise self._not_an_api(error) from error
            if record is _END:
                return
            yield record

    def _not_an_api(self, error: Exception) -> StorageError:
        return StorageError(
            f"{redact(self._href)} does not answer as a STAC API with item search does: "
            # an error's text may hold a signed address
            f"{type(error).__name__}. Check the address; it is that of the landing page.",
            href=redact(self._href),
        )


def _method(client: Client, arguments: Mapping[str, Any]) -> str:
    """Return "GET" for an API that offers nothing else, or else "POST"."""
    offered = {link.extra_fields.get("method") or "GET" for link in client.get_links("search")}
    # a filter in JSON has no form for GET
    is_json = isinstance(arguments.get("filter"), dict)
    return "GET" if offered == {"GET"} and not is_json else "POST"


def _failure_of_connection(error: Exception, url: str) -> Exception:
    """Return what to raise: an unknown host or an untrusted certificate will not change."""
    cause = error.__cause__ or error.__context__  # what urllib3 raised, which tells the reason
    if isinstance(cause, urllib3.exceptions.HTTPError):
        return web.failure_of(cause, url)
    return TransientError(f"a lost connection ({type(error).__name__})")


class BoundedApiIO(StacApiIO):  # type: ignore[misc,unused-ignore]  # pystac-client's base is untyped
    """The transport of pystac-client; every failure is a `StorageError` with its status."""

    def __init__(
        self,
        api: str,
        options: StorageOptions,
        *,
        pace: Pace | None = None,
        largest_page_bytes: int = LARGEST_PAGE_BYTES,
    ) -> None:
        super().__init__(max_retries=None)
        self._pace = pace
        self._largest_page_bytes = largest_page_bytes
        self._host = urlsplit(api).netloc
        self._options = options

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the text of an answer; requests are repeated as `StorageOptions` say."""
        method = (method or "GET").upper()
        sent = dict(headers or {})
        if urlsplit(href).netloc == self._host:
            # our credentials are not for another host that a page may link to
            sent.update(self._options.headers)
        body: dict[str, Any] = {"json": parameters} if method == "POST" else {"params": parameters}
        prepared = self.session.prepare_request(
            requests.Request(method, href, headers=sent, **body)
        )
        return persist(
            lambda until_s: self._attempt(prepared, until_s), str(prepared.url), self._options
        )

    def json_loads(self, txt: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Return an answer as a JSON object."""
        try:
            answer = json.loads(txt)
        except (ValueError, RecursionError) as error:
            raise self._malformed(
                f"text that is not JSON ({error}); it begins with {txt[:60]!r}"
            ) from error
        if not isinstance(answer, dict):
            raise self._malformed(f"JSON that is not an object: {txt[:60]!r}")
        return answer

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield pages until one is empty or links to no other.

        Raises:
            StorageError: A page is malformed, or the pages lead in a circle.
        """
        first = PageRequest(url, (method or "GET").upper(), parameters or {})
        request: PageRequest | None = first
        circles = Circles()
        try:
            while request is not None:
                circles.ask(request)
                page = self._read_page(request)
                members = page.get("features") or page.get("collections")
                if not members:
                    return
                circles.see(members)
                yield page
                request = next_request(page, request, first)
        except BrokenPages as error:
            raise self._malformed(str(error)) from error

    def _read_page(self, request: PageRequest) -> dict[str, Any]:
        text = self.request(request.href, request.method, request.headers, request.parameters)
        page = self.json_loads(text)
        for name in ("features", "collections"):
            if not isinstance(page.get(name, []), list):
                raise BrokenPages(f"a page whose {name} are not a list")
        return page

    def _attempt(self, prepared: requests.PreparedRequest, until_s: float) -> str:
        """Wait for a turn and send one request, which ends by `until_s` on the monotonic clock."""
        if self._pace is not None:
            self._pace.wait()
        settings = self.session.merge_environment_settings(str(prepared.url), {}, True, None, None)
        timeout_s = max(0.001, min(self._options.timeout_s, until_s - time.monotonic()))
        try:
            with self.session.send(prepared, timeout=timeout_s, **settings) as answer:
                data = self._read_body(answer, until_s)
        except requests.exceptions.ConnectionError as error:
            raise _failure_of_connection(error, str(prepared.url)) from None
        except requests.exceptions.Timeout as error:
            raise TransientError(f"no answer within {timeout_s:.3g} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"an answer cut short ({type(error).__name__})") from error
        except requests.exceptions.RequestException as error:
            raise StorageError(
                f"No request can be sent to {redact(str(prepared.url))}: {type(error).__name__}. "
                "Check the address of the API.",
                href=redact(str(prepared.url)),
            ) from error
        if answer.status_code >= 300:
            raise self._refusal(answer, data)
        return data.decode("utf-8", errors="replace")

    def _read_body(self, answer: requests.Response, until_s: float) -> bytes:
        """Return the body of an answer that is neither too large nor too slow."""
        chunks, size = [], 0
        # read1 returns the bytes that are there; iter_content would wait for a full chunk
        while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._largest_page_bytes:
                limit_mb = self._largest_page_bytes >> 20
                raise self._malformed(f"more than {limit_mb} MB for one page")
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
            f"{data[:300].decode('utf-8', errors='replace')}. Mend its parameters.",
            href=redact(href),
            status=status,
        )

    def _malformed(self, what: str) -> StorageError:
        return StorageError(
            f"The STAC API at {self._host} answered with {what}. Try later, or another API.",
            href=self._host,
        )
