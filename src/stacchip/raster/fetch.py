"""Fetching blocks: all at once, each handed on as soon as its bytes are there."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import CorruptBlock
from stacchip.raster.blocks import Block, block_number
from stacchip.raster.cache import Caches, block_key
from stacchip.runtime.pools import decoders, fetchers
from stacchip.storage import local_path, redact
from stacchip.storage.ranges import join_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.raster.cache import DiskCache
    from stacchip.raster.header import Header
    from stacchip.runtime.workers import Workers
    from stacchip.storage import Storage

    OnError = Callable[[Sequence["BlockAddress"], Exception], None]

# Blocks in a row come in one request; more than this comes in several, so that decoding begins
# before all of it is there.
_LARGEST_JOIN: Final = 4 << 20
# Between the blocks of a COG lie 8 bytes (leader and trailer); any gap this short is fetched too.
_LARGEST_GAP: Final = 16 << 10
# Small blocks (strips of one row) are decoded together: a task costs 50 us.
_TASK_BYTES: Final = 512 << 10

NO_CACHES: Final = Caches()


@dataclass(frozen=True, slots=True)
class BlockAddress:
    """One block of one file: what `start_fetching` fetches.

    Attributes:
        storage: Where the file's bytes come from.
        href: The file.
        header: Its header.
        block: Which block.
        caches: Where blocks of the file are kept.
    """

    storage: Storage
    href: str
    header: Header
    block: Block
    caches: Caches = NO_CACHES

    @property
    def on_disk(self) -> DiskCache | None:
        """Where the block's bytes are kept; nowhere, where the file is local."""
        disk = self.caches.encoded
        return None if disk is None or local_path(self.href) else disk


