"""Opening parquet files, local or remote: their footers are checked before pyarrow reads them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError, IndexReplaced, ObjectNotFound, StacchipError
from stacchip.index.files.arrow_view import ArrowView
from stacchip.index.files.manifest import final_href
from stacchip.index.files.parquet import ParquetFile
from stacchip.parquet.damage import unreadable
from stacchip.parquet.footer import read_footer
from stacchip.storage import local_path, redact
from stacchip.storage.content import LOOKED_AT, describe_content
from stacchip.storage.documents import require_growth
from stacchip.storage.remote_file import ExactFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.index.files.layout import FileEntry
    from stacchip.index.files.page_checks import ReadAt
    from stacchip.storage import Storage

__all__ = ["open_entry", "open_parquet", "places_digest"]

# A round trip costs as much as a megabyte: smaller remote files are fetched whole.
_SMALL_BYTES: Final = 1 << 20
_RECORDS: Final = "_items."


def open_entry(entry: FileEntry, storage: Storage) -> ParquetFile:
    """Open a file of an index, without the rows that were removed; see `open_parquet`.

    Args:
        entry: The file, as `stacchip.index.files.layout.find_files` finds it.
        storage: How to reach it.

    Raises:
        IndexReplaced: It is not the version of which rows were removed.
        StacchipError: As `open_parquet` raises.
    """
    file = open_parquet(entry.href, storage, size_bytes=entry.size_bytes, told=entry.told)
    marks = entry.removed
    if not marks:
        return file
    if marks.digest != places_digest(entry.name, file) or marks.rows.stop[-1] > file.footer.rows:
        raise IndexReplaced(
            f"{redact(entry.href)} is not the file of which rows were removed. The index is being "
            "replaced: read it again. If this comes again, another tool has written the file: "
            "write the index again.",
            href=redact(entry.href),
        )
    return replace(file, removed=marks.rows)


def places_digest(name: str, file: ParquetFile) -> str:
    """Return a digest of the rows of a file and their places, by which marks know it.

    A file with records keeps it when it gets headers: it says its editions, which stay.

    Args:
        name: The name that the file has in its folder.
        file: The file.
    """
    if name.startswith(_RECORDS) and file.editions is not None:
        said = json.dumps([file.footer.rows, dict(sorted(file.editions.items()))])
        return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
    return file.content_digest


def open_parquet(
    href: str,
    storage: Storage,
    *,
    size_bytes: int = -1,
    told: Mapping[str, pa.Scalar] | None = None,
) -> ParquetFile:
    """Open the parquet file at an href, and read its footer.

    Files of an index are opened by `open_entry`, which leaves out what was removed.

    Args:
        href: The file.
        storage: How to reach it.
        size_bytes: Its size if a listing gave it, which saves a request; else -1.
        told: Values that its path gives to all its rows, by column. The file's own columns win.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: It is not a parquet file.
        StorageError: The system or a server could not read it.
    """
    try:
        return _open(href, storage, size_bytes, told)
    except ObjectNotFound:
        place = final_href(href)
        if place is None:
            raise
        return _open(place, storage, -1, told)  # it took its place meanwhile


def _open(
    href: str, storage: Storage, size_bytes: int, told: Mapping[str, pa.Scalar] | None
) -> ParquetFile:
    """Open a file where it is now."""
    limits = storage.options_for(href).limits
    try:
        read_at, size, local, remote = _find_reader(href, storage, size_bytes)
        footer = read_footer(read_at, size, href, limits)
        view = ArrowView(read_at, footer)
        for key, value in (view.schema.metadata or {}).items():  # items, places
            what = f"The metadata {key.decode(errors='backslashreplace')!r} of {redact(href)}"
            require_growth(value, what, limits, href=redact(href))
        inside = view.schema.names
        twice = sorted(name for name, count in Counter(inside).items() if count > 1)
        if twice:  # no column of theirs could be asked for by its name
            raise IndexFormatError(
                f"{redact(href)} has several columns of the name {twice[0]!r}. Write it again with "
                "one of them.",
                href=redact(href),
            )
        told = {name: value for name, value in (told or {}).items() if name not in inside}
        if told:
            view.tell(reduce(and_, (_is(name, value) for name, value in told.items())))
    except StacchipError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        start = storage.read_range(href, 0, LOOKED_AT)
        if isinstance(error, OSError) and error.errno is not None:  # it passed meanwhile
            raise unreadable(href, error) from error
        came = describe_content(href, start.data, start.media_type, certainly=True)
        raise IndexFormatError(
            f"{redact(href)} is not a parquet file: {came or f'{error}. Write the index again.'}",
            href=redact(href),
        ) from error
    return ParquetFile(href, view, footer, read_at, limits, local, remote, told)


def _find_reader(
    href: str, storage: Storage, size_bytes: int
) -> tuple[ReadAt, int, pa.NativeFile | None, ExactFile | None]:
    """Return what reads a file, its size, and the open file: for pyarrow, or a remote one."""
    local = local_path(href)
    if local is None and not 0 <= size_bytes <= _SMALL_BYTES:
        remote = ExactFile.open(storage, href)
        return remote.pread, remote.size, None, remote
    if local is None:
        file = pa.BufferReader(storage.read(href))
    else:
        storage.stat(href)  # raises if there is no file
        # opened once: by its path, pyarrow opens it again for the pages, which may be another file
        file = pa.OSFile(str(local), "rb")

    def read_at(start: int, length: int) -> bytes:
        return bytes(file.read_at(length, start))

    return read_at, file.size(), file, None


def _is(name: str, value: pa.Scalar) -> pc.Expression:
    """Return the condition that a column has a value, which pyarrow then knows of all rows."""
    return pc.field(name) == value if value.is_valid else pc.field(name).is_null()
