from __future__ import annotations

import pyarrow as pa
import pytest

from stacchip.errors import IndexFormatError
from stacchip.parquet.damage import naming_damage


@pytest.mark.parametrize("error", [MemoryError, pa.ArrowMemoryError])
def test_too_little_memory_is_no_damage(error: type[Exception]) -> None:
    with (
        pytest.raises(IndexFormatError, match=r"^a\.parquet asks for more memory") as failure,
        naming_damage("a.parquet"),
    ):
        raise error("malloc of size 9 failed")
    assert "is damaged" not in str(failure.value)
