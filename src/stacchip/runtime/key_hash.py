"""Numbers that look random and depend on a chip's key alone, as hashes do."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Hashes", "chances", "hash_numbers", "hash_text", "mix"]

Hashes: TypeAlias = "NDArray[np.uint64]"

# the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
# generators", 2014; constants of variant 13 of D. Stafford)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


def hash_text(text: str) -> int:
    """Return a hash of a text, of 64 bits."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def hash_numbers(base: Hashes, *numbers: NDArray[np.integer[Any]]) -> Hashes:
    """Return hashes of some hashes and the numbers that go with each."""
    found = base
    for each in numbers:
        found = mix((found + _STEP) ^ each.astype(np.int64).view(np.uint64))
    return found


def chances(hashes: Hashes, key: int) -> NDArray[np.float64]:
    """Return a number between 0 and 1, both excluded, for each hash and a key."""
    bits = mix(hashes ^ np.uint64(key)) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def mix(hashes: Hashes) -> Hashes:
    """Return hashes of which each bit depends on all bits."""
    found = hashes + _STEP
    found = (found ^ (found >> np.uint64(30))) * _FIRST
    found = (found ^ (found >> np.uint64(27))) * _SECOND
    return np.asarray(found ^ (found >> np.uint64(31)), np.uint64)
