"""Fetching blocks: all at once, each decoded as soon as its bytes arrive."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stacchip.raster.allowance import for_fetching
from stacchip.raster.block_requests import (
    LARGEST_JOIN,
    BlockAddress,
    BlockRequest,
    is_kept,
    plan_requests,
)
from stacchip.raster.cache import block_key
from stacchip.runtime.pools import decoders, fetchers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.raster.block_requests import OnError
    from stacchip.runtime.workers import Workers

# Small blocks (strips of one row) are decoded together: a task costs 50 us.
_TASK_BYTES: Final = 512 << 10


class Fetching:
    """A fetch of blocks under way: counts what is left, and keeps the first error.

    Args:
        on_failure: Called with the error that ended the fetch, for callers that never `wait`.

    Attributes:
        cancelled: True if tasks that have not begun are left out.
    """

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self.cancelled = False
        self._on_failure = on_failure
        self._left = 1  # one for the caller, who may submit more until `finish`
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

    def decode(self, task: Callable[[], None], after: Callable[[], None] | None = None) -> None:
        """Run a task in a decoding thread; `wait` waits for it, and raises its error.

        Args:
            task: What to do, unless the fetch was cancelled before.
            after: Called when the task has ended, or was left out.
        """
        self._submit(decoders(), task, after)

    def _submit(
        self, workers: Workers, task: Callable[[], None], after: Callable[[], None] | None = None
    ) -> None:
        def guarded() -> None:
            try:
                if not self.cancelled:
                    task()
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                self._fail(error)
            finally:
                if after is not None:
                    after()
                self._finish()

        with self._lock:
            self._left += 1
        workers.submit(guarded)

    @property
    def is_done(self) -> bool:
        """True if nothing is left to wait for."""
        return self._done.is_set()

    def finish(self) -> None:
        """Declare that no more tasks will come."""
        self._finish()

    def cancel(self) -> None:
        """Leave out tasks that have not begun; the others end by themselves."""
        self.cancelled = True

    def wait(self) -> None:
        """Wait for all blocks, and raise the first error.

        If interrupted (Ctrl-C), it cancels tasks that have not begun.
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
        The fetch under way. Its `wait` raises the first error: that of `handle`; `CorruptBlock` if
        the header places a block outside its file; `AssetChanged` if a file is no longer the one
        that its header was read from; `StorageError` if bytes cannot be fetched.
    """
    fetching = Fetching(on_failure)
    missing = []
    for address in addresses:
        if is_kept(address):  # checked once: another process may add it a moment later
            fetching.run(partial(_fetch_kept, address, handle, fetching, on_error))
        else:
            missing.append(address)
    for request in plan_requests(missing, on_error=on_error):
        fetching.run(partial(_fetch, request, handle, fetching, on_error))
    for task in others:
        fetching.run(task)
    fetching.finish()
    return fetching


def _fetch_kept(
    address: BlockAddress,
    handle: Callable[[BlockAddress, Any], None],
    fetching: Fetching,
    on_error: OnError | None,
) -> None:
    """Read a block from the cache on disk, or fetch it if it is no longer there."""
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
    """Put fetched blocks into the caches on disk."""
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
    """Fetch one request, and hand its blocks to decoding threads."""
    release = _wait_for_room(request)
    try:
        data = memoryview(_read(request))
    except BaseException as error:
        if release is not None:
            release()
        if on_error is None or not isinstance(error, Exception):
            raise
        on_error([address for address, _, _ in request.members], error)
        return
    if release is None:
        for members in _tasks(request):
            fetching.decode(partial(_handle, members, data, handle, fetching, on_error))
        _keep(request, data)
        return
    try:
        _keep(request, data)  # first: behind the decoding nothing may hold the bytes
    except BaseException:
        release()
        raise
    # all its blocks in one task
    task = partial(_handle, request.members, data, handle, fetching, on_error)
    fetching.decode(task, release)


def _wait_for_room(request: BlockRequest) -> Callable[[], None] | None:
    """Wait until the bytes of a large block may be fetched; return what gives them back.

    Blocks that are joined are small, and the number of threads bounds them; for these it is None.
    """
    if request.length <= LARGEST_JOIN:
        return None
    allowance = for_fetching()
    allowance.take(request.length)
    return partial(allowance.give_back, request.length)


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
    """Group the blocks of one request, so that each group is worth a task of its own."""
    header = request.header
    size = max(1, _TASK_BYTES // (header.row_bytes * header.block_shape[0]))
    members = request.members
    return [members[i : i + size] for i in range(0, len(members), size)]
