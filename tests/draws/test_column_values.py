"""Values by column, by text and by expression."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stacchip.draws.column_values import find_values
from stacchip.errors import UsageError

TABLE = pa.table(
    {
        "cloud": [0.0, 0.25, None],
        "land cover": ["a", "b", "a"],
        "class": pa.array([1, 2, 1], pa.int8()),
        "when": pa.array([datetime(2024, month, 3, tzinfo=UTC) for month in (1, 5, 12)],
                         pa.timestamp("us", "UTC")),
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "values", "columns"),
    [
        ("cloud", [0.0, 0.25, None], ("cloud",)),
        ("land cover", ["a", "b", "a"], ("land cover",)),
        ("class", [1, 2, 1], ("class",)),
        ("month(when)", [1, 5, 12], ("when",)),
        ("quarter(when) * 10 + 1", [11, 21, 41], ("when",)),
        ("1 - coalesce(cloud, 1)", [1.0, 0.75, 0.0], ("cloud",)),
        ("2.0 if cloud < 0.1 else -1.0", [2.0, -1.0, None], ("cloud",)),
        ("not cloud > 0.1 and month(when) == 1", [True, False, False], ("cloud", "when")),
        ("max(cloud, 0.1) ** 2 / 4", [0.0025, 0.015625, 0.0025], ("cloud",)),
        (pc.month(pc.field("when")), [1, 5, 12], ("when",)),
    ],
    ids=str,
)  # fmt: skip
def test_values(asked, values: list, columns: tuple[str, ...]) -> None:
    found = find_values(asked, TABLE.schema)
    assert found.columns == columns
    assert found.read(TABLE).to_pylist() == pytest.approx(values)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("clouds", "no column 'clouds'; there are: cloud"),
        ("month(wen)", "no column 'wen' of the expression"),
        ("__import__('os').getcwd()", "is not understood"),
        ("cloud.__class__", "is not understood"),
        ("open('/etc/passwd')", "is not understood"),
        ("(lambda: 1)()", "no column"),
        ("[1 for x in cloud]", "no column"),
        ("`clouds` + 1", "no column 'clouds' of the expression"),
        ("_column_0_ + 1", "no column '_column_0_' of the expression"),
        ("9223372036854775808 + cloud", "cannot be computed"),
        ("0 < cloud < 1", "is not understood"),
        ("month(", "no column"),
        ("month(cloud)", "cannot be computed"),
        ("(" * 300 + "cloud" + ")" * 300, "no column"),
        (pc.field("nowhere") + 1, "cannot be computed"),
        (3, "is a text or a pyarrow expression"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_cannot_be_had_is_refused(asked, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_values(asked, TABLE.schema)


def test_an_expression_without_a_column_has_a_value_for_each_row() -> None:
    assert len(find_values("1 + 1", TABLE.schema).read(TABLE)) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`land cover` == 'a'", [True, False, True]),
        ("`land cover` == 'not in class'", [False, False, False]),
        ("""`land cover` == "a" or 'is `a`' == 'is `a`'""", [True, True, True]),
        ("class / 3", [1 / 3, 2 / 3, 1 / 3]),
        ("1 / 2 * class", [0.5, 1.0, 0.5]),
        ("200 ** 30 / class", [200.0**30, 200.0**30 / 2, 200.0**30]),
        ("-class", [-1, -2, -1]),
        ("abs(-class) - 1", [0, 1, 0]),
    ],
)
def test_numbers_are_those_of_python(text: str, found: list) -> None:
    assert find_values(text, TABLE.schema).read(TABLE).to_pylist() == pytest.approx(found)


@pytest.mark.parametrize(
    "text",
    ["abs()", "log(class, class)", "year(when, 2)", "coalesce()", "max()",
     "+".join(["class"] * 300),
     "class" + "+ class" * 3000],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_calls_that_fit_no_function_are_refused(text: str) -> None:
    if text.startswith("class+class"):
        assert find_values(text, TABLE.schema).columns == ("class",)
        return
    with pytest.raises(UsageError, match=r"cannot be computed|longer than") as caught:
        find_values(text, TABLE.schema)
    assert len(str(caught.value)) < 500
