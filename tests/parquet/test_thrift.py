"""Structs of Thrift's compact protocol are read as they were written, and stepped over as well."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.parquet.thrift import COUNT, I32, I64, PLACE, read_struct

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**6), 63, 64, 2**13 - 1, 2**13])
LEAVES = NUMBERS | st.booleans() | st.binary(max_size=300)
STRUCTS = st.recursive(
    st.dictionaries(st.integers(1, 200), LEAVES, max_size=6),
    lambda inner: st.dictionaries(st.integers(1, 200), LEAVES | inner, max_size=4),
    max_leaves=12,
)


def unsigned(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + unsigned(rest) if rest else bytes([low])


def signed(number: int) -> bytes:
    return unsigned(2 * number if number >= 0 else -2 * number - 1)


def write(struct: dict[int, Any]) -> bytes:
    """The struct as bytes, by the protocol's specification."""
    written, before = b"", 0
    for number, value in sorted(struct.items()):
        if isinstance(value, bool):
            kind, data = (1 if value else 2), b""
        elif isinstance(value, int):
            kind, data = 6, signed(value)
        elif isinstance(value, bytes):
            kind, data = 8, unsigned(len(value)) + value
        else:
            kind, data = 12, write(value)
        step = number - before
        written += bytes([step << 4 | kind]) if step < 16 else bytes([kind]) + signed(number)
        written, before = written + data, number
    return written + b"\0"


@settings(deadline=None)
@given(STRUCTS)
def test_a_struct_is_what_was_written(struct: dict[int, Any]) -> None:
    data = b"x" + write(struct)
    assert read_struct(data + b"rest", 1) == (struct, len(data))


@settings(deadline=None)
@given(STRUCTS, st.sets(st.integers(1, 200)))
def test_fields_that_are_not_wanted_are_stepped_over(struct, wanted) -> None:
    data = write(struct)
    found, behind = read_struct(data + b"rest", 0, wanted=dict.fromkeys(wanted))
    assert behind == len(data)
    assert found == {number: value for number, value in struct.items() if number in wanted}


@settings(deadline=None)
@given(STRUCTS, st.data())
def test_bytes_that_end_inside_a_struct_are_an_error(struct, data) -> None:
    whole = write(struct)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for wanted in (None, {}):
        with pytest.raises(IndexError):
            read_struct(part, 0, wanted=wanted)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes([0x15, 2, 0x05, 2, 4, 0]), "out of order"),  # the first field again
        (bytes([0x15, 2, 0x05, *signed(65537), 4, 0]), "too large a number"),  # 1, in 16 bits
        (bytes([0x15, *unsigned(1 << 32), 0]), "more than 32 bits"),  # 0, in 32 bits
        (bytes([0x16, *[128] * 9, 2, 0]), "more than 64 bits"),  # 0, in 64 bits
        (bytes([0x16, 2, 0]), "of another type"),  # not there, for a reader of 32 bits
        (bytes([0x13, 2, 0]), "of another type"),  # a byte
        (bytes([0x11, 0]), "of another type"),  # a boolean
        (bytes([0x10, 0x15, 2, 0]), "no type|of another type"),  # the end
    ],
)
def test_what_another_reader_reads_otherwise_is_refused(data: bytes, said: str) -> None:
    kind = I64 if said == "more than 64 bits" else I32
    for wanted in ({1: kind, 2: I32}, {7: {1: kind}}):
        nested = data if 1 in wanted else bytes([0x7C, *data, 0])
        with pytest.raises(ValueError, match=said):
            read_struct(nested, 0, wanted=wanted)


def test_the_end_of_a_struct_that_is_stepped_over_is_no_field() -> None:
    with pytest.raises(ValueError, match="no type"):
        read_struct(bytes([0x1C, 0x10, 0x15, 2, 0, 0]), 0, wanted={})


def test_a_list_is_counted() -> None:
    data = bytes([0x19, 0x36, 2, *unsigned(300), 6, 0x15, 4, 0])
    assert read_struct(data, 0, wanted={1: COUNT, 2: I32}) == ({1: 3, 2: 2}, len(data))


def test_the_place_of_a_struct_leads_to_it() -> None:
    data = bytes([0x1C, *write({3: 7, 4: b"ab"}), 0x15, 4, 0])
    assert read_struct(data, 0, wanted={1: PLACE, 2: I32}) == ({1: 1, 2: 2}, len(data))
    assert read_struct(data, 1)[0] == {3: 7, 4: b"ab"}
