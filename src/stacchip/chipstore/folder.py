"""The folder of a store: its mark, its packs, and those that are being written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.chipstore.claims import Claims
from stacchip.chipstore.open_files import OpenFiles
from stacchip.chipstore.pack import Pack
from stacchip.errors import UsageError
from stacchip.runtime.whole_file import is_unfinished, whole_file
from stacchip.storage import is_remote, local_path, redact

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from stacchip.chipstore.claims import OpenClaims

__all__ = ["StoreFolder"]

_FORM: Final = 1
_MARK: Final = "store.json"
_PACKS: Final = "packs"
_UNFINISHED: Final = "unfinished"
_CLAIMS: Final = "claims.lock"
_OLD_S: Final = 24 * 3600.0


class StoreFolder:
    """The folder of a store, which may not be there yet.

    Args:
        path: Its path, or a file URL.

    Attributes:
        path: Its path.

    Raises:
        UsageError: It is remote, has other files, or a store of a later version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fsdecode(path)
        place = local_path(name) if name.startswith("file:") else Path(name)
        if place is None or is_remote(name):
            raise UsageError(f"A chip store is a local folder, not {redact(name)!r}.")
        self.path = place.absolute()
        self._files = OpenFiles()
        self._require_store()

    def __str__(self) -> str:
        return str(self.path)

    def _require_store(self) -> None:
        mark = self.path / _MARK
        try:
            told = json.loads(mark.read_bytes())["stacchip_chip_store"]
        except FileNotFoundError:
            names = [each.name for each in self.path.iterdir()] if self.path.is_dir() else []
            # a process that makes the store may not have come to its mark
            if any(name != _CLAIMS and not is_unfinished(name) for name in names):
                raise UsageError(
                    f"{self} has other files, and is no chip store: give an empty folder, or none."
                ) from None
            return
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UsageError(f"{mark} cannot be read: {error}.") from error
        if told != _FORM:
            raise UsageError(
                f"{self} is a chip store of form {told!r}, which this version of stacchip does "
                "not know: give another folder, or update stacchip."
            )

    def make(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            OSError, StorageError: It cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        mark = self.path / _MARK
        if not mark.exists():  # before all else: a folder with other files and none is refused
            with whole_file(mark) as part:
                part.write_text(json.dumps({"stacchip_chip_store": _FORM}), encoding="utf-8")
        for name in (_PACKS, _UNFINISHED):
            (self.path / name).mkdir(exist_ok=True)

    @property
    def has_packs(self) -> bool:
        """True if there may be packs."""
        return (self.path / _PACKS).exists()

    def packs(self) -> list[str]:
        """Return the names of the packs that are there."""
        return sorted(each.name for each in (self.path / _PACKS).iterdir())

    def open_pack(self, name: str) -> Pack:
        """Open a pack.

        Raises:
            PackUnreadable: It is gone, damaged, or of another version.
            PackUnavailable: It cannot be opened at present.
        """
        return Pack(self.path / _PACKS / name, self._files)

    def count_bytes(self, name: str) -> int:
        """Return the bytes of a pack.

        Raises:
            FileNotFoundError: Another process is deleting it.
        """
        files = (self.path / _PACKS / name).rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file())

    def unfinished(self, name: str) -> Path:
        """Return the path of a pack while it is written."""
        return self.path / _UNFINISHED / name

    def complete(self, name: str) -> None:
        """Put a pack that was written among the others.

        Raises:
            OSError: It cannot be moved.
        """
        place = self.path / _PACKS / name
        os.rename(self.unfinished(name), place)  # noqa: PTH104 - a folder into its place

    def delete(self, name: str) -> None:
        """Delete a pack, written or not."""
        pack = self.path / _PACKS / name
        self._files.forget(os.fspath(pack))
        for folder in (self.unfinished(name), pack):
            shutil.rmtree(folder, ignore_errors=True)

    def delete_forgotten(self, known: set[str]) -> None:
        """Delete what was being written a day ago, and is not known."""
        for folder in (self.path / _UNFINISHED).iterdir():
            if folder.name not in known and _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def claims(self) -> AbstractContextManager[OpenClaims]:
        """Return what tells other processes which parts of the store this one fills."""
        return Claims(self.path / _CLAIMS).open()


def _is_old(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - folder.stat().st_mtime > _OLD_S
    return False
