from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from stacchip.storage.transports.encoded_body import BrokenBodyError, decompress

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = bytes(random.Random(0).choices(range(256), k=50_000)) + bytes(3_000_000)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "two members": ("x-gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "padding": ("gzip", lambda data: gzip.compress(data) + bytes(512)),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}


@pytest.mark.parametrize(
    ("form", "step"),
    [
        (form, step)
        for form in FORMS
        for step in (1, 7, 4096, 1 << 30)
        # a single zero byte looks like the begin of a member
        if (form, step) != ("padding", 1)
    ],
)
def test_a_body_comes_back_in_whatever_pieces_it_arrives(form: str, step: int) -> None:
    encoding, compress = FORMS[form]
    text = TEXT if step > 7 else TEXT[:3000] + bytes(100_000)
    body = compress(text)
    parts = [body[i : i + step] for i in range(0, len(body), step)]
    assert decompress(encoding, parts, len(text)) == text
    assert len(decompress(encoding, parts, len(text) - 1)) == len(text)
    assert len(decompress(encoding, parts, 10)) == 11


def test_no_body_at_all_is_an_empty_one() -> None:
    assert decompress("gzip", [], 10) == b""


@pytest.mark.parametrize("form", ["gzip", "zlib", "raw deflate"])
def test_a_body_that_is_damaged_or_cut_off_is_an_error(form: str) -> None:
    encoding, compress = FORMS[form]
    body = compress(TEXT)
    with pytest.raises(BrokenBodyError):
        decompress(encoding, [body[: len(body) // 2]], len(TEXT))
    with pytest.raises(BrokenBodyError):
        decompress(encoding, [b"\x07" + body[1:]], len(TEXT))


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    layer = zlib.compressobj(9, wbits=31)
    bomb = layer.compress(bytes(200 << 20)) + layer.flush()
    tracemalloc.start()
    try:
        assert len(decompress("gzip", [bomb], 4 << 20)) == (4 << 20) + 1
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
