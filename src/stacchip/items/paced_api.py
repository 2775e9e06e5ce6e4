"""A STAC API's pages, asked for no faster than wanted. Imported only where one is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.items.api import BoundedApiIO

if TYPE_CHECKING:
    import requests

    from stacchip.items.pace import Pace
    from stacchip.storage import StorageOptions


class PacedApiIO(BoundedApiIO):
    """How pystac-client talks to an API; every attempt waits for its turn."""

    def __init__(self, api: str, options: StorageOptions, pace: Pace) -> None:
        super().__init__(api, options)
        self._pace = pace

    def _attempt(self, prepared: requests.PreparedRequest, until_s: float) -> str:
        self._pace.wait()
        return super()._attempt(prepared, until_s)
