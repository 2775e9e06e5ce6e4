"""Rows of one platform and item id are of one date."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stacchip.errors import UsageError
from stacchip.index.dates import refuse_two_dates


def make_rows(*rows: tuple[str, str | None, int | None]) -> pa.Table:
    """Rows of a platform, an item id and a day each."""
    platform, item_id, day = zip(*rows, strict=True)
    days = pa.array([None if each is None else 86_400_000_000 * each for each in day])
    return pa.table(
        {
            "platform": platform,
            "item_id": pa.array(item_id, pa.string()),
            "datetime": days.cast(pa.timestamp("us", "UTC")),
        }
    )


ONE_DATE = [
    [("naip", "a", 0), ("naip", "b", 1), ("naip", "c", 2)],
    [("naip", "a", 0), ("linz", "a", 1), ("naip", "a", 0)],
    [("naip", "a", 0), ("naip", "b", 1), ("naip", "a", None)],
    [("naip", None, 0), ("linz", None, 1)],
]


@pytest.mark.parametrize("rows", ONE_DATE)
def test_an_item_of_one_date_passes(rows) -> None:
    refuse_two_dates(make_rows(*rows))


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("item_id", ["a", None])
def test_an_item_of_two_dates_is_refused(kind, item_id) -> None:
    rows = make_rows(("naip", item_id, 0), ("linz", item_id, 1), ("naip", item_id, 2))
    rows = rows.set_column(1, "item_id", rows["item_id"].cast(kind))
    with pytest.raises(UsageError, match=r"naip.* 1970-01-01 .* and 1970-01-03 "):
        refuse_two_dates(rows)
