"""The file of a plan: the rows of each job, made once and read job by job.

```
stacchip plan 1         16 bytes, with a line feed
length of the head      8 bytes, little-endian
the head                JSON: what was planned, from which index
digest of the above     16 bytes
job 0                   a number for each of its chips, 4 or 8 bytes, and a digest of 8 bytes
job 1 ...
```

All jobs but the last have equal lengths, so that a job reads its head and its own rows, and nothing
else. The digest of a job also covers the head and the number of the job.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import IndexFormatError, StacchipError
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import redact
from stacchip.storage.documents import parse_object
from stacchip.storage.file_over import file_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from stacchip.storage import Identity, Storage

    Rows = NDArray[np.int64]

__all__ = ["PlanFile", "write_plan_file"]

_MAGIC: Final = b"stacchip plan 1\n"
_LENGTH: Final = 8
_HEAD_DIGEST: Final = 16
_JOB_DIGEST: Final = 8
_FIRST_READ: Final = 1 << 16
_MOST_SHORT: Final = 1 << 32  # rows of an index whose numbers have 4 bytes


@dataclass(frozen=True)
class PlanFile:
    """A plan's file, of which the head was read.

    Attributes:
        href: Its address.
        head: What was planned: at least `index_rows`, the rows of the index, and `chips_per_job`.
        key: The digest of the head.
        start: Where the rows of the first job begin.
    """

    href: str
    head: Mapping[str, Any]
    key: bytes
    start: int

    @classmethod
    def read(cls, href: str, storage: Storage) -> PlanFile:
        """Read the head of a plan.

        Raises:
            ObjectNotFound: There is no plan.
            IndexFormatError: It is damaged.
        """
        limits = storage.options_for(href).limits
        begin = len(_MAGIC) + _LENGTH
        data = bytes(storage.read_range(href, 0, _FIRST_READ).data)
        length = int.from_bytes(data[len(_MAGIC) : begin], "little")
        if data[: len(_MAGIC)] != _MAGIC or length > limits.document_bytes:
            raise _damaged(href)
        end = begin + length
        if end + _HEAD_DIGEST > len(data):
            data = bytes(storage.read_range(href, 0, end + _HEAD_DIGEST).data)
        key = data[end : end + _HEAD_DIGEST]
        if key != _digest(data[:end], _HEAD_DIGEST):
            raise _damaged(href)
        try:
            head = parse_object(data[begin:end], href, limits, remedy=_REMEDY)
            _ = int(head["index_rows"]), int(head["chips_per_job"])
        except StacchipError:
            raise
        except ODD_VALUES as error:
            raise _damaged(href) from error
        return cls(href, head, key, end + _HEAD_DIGEST)

    def rows(self, job: int, chips: int, storage: Storage) -> Rows:
        """Read the rows of the chips of a job, in their order.

        Args:
            job: The number of the job.
            chips: The number of its chips.
            storage: Reads them.

        Raises:
            ObjectNotFound: The plan is gone.
            IndexFormatError: It is damaged, or was replaced by another since its head was read.
        """
        kind = _kind(self.head["index_rows"])
        whole = self.head["chips_per_job"] * kind.itemsize + _JOB_DIGEST
        length = chips * kind.itemsize
        place = self.start + job * whole
        data = bytes(storage.read_range(self.href, place, length + _JOB_DIGEST).data)
        if data[length:] != _digest(data[:length], _JOB_DIGEST, self.key, job):
            raise _damaged(self.href)
        return np.frombuffer(data[:length], kind).astype(np.int64)

    @property
    def damaged(self) -> IndexFormatError:
        """The error for a plan whose head says something odd."""
        return _damaged(self.href)


def write_plan_file(
    href: str,
    head: Mapping[str, Any],
    parts: Iterable[Rows],
    storage: Storage,
    *,
    expect: Identity | None = None,
) -> None:
    """Write a plan; it appears whole or not at all. The same plan has the same bytes.

    A store gets it in one request, so that a planner that is killed leaves nothing there.

    Args:
        href: Its address.
        head: As in `PlanFile`.
        parts: The rows of each job.
        storage: Writes it.
        expect: The plan whose place it takes; None if there is none.

    Raises:
        AssetChanged: Another plan is there, which stays.
    """
    text = json.dumps(head, sort_keys=True).encode()
    begin = _MAGIC + len(text).to_bytes(_LENGTH, "little") + text
    key = _digest(begin, _HEAD_DIGEST)
    kind = _kind(head["index_rows"])
    with file_over(href, expect, storage) as path, path.open("wb") as file:
        file.write(begin + key)
        for job, rows in enumerate(parts):
            data = np.ascontiguousarray(rows, kind).tobytes()
            file.write(data + _digest(data, _JOB_DIGEST, key, job))


def _kind(index_rows: int) -> np.dtype[Any]:
    """Return the type of rows' numbers in a file."""
    return np.dtype("<u4" if index_rows <= _MOST_SHORT else "<u8")


def _digest(data: bytes, size: int, key: bytes = b"", job: int = 0) -> bytes:
    salt = job.to_bytes(_LENGTH, "little")
    return hashlib.blake2b(data, digest_size=size, key=key, salt=salt).digest()


_REMEDY: Final = "Make the plan again: stacchip prechip --plan, or Prechip.plan(renew=True)."


def _damaged(href: str) -> IndexFormatError:
    href = redact(href)
    return IndexFormatError(
        f"The plan {href} is damaged, or was replaced while it was read. {_REMEDY}", href=href
    )
