"""One file copied or converted into the archive, whole or not at all."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import AccessDenied, DiskFull, ObjectNotFound, StorageError
from stacchip.raster.gdal import convert_to_cog
from stacchip.runtime.whole_file import clear_scratch, scratch_folder
from stacchip.storage import redact
from stacchip.storage.retry import repeat_step
from stacchip.storage.s3.server_copy import copy_by_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.raster.gdal import Conversion
    from stacchip.storage import Storage


_SCRATCH: Final = "stacchip-convert-"


@dataclass(frozen=True)
class Original:
    """A file at its source.

    Attributes:
        href: Its address, unsigned.
        size_bytes: Its size; `None` if it is not known.
    """

    href: str
    size_bytes: int | None


def find_original(candidates: Sequence[str], storage: Storage) -> Original:
    """Return the first candidate that exists.

    A requester-pays bucket that may not be listed answers 403, not 404, for an object that it does
    not have (docs.aws.amazon.com, GetObject). So a refusal also moves on to the next candidate.

    Raises:
        ObjectNotFound: No candidate exists; the error names them all.
        AccessDenied: No candidate was found, and access to at least one was refused.
    """
    refused: AccessDenied | None = None
    for href in candidates:
        try:
            return Original(href, storage.stat(href).size_bytes)
        except ObjectNotFound:
            continue
        except AccessDenied as error:
            refused = refused or error
    if refused is not None:
        raise refused
    tried = ", ".join(redact(href) for href in candidates)
    raise ObjectNotFound(f"Nothing is at {tried}.", href=redact(candidates[0]))


def copy_file(original: Original, target: str, storage: Storage, *, by_store: bool = True) -> None:
    """Copy a file; it appears under its name once its last byte is written.

    Args:
        original: The file.
        target: The href to copy it to.
        storage: Reads and writes both.
        by_store: Let a store that holds both copy by itself.

    Raises:
        StorageError: The file could not be read or written, after several tries.
    """

    def copy() -> None:
        if not (by_store and copy_by_store(original.href, target, storage)):
            storage.copy(original.href, target)

    _persist(copy, target, target)


def convert_file(original: Original, target: str, conversion: Conversion, storage: Storage) -> None:
    """Convert a file to a COG, by way of local temporary files.

    Raises:
        StorageError: The file could not be read or written, after several tries.
        NotARaster: The file cannot be converted.
    """
    with scratch_folder(Path(tempfile.gettempdir()), _SCRATCH) as folder:
        before, after = folder / "original", folder / "converted.tif"
        _persist(lambda: storage.copy(original.href, before), original.href, str(before))
        limits = storage.options_for(original.href).limits
        convert_to_cog(before, after, conversion, href=original.href, limits=limits)
        before.unlink()
        _persist(lambda: storage.write(target, after), target, target)


def clear_conversions() -> None:
    """Delete the temporary files of conversions that were killed."""
    clear_scratch(Path(tempfile.gettempdir()), _SCRATCH)


def _persist(step: Callable[[], None], href: str, target: str) -> None:
    """Take a step that writes `target`, and repeat it if it failed but may yet succeed.

    Single requests are repeated by the storage; this is for a whole upload, which cannot be resumed
    in the middle and which another job may have aborted.
    """

    def may_repeat(error: StorageError) -> bool:
        source_is_gone = isinstance(error, ObjectNotFound) and error.href != redact(target)
        return not isinstance(error, AccessDenied | DiskFull) and not source_is_gone

    repeat_step(step, href, may_repeat=may_repeat)
