"""Damage to bytes of any kind: flipped bits, lost and doubled ranges, odd numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

# where sizes, counts and offsets go wrong
ODD: Final = (
    *(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 127, 128, 129),
    *(255, 256, 257, 511, 512, 1000, 1023, 1024, 4095, 4096, 32767, 32768, 65534, 65535, 65536),
    *(10**6, 2**24, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1, 2**32),
    *(2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1),
)  # fmt: skip


def odd_number(dice: Random, size: int = 0) -> int:
    """Return a number that sizes, counts and offsets may stumble over."""
    drawn = dice.random()
    if drawn < 0.7 or not size:
        return dice.choice(ODD)
    if drawn < 0.85:
        return max(0, size + dice.randint(-16, 16))
    return dice.randrange(size + 1)


def damage(data: bytes, dice: Random, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes with one damage between two places."""
    stop = len(data) if stop is None else min(stop, len(data))
    if stop <= start:
        return data + dice.randbytes(dice.randint(1, 8))
    harm = dice.choice((_flip, _flip, _flip, _overwrite, _overwrite, _cut, _lose, _double, _insert))
    return harm(data, dice, start, stop)


def _flip(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    raw = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        raw[dice.randrange(start, stop)] ^= 1 << dice.randrange(8)
    return bytes(raw)


def _overwrite(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    raw = bytearray(data)
    at = dice.randrange(start, stop)
    length = min(dice.choice((1, 2, 4, 8, 16, 64, 512)), stop - at)
    fill = dice.choice((b"\0", b"\xff", None))
    raw[at : at + length] = dice.randbytes(length) if fill is None else fill * length
    return bytes(raw)


def _cut(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    return data[: dice.randrange(start, stop)]


def _lose(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    at = dice.randrange(start, stop)
    return data[:at] + data[min(stop, at + dice.choice((1, 2, 4, 8, 64, 1024))) :]


def _double(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    at, to = dice.randrange(start, stop), dice.randrange(start, stop)
    length = min(dice.choice((1, 4, 16, 256)), stop - at)
    raw = bytearray(data)
    raw[to : to + length] = data[at : at + length]
    return bytes(raw)


def _insert(data: bytes, dice: Random, start: int, stop: int) -> bytes:
    at = dice.randrange(start, stop)
    return data[:at] + dice.randbytes(dice.choice((1, 2, 4, 16, 100))) + data[at:]
