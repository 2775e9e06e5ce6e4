"""The one table of codecs: what is encoded comes back, and no lie about its size is believed."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.raster.codecs import (
    CODECS,
    BrokenStreamError,
    Scratch,
    checksum,
    decompress,
    is_known_sample,
    name_codec,
    unpack,
)

SCRATCH = Scratch()
COMPRESSED = sorted(set(CODECS) - {"none"})


@pytest.mark.parametrize("name", sorted(CODECS))
@given(data=st.binary(min_size=1, max_size=3000))
def test_what_is_encoded_comes_back(name, data):
    encoded = bytes(CODECS[name].encode(data))
    assert bytes(decompress(name, encoded, len(data), SCRATCH)) == data


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_most_that_a_codec_packs_is_within_its_bound(name):
    size = 1 << 16 if name == "packbits" else 8 << 20  # its encoder takes the square of the size
    encoded = bytes(CODECS[name].encode(bytes(size)))
    assert size <= CODECS[name].most_per_byte * len(encoded)
    assert bytes(decompress(name, encoded, size, SCRATCH)) == bytes(size)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_size_that_no_stream_can_have_takes_no_memory(name):
    class NoMemory:
        def take(self, size: int) -> memoryview:
            raise AssertionError(f"{size} bytes were taken")

    encoded = bytes(CODECS[name].encode(b"12345678"))
    size = CODECS[name].most_per_byte * len(encoded) + 1
    with pytest.raises(BrokenStreamError, match=rf"{len(encoded)} bytes cannot hold {size}"):
        decompress(name, encoded, size, NoMemory())


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_stream_that_ends_too_soon_is_broken(name):
    data = np.random.default_rng(0).integers(0, 4, 5000, np.uint8).tobytes()
    encoded = bytes(CODECS[name].encode(data))
    with pytest.raises(BrokenStreamError):
        decompress(name, encoded[: len(encoded) // 2], len(data), SCRATCH)
    with pytest.raises(BrokenStreamError, match=r"5000 of 5001 decoded bytes|short 1 b"):
        decompress(name, encoded, len(data) + 1, SCRATCH)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_stream_may_hold_more_than_the_image_needs(name):
    data = bytes(range(256)) * 20
    encoded = bytes(CODECS[name].encode(data))
    assert bytes(decompress(name, encoded, 2000, SCRATCH)) == data[:2000]


def test_each_number_names_one_codec():
    tags = [tag for codec in CODECS.values() for tag in codec.tags]
    assert len(tags) == len(set(tags))
    for codec in CODECS.values():
        assert {name_codec(tag) for tag in codec.tags} == {codec.name}
    assert name_codec(50001) == "WebP"


def test_reversed_bits_are_turned_before_decoding():
    reversed_bits = np.packbits(
        np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(-1, 8)[:, ::-1]
    )
    found = decompress("none", reversed_bits.tobytes(), 256, SCRATCH, fill_order=2)
    assert bytes(found) == bytes(range(256))


def test_memory_is_used_again_unless_it_is_large():
    scratch = Scratch()
    first, second = scratch.take(1000), scratch.take(500)
    first[0] = 77
    assert (second[0], len(second)) == (77, 500)
    large, other = scratch.take((64 << 20) + 1), scratch.take((64 << 20) + 1)
    large[0] = 1
    assert other[0] == 0


@pytest.mark.parametrize("bits", [1, 3, 7, 8, 12, 16, 24, 31])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_samples_of_any_number_of_bits_are_unpacked(bits, byteorder):
    shape = (5, 7, 3)
    samples = np.random.default_rng(bits).integers(0, 2**bits, shape, np.uint64)
    if bits in (8, 16):
        raw = samples.astype(f"{byteorder}u{bits // 8}").tobytes()
    elif bits == 24 and byteorder == "<":
        raw = b"".join(int(n).to_bytes(3, "big") for n in samples.ravel())
    elif bits == 24:
        raw = b"".join(int(n).to_bytes(3, "little") for n in samples.ravel())
    else:
        rows = samples.reshape(5, -1)
        digits = (rows[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
        raw = np.packbits(digits.reshape(5, -1).astype(np.uint8), axis=1).tobytes()
    found = unpack(
        memoryview(bytearray(raw)), shape, bits=bits, sample_format=1, byteorder=byteorder,
        predictor=1,
    )  # fmt: skip
    np.testing.assert_array_equal(found, samples)
    assert is_known_sample(bits, 1)


def test_samples_that_no_rule_covers_are_not_known():
    assert not is_known_sample(32, 7)
    assert not is_known_sample(12, 3)
    assert not is_known_sample(33, 1)


@given(st.binary(max_size=500))
def test_the_checksum_is_that_of_zlib(data):
    assert checksum(data) == zlib.crc32(data)
