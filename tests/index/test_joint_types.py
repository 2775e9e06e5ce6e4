"""A type that holds all values of another holds its extremes, and gives them back."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pyarrow as pa
import pytest

from stacchip.index.joint_types import holds_all, holds_values, join_types

DAY_S = 86_400
EXTREMES: dict[pa.DataType, list[Any]] = {
    pa.bool_(): [True],
    pa.int8(): [-(2**7), 2**7 - 1],
    pa.uint8(): [2**8 - 1],
    pa.int16(): [-(2**15), 2**15 - 1],
    pa.uint16(): [2**16 - 1],
    pa.int32(): [-(2**31), 2**31 - 1],
    pa.uint32(): [2**32 - 1],
    pa.int64(): [-(2**63), 2**63 - 1],
    pa.uint64(): [2**64 - 1],
    pa.float32(): [3.4028234663852886e38, 1e-45],
    pa.float64(): [1.7976931348623157e308, 5e-324],
    pa.string(): ["ä"],
    pa.large_string(): ["ä"],
    pa.binary(): [b"\xff"],
    pa.binary(3): [b"\xff12"],
    pa.date32(): [-(2**31), 2**31 - 1],
    pa.date64(): [DAY_S * 1000],
    pa.timestamp("s"): [2**63 - 1],
    pa.timestamp("ms"): [2**63 - 1],
    pa.timestamp("ns"): [2**63 - 1],
    pa.time32("s"): [DAY_S - 1],
    pa.time32("ms"): [DAY_S * 1000 - 1],
    pa.time64("us"): [DAY_S * 10**6 - 1],
    pa.time64("ns"): [DAY_S * 10**9 - 1],
    pa.duration("s"): [2**63 - 1],
    pa.duration("ns"): [2**63 - 1],
}
ARRAYS = [
    *(pa.array(values, kind) for kind, values in EXTREMES.items()),
    pa.array(["9999999.99"]).cast(pa.decimal128(9, 2)),
    pa.array(["9" * 19 + ".99"]).cast(pa.decimal128(21, 2)),
    pa.array(["0." + "9" * 30]).cast(pa.decimal128(38, 30)),
    pa.array([[2**63 - 1]]),
    pa.array([[0.5]]),
    pa.array([[2**63 - 1] * 2], pa.list_(pa.int64(), 2)),
    pa.array([[1, 2, 3]], pa.list_(pa.int16(), 3)),
    pa.array([{"a": 2**63 - 1}]),
    pa.array([{"a": 0.5}]),
    pa.array([{"b": "x", "a": 1}], pa.struct({"b": pa.string(), "a": pa.int8()})),
]


def test_extremes_come_back_from_a_type_that_holds_all():
    for one, other in combinations(ARRAYS, 2):
        joint = join_types(one.type, other.type)
        for values in (one, other):
            if joint is not None and holds_all(joint, values.type):
                assert values.cast(joint).cast(values.type).equals(values), joint


@pytest.mark.parametrize(
    ("one", "other", "joint"),
    [
        (pa.null(), pa.string(), pa.string()),
        (pa.int8(), pa.uint8(), pa.int16()),
        (pa.int8(), pa.float64(), pa.float64()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.uint32(), pa.float64(), pa.float64()),
        (pa.int8(), pa.decimal128(9, 2), pa.decimal128(9, 2)),
        (pa.date32(), pa.date64(), pa.date64()),
        (pa.time32("s"), pa.time64("ns"), pa.time64("ns")),
        (pa.dictionary(pa.int8(), pa.int16()), pa.int32(), pa.int32()),
        (pa.list_(pa.int8(), 2), pa.list_(pa.float32()), pa.list_(pa.float32())),
    ],
)
def test_types_that_one_holds_are_joined(one, other, joint):
    assert join_types(one, other) == join_types(other, one) == joint
    assert holds_all(joint, one)
    assert holds_all(joint, other)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (pa.float64(), pa.int64()),
        (pa.float64(), pa.uint64()),
        (pa.float32(), pa.int32()),
        (pa.int64(), pa.uint64()),
        (pa.uint64(), pa.int8()),
        (pa.timestamp("ns"), pa.timestamp("us")),
        (pa.timestamp("us"), pa.timestamp("ns")),
        (pa.duration("ms"), pa.duration("s")),
        (pa.list_(pa.float64()), pa.list_(pa.int64())),
        (pa.struct({"a": pa.float64()}), pa.struct({"a": pa.int64()})),
        (pa.struct({"a": pa.int64()}), pa.struct({"b": pa.int64()})),
        (pa.string(), pa.binary()),
        (pa.string(), pa.int8()),
    ],
)
def test_types_that_lose_values_do_not_hold_all(kind, other):
    assert not holds_all(kind, other)


@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_, lambda kind: pa.struct({"a": kind})])
def test_decimals_and_floats_have_no_joint_type_since_the_cast_rounds(wrap):
    assert join_types(wrap(pa.decimal128(38, 30)), wrap(pa.float64())) is None


def test_values_are_held_if_they_come_back():
    assert holds_values(pa.decimal128(9, 2), pa.array([1.25]))
    assert not holds_values(pa.decimal128(9, 2), pa.array([1.255]))
    assert not holds_values(pa.struct({"a": pa.int8()}), pa.array([{"a": 1, "b": 2}]))
