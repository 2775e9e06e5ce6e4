"""The seal of a parquet file: checksums of what parquet's own leave out.

Pages have checksums, but neither the header of a page nor the footer has. A file that we write
therefore has a seal between its last page and its footer. Readers of parquet do not look there,
since a footer holds absolute places; another tool that writes the rows again leaves the seal out.

```
8 bytes      SEAL_START
4 bytes n    a CRC-32 of the headers of the pages of each column chunk, group by group
4 bytes      n: the number of the column chunks
4 bytes      a CRC-32 of all of the above, the footer and the 8 bytes at the end of the file
8 bytes      SEAL_END
```

It has a mark at either end, so that a damaged seal is noticed, and is not taken for none.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.parquet.damage import damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Seal = NDArray[np.uint32]

__all__ = ["make_seal", "read_seal"]

SEAL_START: Final = b"SCHIPsl1"
SEAL_END: Final = b"1lsPIHCS"
_END_BYTES: Final = 16
_WINDOW: Final = 4096  # where a mark is looked for, if the other is damaged


def make_seal(checksums: Sequence[int], footer: bytes) -> bytes:
    """Return the seal for a file.

    Args:
        checksums: A CRC-32 for each column chunk, of the headers of its pages.
        footer: The footer, and the 8 bytes behind it.

    Example:
        >>> len(make_seal([1, 2], b"footer"))
        32
    """
    body = SEAL_START + np.asarray(checksums, "<u4").tobytes()
    body += len(checksums).to_bytes(4, "little")
    return body + zlib.crc32(footer, zlib.crc32(body)).to_bytes(4, "little") + SEAL_END


def read_seal(
    read_at: Callable[[int, int], bytes], start: int, footer: bytes, href: str
) -> Seal | None:
    """Return the checksums of a file's seal; None if it has none.

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        start: Where the footer begins.
        footer: The footer, and the 8 bytes behind it.
        href: The file, for the error.

    Raises:
        IndexFormatError: The file has a seal, and its footer or the seal is damaged.
    """
    before = max(0, start - _WINDOW)
    tail = read_at(before, start - before)
    end = tail[-_END_BYTES:]
    count = int.from_bytes(end[:4], "little")
    length = len(SEAL_START) + 4 * count + _END_BYTES
    if len(end) == _END_BYTES and end[-8:] == SEAL_END and length <= start:
        seal = read_at(start - length, length)
        body, told = seal[:-12], seal[-12:-8]
        if zlib.crc32(footer, zlib.crc32(body)).to_bytes(4, "little") == told:
            return np.frombuffer(body, "<u4", count, len(SEAL_START))
    elif SEAL_START not in tail and SEAL_END not in tail:
        return None
    raise damaged(href, "its footer is not the one that was written")
