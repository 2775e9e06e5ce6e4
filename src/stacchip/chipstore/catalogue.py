"""The catalogue of a store: which chips are in which packs, in an SQLite database.

It says nothing that the packs do not say themselves. If it is lost or damaged, it is made again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from stacchip.runtime.key_hash import hash_text
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.whole_file import has_ended, process_mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Catalogue", "Place", "StoreFull", "number_of"]

_log = logging.getLogger(__name__)

NAME: Final = "catalogue.sqlite"
_VERSION: Final = 1
_WAIT_S: Final = 60.0
_STAYS_S: Final = 7 * 24 * 3600.0
_AT_ONCE: Final = 500  # SQLite's least limit of parameters is 999
_TABLES: Final = """
CREATE TABLE packs (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    used REAL NOT NULL, used_for TEXT NOT NULL, writer TEXT
);
CREATE TABLE chips (
    hash INTEGER NOT NULL, pack INTEGER NOT NULL, row INTEGER NOT NULL,
    PRIMARY KEY (hash, pack, row)
) WITHOUT ROWID;
CREATE INDEX chips_of_pack ON chips (pack);
"""


class Place(NamedTuple):
    """Where a chip may be: two chips can have one hash.

    Attributes:
        hash: The hash of its key.
        pack: The number of the pack.
        row: Its row there.
    """

    hash: int
    pack: int
    row: int


def number_of(name: str) -> int:
    """Return the number of a pack: in every catalogue that is ever made, the same."""
    return hash_text(name) >> 1  # SQLite's numbers have a sign


class StoreFull(Exception):
    """There is no room for more chips. Never raised to a user."""


class Catalogue:
    """The catalogue of a store. All processes that use the store share it.

    Args:
        folder: The folder of the store, which may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._connections: PerProcess[_Connection] = PerProcess(lambda: _Connection(self._path))

    @property
    def exists(self) -> bool:
        """True if there is a catalogue."""
        return self._path.exists()

    def make(self) -> None:
        """Make the catalogue if there is none.

        Raises:
            OSError: It cannot be written.
            sqlite3.Error: The same.
        """
        with self._writing() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                for statement in _TABLES.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")

    def move_away(self) -> None:
        """Make room for another catalogue: this one is damaged."""
        connection = self._connections.get()
        if not connection.is_current:
            return  # another process has made another one
        connection.close()
        for suffix in ("", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()

    # -- looking

    def find(self, hashes: Sequence[int]) -> list[Place]:
        """Return where chips of these hashes are.

        Raises:
            sqlite3.Error: The catalogue cannot be read.
        """
        found: list[Place] = []
        with self._reading() as database:
            for start in range(0, len(hashes), _AT_ONCE):
                some = hashes[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                question = f"SELECT hash, pack, row FROM chips WHERE hash IN ({marks})"  # noqa: S608
                found += map(Place._make, database.execute(question, some))
        return found

    def name_of(self, pack: int) -> str | None:
        """Return the name of a pack; None if there is no such pack any more."""
        with self._reading() as database:
            row = database.execute("SELECT name FROM packs WHERE number = ?", (pack,)).fetchone()
        return None if row is None else str(row[0])

    def count(self) -> tuple[int, int]:
        """Return the number of complete packs, and the bytes of all packs."""
        with self._reading() as database:
            told = "SELECT COUNT(*) FILTER (WHERE writer IS NULL), TOTAL(size_bytes) FROM packs"
            packs, size = database.execute(told).fetchone()
        return int(packs), int(size)

    def count_chips(self) -> int:
        """Return the number of chips; one whose assets are in several packs counts again."""
        with self._reading() as database:
            return int(database.execute("SELECT COUNT(*) FROM chips").fetchone()[0])

    def names(self) -> set[str]:
        """Return the names of all packs, also of those being written."""
        with self._reading() as database:
            return {name for (name,) in database.execute("SELECT name FROM packs")}

    # -- writing

    def reserve(
        self, name: str, size_bytes: int, limit_bytes: int, *, since: float, used_for: str
    ) -> list[str]:
        """Enter a pack that this process writes, and the bytes that it may take.

        Others go to make room, those used longest ago.

        Args:
            name: The name of the pack.
            size_bytes: All its bytes.
            limit_bytes: The most bytes of all packs.
            since: Packs that were used since then stay.
            used_for: Packs that were last used for this data set stay for a week: an epoch that
                does not fit would otherwise throw out what it needs next.

        Returns:
            The names of the packs that must be deleted first.

        Raises:
            StoreFull: There is not enough that may go.
        """
        pack = number_of(name)
        with self._writing() as database:
            total = "SELECT TOTAL(size_bytes) FROM packs WHERE number != ?"
            held = int(database.execute(total, (pack,)).fetchone()[0])
            oldest = database.execute(
                "SELECT number, name, size_bytes FROM packs "
                "WHERE writer IS NULL AND used < ? AND (used_for != ? OR used < ?) "
                "ORDER BY used, name",
                (since, used_for, time.time() - _STAYS_S),
            )
            evicted: list[tuple[int, str]] = []
            for number, old, size in oldest if held + size_bytes > limit_bytes else ():
                evicted.append((number, old))
                held -= size
                if held + size_bytes <= limit_bytes:
                    break
            if held + size_bytes > limit_bytes:
                raise StoreFull
            self._forget(database, [number for number, _ in evicted])
            database.execute(
                "INSERT OR REPLACE INTO packs VALUES (?, ?, ?, ?, ?, ?)",
                (pack, name, size_bytes, time.time(), used_for, process_mark()),
            )
            return [old for _, old in evicted]

    def finish(self, name: str, size_bytes: int, hashes: Sequence[int], *, used_for: str) -> None:
        """Enter the chips of a pack that is complete.

        Args:
            name: The name of the pack.
            size_bytes: Its bytes.
            hashes: The hash of the chip in each row.
            used_for: The data set that it was written for.
        """
        pack = number_of(name)
        rows = ((each, pack, row) for row, each in enumerate(hashes))
        with self._writing() as database:
            database.executemany("INSERT OR REPLACE INTO chips VALUES (?, ?, ?)", rows)
            database.execute(
                "INSERT OR REPLACE INTO packs VALUES (?, ?, ?, ?, ?, NULL)",
                (pack, name, size_bytes, time.time(), used_for),
            )

    def forget(self, packs: Collection[int]) -> None:
        """Forget packs that are gone or damaged."""
        with self._writing() as database:
            self._forget(database, packs)

    def forget_row(self, pack: int, row: int) -> None:
        """Forget a chip that is damaged."""
        with self._writing() as database:
            database.execute("DELETE FROM chips WHERE pack = ? AND row = ?", (pack, row))

    def left_by_others(self) -> list[tuple[int, str]]:
        """Return the numbers and names of packs whose writers have ended before they were done."""
        with self._reading() as database:
            told = "SELECT number, name, writer FROM packs WHERE writer IS NOT NULL"
            return [(n, name) for n, name, writer in database.execute(told) if has_ended(writer)]

    def use(self, packs: Iterable[int], used_for: str) -> None:
        """Note that packs were used now, and for which data set."""
        now = time.time()
        with self._writing() as database:
            database.executemany(
                "UPDATE packs SET used = ?, used_for = ? WHERE number = ?",
                [(now, used_for, pack) for pack in packs],
            )

    @staticmethod
    def _forget(database: sqlite3.Connection, packs: Collection[int]) -> None:
        numbers = [(pack,) for pack in packs]
        database.executemany("DELETE FROM chips WHERE pack = ?", numbers)
        database.executemany("DELETE FROM packs WHERE number = ?", numbers)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = self._connections.get()
        with connection.lock:
            yield connection.open(is_writing=False)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give the database within a transaction."""
        connection = self._connections.get()
        with connection.lock:
            database = connection.open(is_writing=True)
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise


class _Connection:
    """The connection of one process.

    Attributes:
        lock: Held while it is used.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._may_write = False

    def open(self, *, is_writing: bool) -> sqlite3.Connection:
        """Return the database, opened for what is asked."""
        is_open = self._database is not None and self.is_current
        if self._database is None or not is_open or (is_writing and not self._may_write):
            self.close()
            mode = "rwc" if is_writing else "ro"
            self._database = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                timeout=_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            if is_writing:  # of a new catalogue: it shrinks when packs go
                self._database.execute("PRAGMA auto_vacuum = FULL")
            self._file = _file_at(self._path)
            self._may_write = is_writing
        return self._database

    @property
    def is_current(self) -> bool:
        """True unless another file has taken the place of the one that is open."""
        return self._database is None or self._file == _file_at(self._path)

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from others; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
