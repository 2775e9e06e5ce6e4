"""What the tests of the index share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chipper.conftest import scene
from index.tables import make_table

if TYPE_CHECKING:
    import pyarrow as pa


__all__ = ["scene", "table"]


@pytest.fixture
def table() -> pa.Table:
    """The index of one item with 3 x 4 chips."""
    return make_table()
