from __future__ import annotations

from collections.abc import Iterator

import pytest

from items.stac_api import StacApi, bare_record


@pytest.fixture
def server() -> Iterator[StacApi]:
    """A STAC API of five items."""
    with StacApi([bare_record(number) for number in range(5)]) as api:
        yield api
