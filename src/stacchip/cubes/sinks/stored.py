"""Find the cubes that a folder holds, in whichever form they were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacchip.cubes.sinks.cube import VERSION, CubeFolder, CubeReader
from stacchip.cubes.sinks.registry import get_form, list_forms
from stacchip.errors import ChipNotFound, UsageError
from stacchip.storage import child_href, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.storage import Storage


@dataclass(frozen=True)
class StoredCubes:
    """The cubes of a platform.

    Attributes:
        numbers: Numbers of the cubes that are there, ascending.
        reader: Reads them.
    """

    numbers: tuple[int, ...]
    reader: CubeReader


def find_cubes(folder: CubeFolder, storage: Storage, form: str | None = None) -> StoredCubes:
    """Return the cubes that a folder holds.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
        form: Name of a form. Needed if the folder has cubes of several forms. `"npz"` and
            `"npz-uncompressed"` are read alike.

    Raises:
        ChipNotFound: There are no cubes.
        UsageError: There are cubes of several forms and none was chosen, or the form is unknown.

    Example:
        >>> from stacchip.storage import Storage
        >>> find_cubes(CubeFolder("./nowhere", "naip"), Storage())
        Traceback (most recent call last):
        stacchip.errors.ChipNotFound: There are no cubes at ./nowhere/mode_v1_chipper_v2/naip.
    """
    readers = _readers(form)
    names = [name for _, name in _list_names(folder.href, storage)]
    there = {}
    for reader in readers:
        found = [int(match[1]) for name in names if (match := reader.pattern.fullmatch(name))]
        if found:
            there[reader] = tuple(sorted(found))
    if not there:
        others = find_platforms(folder.root, storage)
        known = f" Platforms that have cubes there: {', '.join(others)}." if others else ""
        raise ChipNotFound(f"There are no cubes at {redact(folder.href)}.{known}")
    if len(there) > 1:
        raise UsageError(
            f"{redact(folder.href)} has cubes as "
            f"{' and '.join(readers[reader] for reader in there)}: choose one (form=, --format)."
        )
    ((reader, numbers),) = there.items()
    return StoredCubes(numbers, reader(folder, storage))


def _readers(form: str | None = None) -> dict[type[CubeReader], str]:
    """Return the readers of one form or of all, each with the name of its first form."""
    readers: dict[type[CubeReader], str] = {}
    for each in list_forms() if form is None else (get_form(form),):
        readers.setdefault(each.reader, each.name)
    return readers


def find_platforms(root: str, storage: Storage) -> list[str]:
    """Return the names of the platforms that have cubes, sorted.

    Args:
        root: The bucket or folder of all cubes.
        storage: How to reach it.

    Example:
        >>> from stacchip.storage import Storage
        >>> find_platforms("./nowhere", Storage())
        []
    """
    patterns = {reader.pattern for reader in _readers()}
    return sorted(
        {
            platform
            for platform, name in _list_names(child_href(root, VERSION), storage)
            if any(pattern.fullmatch(name) for pattern in patterns)
        }
    )


def _list_names(href: str, storage: Storage) -> Iterator[tuple[str, str]]:
    """Yield the platform of each object below a folder, and its path in the platform's folder."""
    for entry in storage.list(f"{href}/"):
        platform, _, name = entry.href.rpartition(f"/{VERSION}/")[2].partition("/")
        yield platform, name
