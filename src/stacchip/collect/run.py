"""Many rows: in threads of this process, or as tasks of a Dask cluster."""

from __future__ import annotations

import importlib
import logging
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from stacchip.collect.report import RowReport, RunReport, describe_error
from stacchip.errors import StacchipError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stacchip.collect.job import Job
    from stacchip.collect.report import ItemReport
    from stacchip.collect.sample import Row

# a row whose worker died goes to another one; after this many deaths the row is to blame
RETRIES = 3

_log = logging.getLogger(__name__)


def collect(
    job: Job,
    rows: Sequence[Row],
    *,
    dask: str | None = None,
    on_row: Callable[[RowReport], None] = lambda _: None,
    on_item: Callable[[Row, ItemReport], None] = lambda *_: None,
) -> RunReport:
    """Bring rows into the archive; one that fails does not end the run.

    Args:
        job: The work on one source.
        rows: The rows.
        dask: Address of a scheduler, `"local"` for worker processes on this machine, or `None`
            for threads of this process.
        on_row: Called when a row ends, in the order in which rows end.
        on_item: Called when an item is in the archive, from several threads. Not called with Dask,
            whose workers report on whole rows.

    Raises:
        UsageError: The archive cannot be written to; no catalogue was searched.
    """
    outcomes = _in_threads(job, rows, on_item) if dask is None else _on_dask(job, rows, dask)
    reports = []
    for report in outcomes:
        on_row(report)
        reports.append(report)
    return RunReport(tuple(sorted(reports, key=lambda report: report.number)))


def _in_threads(
    job: Job, rows: Sequence[Row], on_item: Callable[[Row, ItemReport], None]
) -> Iterator[RowReport]:
    """Run several rows at once, or several items of a single row."""
    job.require_target()
    workers = job.settings.workers
    if len(rows) == 1:
        yield job.run(rows[0], workers=workers, on_item=partial(on_item, rows[0]))
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="row") as pool:
        running = [pool.submit(job.run, row, on_item=partial(on_item, row)) for row in rows]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for waiting in running:
                waiting.cancel()


def _on_dask(job: Job, rows: Sequence[Row], address: str) -> Iterator[RowReport]:
    """Run rows as tasks of a cluster; a task whose worker died goes to another worker."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError("Dask is not installed: pip install 'stacchip[dask]'.") from error
    if address != "local":
        with distributed.Client(address) as client:
            yield from _gather(distributed, client, job, rows)
        return
    with local_cluster(job.settings.workers) as cluster, distributed.Client(cluster) as client:
        yield from _gather(distributed, client, job, rows)


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Start a `distributed.LocalCluster` of worker processes with one thread each.

    Its workers do not profile their tasks. In Python 3.11 a profiler that looks at the frames of
    other threads can, on rare occasions, lock up the process for good (CPython issue 106883).
    """
    dask: Any = importlib.import_module("dask")
    distributed: Any = importlib.import_module("distributed")
    # set as long as the cluster lives, since a restarted worker reads the configuration again
    with (
        dask.config.set({"distributed.worker.profile.enabled": False}),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
    ):
        yield cluster


def _why_refused(job: Job) -> StacchipError | None:
    """Return why the archive cannot be written to; Dask would log what is raised, traceback too."""
    try:
        job.require_target()
    except StacchipError as error:
        return error
    return None


def _gather(distributed: Any, client: Any, job: Job, rows: Sequence[Row]) -> Iterator[RowReport]:
    """Yield the rows' reports as they come; a row that no worker survives is reported as failed."""
    # the workers may write where this process may not
    if refusal := client.submit(_why_refused, job, pure=False).result():
        raise refusal
    by_key = {}
    for row in rows:
        future = client.submit(job.run, row, pure=False, retries=RETRIES)
        by_key[future.key] = (future, row)
    for future in distributed.as_completed([future for future, _ in by_key.values()]):
        row = by_key[future.key][1]
        if future.status == "finished":
            yield future.result()
        else:
            error = future.exception()
            _log.warning("row %d failed on its worker: %s", row.number, type(error).__name__)
            yield RowReport(row.number, row.name, errors=(describe_error(error),))
