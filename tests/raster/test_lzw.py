"""LZW: what a code may name, and where a stream may end."""

from __future__ import annotations

import imagecodecs
import pytest

from stacchip.raster.lzw import decode_lzw

CLEAR, END = 256, 257
RAW = bytes(range(200)) * 30


def stream_of(*codes: int) -> bytes:
    """Return a stream of few codes, which take 9 bits each, from the most significant on."""
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def test_a_stream_becomes_the_bytes_that_were_encoded() -> None:
    out = memoryview(bytearray(len(RAW)))
    assert bytes(decode_lzw(imagecodecs.lzw_encode(RAW), out)) == RAW
    assert bytes(out) == RAW


def test_what_follows_the_bytes_that_are_wanted_is_left_out() -> None:
    out = memoryview(bytearray(100))
    assert bytes(decode_lzw(imagecodecs.lzw_encode(RAW), out)) == RAW[:100]


@pytest.mark.parametrize("data", [bytearray, memoryview, bytes])
def test_bytes_of_any_kind_are_decoded(data: type) -> None:
    out = memoryview(bytearray(3))
    assert bytes(decode_lzw(data(stream_of(CLEAR, 65, 258, END)), out)) == b"AAA"


@pytest.mark.parametrize(
    "codes",
    [
        (CLEAR, 300, 65, 258, 66, END),  # imagecodecs' LZW reads memory that it did not write
        (CLEAR, 511, 511, 258, 258, END),
        (CLEAR, 65, 66, CLEAR, 258, 65, 66, 67),
        (CLEAR, 65, 300, 66, 67, END),
        (300, 65, 66, 67, 68, END),
        (CLEAR, 65, 66, END),
    ],
)
def test_a_code_that_names_nothing_yet_is_an_error(codes: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError):
        decode_lzw(stream_of(*codes), memoryview(bytearray(5)))


def test_a_stream_of_no_bytes_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="empty"):
        decode_lzw(b"", memoryview(bytearray(5)))


def test_each_cut_of_a_stream_is_an_error() -> None:
    encoded = imagecodecs.lzw_encode(RAW)
    for stop in range(1, len(encoded) - 2, 37):
        with pytest.raises(RuntimeError):
            decode_lzw(encoded[:stop], memoryview(bytearray(len(RAW))))
