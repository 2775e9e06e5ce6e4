"""Hosts that do not answer: the log names them within seconds, and seldom after that.

Requests are tried again for minutes. Without a word of it, a machine without network looks like one
that works.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.task_name import in_this_task
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.storage.options import StorageOptions

_log = logging.getLogger(__name__)
SILENCE_S: Final = 4.0
"""How long a host may be silent at the first request before the log says so."""
_TROUBLE_S: Final = 2.0  # a blip of a host that has answered before is not worth a word
_AGAIN_S: Final = 60.0


class _Hosts:
    """What this process knows of hosts: which have answered, and when the log last named one."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        self.watched: set[str] = set()
        self.named_s: dict[str, float] = {}
        self.lock = threading.Lock()


_hosts: PerProcess[_Hosts] = PerProcess(_Hosts)


def host_of(href: str, options: StorageOptions) -> str:
    """Return the host that a request goes to, or the bucket of a store without an endpoint.

    Example:
        >>> from stacchip.storage import StorageOptions
        >>> host_of("https://user@example.com/a.tif", StorageOptions())
        'example.com'
        >>> host_of("s3://bucket/a.tif", StorageOptions())
        's3://bucket'
    """
    try:
        parts = urlsplit(href)
    except ValueError:  # brackets that hold no IPv6 address: the request fails with its own error
        return redact(href)
    if parts.scheme in {"http", "https"}:
        return parts.netloc.rpartition("@")[2]
    if options.endpoint:
        return urlsplit(options.endpoint).netloc.rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def watched(host: str, options: StorageOptions, silence_s: float = SILENCE_S) -> Iterator[None]:
    """Log a warning if the first request to a host lasts longer than `silence_s`."""
    hosts = _hosts.get()
    if host in hosts.answered:
        yield
        return
    with hosts.lock:
        is_watched = host in hosts.watched
        hosts.watched.add(host)
    if is_watched:
        yield
        return
    timer = threading.Timer(silence_s, in_this_task(_report_silence), (host, options, silence_s))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        hosts.watched.discard(host)


def note_answer(host: str) -> None:
    """Remember that a host answers, whatever it says."""
    _hosts.get().answered.add(host)


def report_failure(host: str, reason: str, since_s: float, options: StorageOptions) -> bool:
    """Log that a request failed and is tried again, if it is time to say so.

    Args:
        host: Where it went to.
        reason: Why it failed.
        since_s: How long the request has failed for, with the next wait.
        options: How long it is tried.

    Returns:
        True if a warning was logged.
    """
    hosts = _hosts.get()
    if host in hosts.answered and since_s < _TROUBLE_S:
        return False
    verb = "fails" if host in hosts.answered else "cannot be reached"
    return _warn(hosts, host, f"{host} {verb}: {reason}", options)


def _report_silence(host: str, options: StorageOptions, silence_s: float) -> None:
    hosts = _hosts.get()
    if host not in hosts.answered:
        _warn(hosts, host, f"{host} has not answered for {silence_s:.0f} s", options)


def _warn(hosts: _Hosts, host: str, what: str, options: StorageOptions) -> bool:
    now_s = time.monotonic()
    with hosts.lock:
        if now_s - hosts.named_s.get(host, -_AGAIN_S) < _AGAIN_S:
            return False
        hosts.named_s[host] = now_s
    _log.warning(
        "%s; trying up to %d times, for at most %g s",
        what, options.max_attempts, options.deadline_s,
    )  # fmt: skip
    return True
