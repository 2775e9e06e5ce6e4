"""One error for whatever pyarrow says of a damaged file: it names the file, and what to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa

from stacchip.errors import IndexFormatError, StacchipError, StorageError
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REMEDY", "damaged", "naming_damage", "unreadable"]

REMEDY = (
    "Copy the file again from where it came from; or write the index again, with `stacchip index`, "
    "or with `stacchip merge` of the indexes that it was made of."
)


def damaged(href: str, problem: object) -> IndexFormatError:
    """Return the error for a file of an index that is not as it was written.

    Args:
        href: The file.
        problem: What is wrong with it.
    """
    name = redact(href)
    said = str(problem).strip().rstrip(".") or type(problem).__name__
    return IndexFormatError(f"{name} is damaged: {said}. {REMEDY}", href=name)


def unreadable(href: str, error: OSError) -> StorageError:
    """Return the error for a file that the system cannot read; that does not make it damaged."""
    name = redact(href)
    return StorageError(f"{name} cannot be read: {error}.", href=name)


@contextlib.contextmanager
def naming_damage(href: str) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into one error that names the file.

    Args:
        href: The file that is read within the `with` statement.

    Raises:
        IndexFormatError: The file is damaged, or asks for more memory than there is.
        StorageError: The system could not read it.
    """
    try:
        yield
    except StacchipError:
        raise
    except (*ODD_VALUES, pa.ArrowException, OSError, SystemError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(href, error) from error
        if isinstance(error, MemoryError):  # a sound file, too, may have more than fits
            name = redact(href)
            raise IndexFormatError(
                f"{name} asks for more memory than there is ({error}). If the file is sound, read "
                f"fewer columns or rows of it, or scan it in parts. {REMEDY}",
                href=name,
            ) from error
        raise damaged(href, error) from error
