"""What a person sees of the log: each line once, with its time, its level and the work it is about.

Only stacchip's own messages are shown: warnings, and with `-v` what is being done. What other
libraries log or warn of is left out; what matters of it comes as an error.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from stacchip.cli.terminal import lines
from stacchip.cli.terminal.hints import spell_options
from stacchip.runtime.task_name import current_task

_OURS = "stacchip"
_VERBOSE = "STACCHIP_WORKER_VERBOSE"  # how worker processes of Dask learn of --verbose
_log = logging.getLogger(__name__)


@contextmanager
def shown_logs() -> Iterator[None]:
    """Show warnings of stacchip on standard error, and nothing of other libraries.

    Everything is as it was when the block ends.
    """
    ours, root = logging.getLogger(_OURS), logging.getLogger()
    before = (ours.handlers, ours.level, ours.propagate, warnings.showwarning)
    silence = logging.NullHandler()  # without any handler, Python itself prints warnings
    _send_to_stderr(ours)
    ours.setLevel(logging.WARNING)
    root.addHandler(silence)
    warnings.showwarning = _hide_warning
    try:
        yield
    finally:
        ours.handlers, level, ours.propagate, warnings.showwarning = before
        ours.setLevel(level)
        root.removeHandler(silence)


def show_more() -> None:
    """Show everything that stacchip logs, for `--verbose`."""
    logging.getLogger(_OURS).setLevel(logging.INFO)


def join_dask() -> None:
    """Let the log of a Dask cluster look like ours: its warnings, in this process and in workers.

    Without Dask nothing is done.
    """
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
    is_verbose = logging.getLogger(_OURS).isEnabledFor(logging.INFO)
    os.environ[_VERBOSE] = "1" if is_verbose else ""
    with contextlib.suppress(ImportError):  # the run reports that Dask is not installed
        dask: Any = importlib.import_module("dask")
        dask.config.refresh()
        preloads = dask.config.get("distributed.worker.preload", [])
        dask.config.set({"distributed.worker.preload": [*preloads, __name__]})
        importlib.import_module("distributed")
        _send_to_stderr(logging.getLogger("distributed"))


def dask_setup(_worker: object) -> None:
    """Set up the log of a worker process; Dask calls this in each worker that preloads the module.

    See https://docs.dask.org/en/stable/customize-initialization.html.
    """
    for name in (_OURS, "distributed"):
        _send_to_stderr(logging.getLogger(name))
    logging.getLogger(_OURS).setLevel(logging.INFO if os.environ.get(_VERBOSE) else logging.WARNING)
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.showwarning = _hide_warning


class _Handler(logging.Handler):
    """Writes each record as a line of standard error; a reader that has left is no error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            line = spell_options(self.format(record))
            lines.note(fold(line, lines.terminal_width()))
        except lines.ReaderGoneError:
            pass  # the next line of the result ends the program
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)


class LogFormatter(logging.Formatter):
    """Formats a record as one line: the time in UTC, the level, the row at work, the message.

    Example:
        >>> record = logging.makeLogRecord(
        ...     {"name": "stacchip.x", "levelname": "INFO", "msg": "read it", "created": 0.0}
        ... )
        >>> LogFormatter().format(record)
        '1970-01-01T00:00:00Z INFO read it'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = [f"[{task}]"] if (task := current_task.get()) else []
        if record.name.partition(".")[0] != _OURS:
            about.append(f"{record.name}:")
        error = record.exc_info and record.exc_info[1]
        reason = [f"({type(error).__name__}: {error})"] if error else []
        parts = [time, record.levelname, *about, record.getMessage(), *reason]
        return " ".join(" ".join(parts).split())


def fold(line: str, width: int | None) -> str:
    r"""Fold a line at a width, between words; None leaves it whole.

    Example:
        >>> fold("trying to read https://example.com/B04.tif", 20)
        'trying to read\n  https://example.com/B04.tif'
    """
    if width is None:
        return line
    return textwrap.fill(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _send_to_stderr(logger: logging.Logger) -> None:
    handler = _Handler()
    handler.setFormatter(LogFormatter())
    logger.handlers = [handler]
    logger.propagate = False


def _hide_warning(
    message: Warning | str, category: type[Warning], *_place: Any, **_more: Any
) -> None:
    _log.debug("%s: %s", category.__name__, message)
