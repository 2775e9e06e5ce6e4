"""Caches of blocks: decoded ones in memory, encoded ones on a local disk.

Both are keyed by file, version and place, so a rewritten file never gets its old blocks. The
version is that of the header in use, so that a hit needs no request;
`DiskCache(revalidate=True)` checks that the file still has that version.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.raster.blocks import block_number
from stacchip.raster.codecs import checksum
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.presence import is_there
from stacchip.runtime.whole_file import locked_file, whole_file
from stacchip.storage import unsign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.raster.blocks import Block
    from stacchip.raster.header import Header
    from stacchip.storage import Storage

__all__ = ["BlockCache", "Caches", "DiskCache"]

_log = logging.getLogger(__name__)
# If a block does not fit, the least recently used blocks are deleted until this share of the limit
# is left. Making room for one block at a time would mean looking at the whole folder for each,
# which costs more than fetching it.
_SHARE_AFTER_LOOK = 0.8
_CHECKSUM_BYTES = 4
_LEDGER = "kept-bytes"
_LEDGER_BYTES = 20


def block_key(href: str, header: Header, block: Block) -> tuple[Any, ...]:
    """Return the key of a block: its file, the file's version, and its place in the file."""
    number = block_number(header, block)
    identity = header.identity
    version = (identity.size_bytes, identity.etag, identity.last_modified)
    place = (int(header.block_offsets[number]), int(header.block_lengths[number]))
    # sparse blocks of an image and of its mask share a place, but not their pixels
    form = (header.samples, header.dtype, header.fill)
    return (unsign(href), *version, *place, *block, *form)


