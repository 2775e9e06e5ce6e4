"""Whether a place can be written to: found out before the work whose result goes there."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from stacchip.errors import StorageError, UsageError
from stacchip.storage.href import child_href, local_path
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

    from stacchip.storage.storage import Storage

PROBE: Final = ".stacchip-can-write"
"""Name of the empty object that is written to a store, and deleted."""


def require_writable(href: str | os.PathLike[str], storage: Storage) -> None:
    """Check that objects can be written below a folder or bucket.

    To a store, an empty object is written and deleted. A job that is killed in between, or that may
    not delete, leaves it: it does no harm. On disk nothing is written; the folder need not exist.

    Args:
        href: A local folder, or the address of a bucket or of a folder in it.
        storage: Reaches the store.

    Raises:
        UsageError: The bucket does not exist, or writing is refused; a part of the folder's path is
            a file, or its disk may not be written to; or it is on a web server.
        StorageError: The store does not answer.

    Example:
        >>> import tempfile
        >>> from stacchip.storage import Storage
        >>> require_writable(f"{tempfile.mkdtemp()}/archive", Storage())
        >>> require_writable(f"{__file__}/archive", Storage())
        Traceback (most recent call last):
        stacchip.errors.UsageError: .../archive cannot be written to: .../writable.py is a file, ...
    """
    text = os.fspath(href)
    path = local_path(text)
    if path is not None:
        _require_folder(path)
        return
    probe = child_href(text, PROBE)
    try:
        storage.write(probe, b"")
    except StorageError as error:
        if error.status is None or not 300 <= error.status < 500:
            raise  # it may be there, and answer later
        is_absent = error.status == 404
        why = "the bucket is not there" if is_absent else f"the store refuses it. {error.message}"
        advice = "Make it first, or name" if is_absent else "Check the permissions, or name"
        raise UsageError(
            f"{redact(text)} cannot be written to: {why.rstrip('.')}. {advice} another place "
            "(a folder is a path with a slash, such as ./archive).",
            href=redact(text),
            status=error.status,
        ) from error
    with contextlib.suppress(StorageError):
        storage.delete(probe)


def _require_folder(folder: Path) -> None:
    """Check that a local folder is there and can be written to, or can be made.

    Raises:
        UsageError: It cannot.
    """
    folder = folder.absolute()
    nearest = next(part for part in (folder, *folder.parents) if _allows(part, os.F_OK))
    if not nearest.is_dir():
        raise UsageError(
            f"{folder} cannot be written to: {nearest} is a file, not a folder. "
            "Choose another place.",
            href=str(folder),
        )
    if not _allows(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder} cannot be written to: access to {nearest} was refused. "
            "Check its permissions, or choose another place.",
            href=str(folder),
        )


def _allows(path: Path, mode: int) -> bool:
    """Whether the user as whom files are opened has this access: not the one who started us."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