class Fetching:
    """Blocks on their way: counts what is left, and keeps the first error.

    Args:
        on_failure: Is told what ended it all, where nobody waits.

    Attributes:
        cancelled: Whether what has not begun is left out.
    """

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self.cancelled = False
        self._on_failure = on_failure
        self._left = 1  # one for who submits, until `finish`
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    def _finish(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
        self.cancelled = True
        self._done.set()
        if self._on_failure is not None:
            self._on_failure(error)

    def run(self, task: Callable[[], None]) -> None:
        """Run a task in a fetching thread; `wait` waits for it, and raises its error."""
        self._submit(fetchers(), task)

    def decode(self, task: Callable[[], None]) -> None:
        """Run a task in a decoding thread; `wait` waits for it, and raises its error."""
        self._submit(decoders(), task)

    def _submit(self, workers: Workers, task: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                if not self.cancelled:
                    task()
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                self._fail(error)
            finally:
                self._finish()

        with self._lock:
            self._left += 1
        workers.submit(guarded)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to wait for."""
        return self._done.is_set()

    def finish(self) -> None:
        """Say that no more tasks will come."""
        self._finish()

    def cancel(self) -> None:
        """Leave out what has not begun; what has begun ends by itself."""
        self.cancelled = True

    def wait(self) -> None:
        """Wait for all blocks, and raise the first error.

        Interrupted (Ctrl-C), it cancels what has not begun.
        """
        try:
            self._done.wait()
        except BaseException:
            self.cancel()
            raise
        if self._error is not None:
            raise self._error


def start_fetching(
    addresses: Sequence[BlockAddress],
    handle: Callable[[BlockAddress, Any], None],
    *others: Callable[[], None],
    on_error: OnError | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
) -> Fetching:
    """Fetch blocks concurrently and give each, with its bytes, to `handle` in a decoding thread.

    Args:
        addresses: Each block once.
        handle: Called with an address and the block's bytes (empty if it is sparse), which are
            valid during the call. It is called from several threads at once, and must not wait for
            other blocks: the threads that fetch them may be those that wait.
        *others: Tasks to run in fetching threads meanwhile.
        on_error: Called with the blocks that failed and their error; the others then go on. Without
            it the first failure ends the whole fetch. It is called from several threads at once.
        on_failure: Called with an error that no store or file explains (out of memory, a bug), for
            callers that never `wait`.

    Returns:
        The fetch under way. Its `wait` raises the first error: what `handle` raises; `CorruptBlock`
        if a block is said to lie outside its file; `AssetChanged` if a file is no longer the one
        that its header was read from; `StorageError` if bytes cannot be fetched.
    """
    fetching = Fetching(on_failure)
    missing = []
    for address in addresses:
        if is_kept(address):  # asked once: another process may keep it in the next moment
            fetching.run(partial(_fetch_kept, address, handle, fetching, on_error))
        else:
            missing.append(address)
    for request in plan_requests(missing, on_error=on_error):
        fetching.run(partial(_fetch, request, handle, fetching, on_error))
    for task in others:
        fetching.run(task)
    fetching.finish()
    return fetching


def is_kept(address: BlockAddress) -> bool:
    """Whether the block's bytes are in the cache on disk, at this moment."""
    disk = address.on_disk
    return disk is not None and disk.has(block_key(address.href, address.header, address.block))


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """One range of one file, and the blocks in it as (address, first byte, last byte + 1)."""

    storage: Storage
    href: str
    header: Header
    start: int
    length: int
    members: list[tuple[BlockAddress, int, int]]


def plan_requests(
    addresses: Sequence[BlockAddress], *, on_error: OnError | None = None
) -> list[BlockRequest]:
    """The requests for these blocks: near ones of one file joined, sparse ones of length 0.

    Raises:
        CorruptBlock: A block is said to lie outside its file, and there is no `on_error` to tell.
    """
    files: dict[tuple[int, str], list[tuple[BlockAddress, tuple[int, int]]]] = {}
    for address in addresses:
        try:
            span = _range_of(address)
        except CorruptBlock as error:
            if on_error is None:
                raise
            on_error([address], error)
        else:
            files.setdefault((id(address.storage), address.href), []).append((address, span))
    requests = []
    for found in files.values():
        members, ranges = [address for address, _ in found], [span for _, span in found]
        first = members[0]
        sparse = [(m, 0, 0) for m, (_, length) in zip(members, ranges, strict=True) if not length]
        if sparse:
            requests.append(BlockRequest(first.storage, first.href, first.header, 0, 0, sparse))
        for join in join_ranges(ranges, largest_gap=_LARGEST_GAP, largest_join=_LARGEST_JOIN):
            inside = [
                (members[i], ranges[i][0] - join.start, ranges[i][0] - join.start + ranges[i][1])
                for i in join.members
            ]
            place = (first.storage, first.href, first.header, join.start, join.length)
            requests.append(BlockRequest(*place, inside))
    return requests


def _range_of(address: BlockAddress) -> tuple[int, int]:
    """(start, length) of a block in its file."""
    header = address.header
    number = block_number(header, address.block)
    start, length = int(header.block_offsets[number]), int(header.block_lengths[number])
    size = header.identity.size_bytes
    if length and size is not None and start + length > size:
        where, href = tuple(address.block), redact(address.href)
        raise CorruptBlock(
            f"Block {where} (band, row, column) of {href} is said to lie at bytes {start} to "
            f"{start + length}, and the file has {size}: it is cut off. Fetch it again.",
            href=href,
            block=where,
        )
    return start, length


def _fetch_kept(
    address: BlockAddress,
    handle: Callable[[BlockAddress, Any], None],
    fetching: Fetching,
    on_error: OnError | None,
) -> None:
    """Take a block from the disk, or fetch it where it is no longer there."""
    disk, data = address.on_disk, None
    if disk is not None:
        try:
            disk.require_current(address.storage, address.href, address.header)
        except Exception as error:
            if on_error is None:
                raise
            on_error([address], error)
            return
        data = disk.get(block_key(address.href, address.header, address.block))
    if data is None:
        for request in plan_requests([address], on_error=on_error):
            _fetch(request, handle, fetching, on_error)
        return
    members = [(address, 0, len(data))]
    fetching.decode(partial(_handle, members, memoryview(data), handle, fetching, on_error))


def _keep(request: BlockRequest, data: memoryview) -> None:
    """Put what was fetched into the caches on disk."""
    for address, first, stop in request.members:
        disk = address.on_disk
        if disk is not None and stop > first:
            disk.put(block_key(address.href, address.header, address.block), data[first:stop])


def _fetch(
    request: BlockRequest,
    handle: Callable[[BlockAddress, Any], None],
    fetching: Fetching,
    on_error: OnError | None,
) -> None:
    """Fetch one request, and hand what it brings to decoding threads."""
    try:
        data = memoryview(_read(request))
    except Exception as error:
        if on_error is None:
            raise
        on_error([address for address, _, _ in request.members], error)
        return
    for members in _tasks(request):
        fetching.decode(partial(_handle, members, data, handle, fetching, on_error))
    _keep(request, data)


def _handle(
    members: list[tuple[BlockAddress, int, int]],
    data: memoryview,
    handle: Callable[[BlockAddress, Any], None],
    fetching: Fetching,
    on_error: OnError | None,
) -> None:
    for address, first, stop in members:
        if fetching.cancelled:
            break
        try:
            handle(address, data[first:stop])
        except Exception as error:
            if on_error is None:
                raise
            on_error([address], error)


def _read(request: BlockRequest) -> Any:
    if not request.length:
        return b""
    return request.storage.read_range(
        request.href, request.start, request.length, expect=request.header.identity
    ).data


def _tasks(request: BlockRequest) -> list[list[tuple[BlockAddress, int, int]]]:
    """The blocks of one request in groups that are worth a task of their own."""
    header = request.header
    size = max(1, _TASK_BYTES // (header.row_bytes * header.block_shape[0]))
    members = request.members
    return [members[i : i + size] for i in range(0, len(members), size)]