class BlockCache:
    """Decoded blocks in memory, shared by a process's threads; the most recently used are kept.

    A copy in another process starts empty.

    Args:
        limit_bytes: The most bytes that all pixels may take.

    Example:
        >>> import numpy as np
        >>> cache = BlockCache(limit_bytes=100)
        >>> for key in ("a", "b", "c"):
        ...     cache.put((key,), np.zeros((1, 5, 8), np.uint8))
        >>> cache.get(("a",)) is None, cache.get(("c",)).shape, cache.held_bytes
        (True, (1, 5, 8), 80)
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._kept = PerProcess(_Kept)

    def __reduce__(self) -> tuple[type[BlockCache], tuple[int]]:
        return BlockCache, (self.limit_bytes,)

    @property
    def held_bytes(self) -> int:
        """Bytes of all pixels."""
        return self._kept.get().held_bytes

    @property
    def hits(self) -> int:
        """Number of blocks that were found here."""
        return self._kept.get().hits

    def get(self, key: tuple[Any, ...]) -> NDArray[Any] | None:
        """Return the pixels (band, y, x) of a block, for reading only; None if not here."""
        kept = self._kept.get()
        with kept.lock:
            pixels = kept.blocks.get(key)
            if pixels is not None:
                kept.blocks.move_to_end(key)
                kept.hits += 1
            return pixels

    def put(self, key: tuple[Any, ...], pixels: NDArray[Any]) -> None:
        """Keep the pixels of a block, and drop those used longest ago."""
        if pixels.nbytes > self.limit_bytes:
            return
        kept = self._kept.get()
        with kept.lock:
            before = kept.blocks.pop(key, None)
            kept.held_bytes += pixels.nbytes - (0 if before is None else before.nbytes)
            kept.blocks[key] = pixels
            while kept.held_bytes > self.limit_bytes:
                kept.held_bytes -= kept.blocks.popitem(last=False)[1].nbytes


class _Kept:
    """The blocks that a `BlockCache` holds in one process."""

    def __init__(self) -> None:
        self.blocks: OrderedDict[tuple[Any, ...], NDArray[Any]] = OrderedDict()
        self.lock = threading.Lock()
        self.held_bytes = 0
        self.hits = 0


class DiskCache:
    """Encoded blocks in a local folder, shared by processes; the most recently used are kept.

    A block is a file that appears whole, with a checksum; a damaged one is fetched again. The limit
    holds at any moment for all processes together: room for a block is made before it is written,
    and counted in a file that they lock. If nothing can be written (a full disk, a folder that
    cannot be made), blocks are not kept, and the log warns once.

    Args:
        folder: A folder for this cache alone; it is created.
        limit_bytes: The most bytes that all files may take.
        revalidate: Check once for each file and process that it is still the same version.
    """

    def __init__(
        self, folder: str | os.PathLike[str], limit_bytes: int, *, revalidate: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        self.revalidate = revalidate
        self._validated: set[tuple[Any, ...]] = set()
        self._has_looked = False
        self._has_warned = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_disk_cache, (self.folder, self.limit_bytes, self.revalidate)

    def has(self, key: tuple[Any, ...]) -> bool:
        """Return whether a block is here at this moment."""
        return is_there(self._path(key))

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        """Return the bytes of a block; None if they are not here."""
        path = self._path(key)
        try:
            told = path.read_bytes()
        except OSError:
            return None
        data = told[:-_CHECKSUM_BYTES]
        if len(data) != key[5] or told[-_CHECKSUM_BYTES:] != _checksum(data):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # another user's
            os.utime(path)  # used now
        return data

    def put(self, key: tuple[Any, ...], data: Any) -> None:
        """Keep the bytes of a block."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._reserve(len(data) + _CHECKSUM_BYTES):
                with whole_file(path) as part, part.open("wb") as file:
                    file.write(data)
                    file.write(_checksum(data))
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("blocks are not kept in %s: %s", self.folder, error)

    def _reserve(self, size: int) -> bool:
        """Make room for a block; return False if it is larger than any room that can be made."""
        limit = self.limit_bytes - _LEDGER_BYTES
        if size > limit * _SHARE_AFTER_LOOK:
            return False
        with locked_file(self.folder / _LEDGER) as ledger:
            told = ledger.read()
            kept = int(told) if told.isdigit() and self._has_looked else limit
            # this also holds if a killed process, or a larger limit, left files behind
            if kept + size > limit:
                kept = self._make_room(limit, size)
                self._has_looked = True
            ledger.seek(0)
            ledger.write(str(kept + size).encode().zfill(_LEDGER_BYTES))
        return True

    def require_current(self, storage: Storage, href: str, header: Header) -> None:
        """With `revalidate`, check that a file is still the version of its header.

        Raises:
            AssetChanged: It is another version.
            StorageError: The store cannot be asked.
        """
        key = (unsign(href), header.identity)
        if not self.revalidate or key in self._validated:
            return
        storage.require_version(href, header.identity, storage.stat(href))
        self._validated.add(key)

    def _path(self, key: tuple[Any, ...]) -> Path:
        name = hashlib.blake2b(repr(key[:6]).encode(), digest_size=20).hexdigest()
        return self.folder / name[:2] / name[2:]

    def _make_room(self, limit: int, size: int) -> int:
        """Remove blocks used longest ago if `size` bytes do not fit; return the bytes left."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        if total + size <= limit:
            return total
        for _, freed, path in files:
            if total + size <= limit * _SHARE_AFTER_LOOK:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - a Path for each would cost more
            total -= freed
        return total

    def _files(self) -> Iterator[tuple[int, int, str]]:
        """Yield (time of use, size, path) of each file."""
        for group in os.scandir(self.folder):
            if group.is_dir():
                for file in os.scandir(group.path):
                    with contextlib.suppress(FileNotFoundError):
                        facts = file.stat()
                        yield facts.st_mtime_ns, facts.st_size, file.path


def _make_disk_cache(folder: Path, limit_bytes: int, revalidate: bool) -> DiskCache:
    return DiskCache(folder, limit_bytes, revalidate=revalidate)


def _checksum(data: Any) -> bytes:
    return checksum(data).to_bytes(_CHECKSUM_BYTES, "little")


@dataclass(frozen=True)
class Caches:
    """The caches of a reader's blocks.

    Attributes:
        decoded: Their pixels, in memory.
        encoded: Their bytes, on a local disk; blocks of local files are not kept there.
    """

    decoded: BlockCache | None = None
    encoded: DiskCache | None = None
