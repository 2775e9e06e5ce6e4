"""What the tests of the index share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from index.tables import make_table

if TYPE_CHECKING:
    import pyarrow as pa


@pytest.fixture
def table() -> pa.Table:
    """The index of one item with 3 x 4 chips."""
    return make_table()
