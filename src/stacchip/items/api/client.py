"""A STAC API: its searches, and the items that they find.

This module is imported only when an API is searched: pystac-client is slow to import.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from pystac_client import Client

from stacchip.errors import StacchipError, StorageError, UsageError
from stacchip.items.api.bounded_io import BoundedApiIO
from stacchip.storage import StorageOptions, redact
from stacchip.storage.foreign_logs import hide_secrets
from stacchip.storage.redaction import split_userinfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stacchip.items.api.pace import Pace

_END: Any = object()


class StacApi:
    """A STAC API: its landing page is read once, at the first search.

    Args:
        href: URL of the landing page.
        options: Time limits, attempts, and headers. These, and the password of the address, go to
            the API's own server alone: its scheme, host and port.
        pace: Limits the requests per second; None for no limit.
    """

    def __init__(self, href: str, options: StorageOptions, pace: Pace | None = None) -> None:
        self._href = split_userinfo(href)[0]  # pystac-client would show the password
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
        except Exception as error:  # noqa: BLE001
            # pystac-client, and records of any form, raise any error at all
            failure = self._not_an_api(error)
        raise failure

    def _open(self) -> Client:
        try:
            self._client = self._client or Client.open(self._href, stac_io=self._io)
        except StacchipError:
            raise
        except Exception as error:  # noqa: BLE001
            # a page that is not a STAC API's makes pystac-client raise any error at all
            failure = self._not_an_api(error)
        else:
            return self._client
        raise failure

    def search(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of the items that a search finds, page by page.

        Args:
            **arguments: As `pystac_client.Client.search` takes them.

        Raises:
            UsageError: An argument cannot be searched for.
            StorageError: The API cannot be reached, refuses, or does not answer as a STAC API.
        """
        records = self._start(self._open(), arguments)
        while True:
            try:
                record = next(records, _END)
            except StacchipError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                failure = self._not_an_api(error)
            else:
                if record is _END:
                    return
                yield record
                continue
            raise failure

    def _start(self, client: Client, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Return the items of a search, which is sent when the first is needed."""
        failure: StacchipError
        try:
            search = client.search(**arguments, method=_method(client, arguments))
        except StacchipError:
            raise
        except NotImplementedError as error:
            failure = self._not_an_api(error)
        except Exception as error:  # noqa: BLE001
            # pystac-client checks arguments before it sends a request, and raises plain Exception
            text = hide_secrets(str(error))
            failure = UsageError(f"This cannot be searched for: {text}. Mend the arguments.")
        else:
            records: Iterator[dict[str, Any]] = search.items_as_dicts()
            return records
        raise failure

    def _not_an_api(self, error: Exception) -> StorageError:
        return StorageError(
            f"{redact(self._href)} does not answer as a STAC API with item search does: "
            # an error's text may hold a signed address, so that it is not chained either
            f"{type(error).__name__}. Check the address; it is that of the landing page.",
            href=redact(self._href),
        )


def _method(client: Client, arguments: Mapping[str, Any]) -> str:
    """Return "GET" for an API that offers nothing else, or else "POST"."""
    offered = {link.extra_fields.get("method") or "GET" for link in client.get_links("search")}
    # a filter in JSON has no form for GET
    is_json = isinstance(arguments.get("filter"), dict)
    return "GET" if offered == {"GET"} and not is_json else "POST"
