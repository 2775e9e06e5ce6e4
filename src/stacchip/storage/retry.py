"""Trying again: the one policy for requests, and the one for steps of several requests.

Everything in stacchip that is tried again, where, and why there:

- A request of a web server, an object store, a token service or a STAC API: `persist`. One policy
  over all transports honours `Retry-After` and keeps one deadline.
- Among these faults: no connection or a lost one, a time-out, a short answer, the statuses of
  `failure.TRANSIENT_STATUSES`, an answer that is not HTTP, and one that holds another range than
  requested. Proxies and caches that are overloaded or restarted answer like that for a while.
- A request refused because of an old signature, or sent to the wrong region: `requester.py`, at
  once. The cause is known, and mended before the second attempt.
- A part of a multipart upload: obstore, set up in `transports/object_clients.py`. Only obstore can
  send a single part again; `persist` would need the whole stream again.
- boto3's requests (aborting uploads, copies inside S3): botocore, set up in `s3/client.py`. It
  knows S3's errors better than anything around it could.
- A whole copy, conversion or upload of a file: `repeat_step`, called in `collect/transfer.py`. An
  upload that failed in the middle, or that another job aborted, begins again.
- A row of a run on Dask whose worker died: Dask, by `RETRIES` in `collect/run.py`. The dead worker
  cannot try again by itself.

Nothing else is repeated: urllib3's own retries are switched off.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

import tenacity

from stacchip.errors import StorageError, StorageTimeout
from stacchip.storage.contact import host_of, note_answer, report_failure, watched
from stacchip.storage.failure import TransientError
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.storage.options import StorageOptions

logger = logging.getLogger(__name__)
T = TypeVar("T")
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 15.0
SPREAD_S = 0.25
LEAST_ATTEMPT_S = 0.02  # a timeout may end a little early; what is left then is no attempt
# not Python's global generator: a seeded training draws the same numbers, whatever a store did
_DICE = random.Random()  # noqa: S311 - spreads load, guards nothing


def persist(attempt: Callable[[float], T], href: str, options: StorageOptions) -> T:
    """Try a request until it succeeds, the attempts are used up, or the deadline passes.

    Waits are drawn from 0 to 0.2, 0.4, 0.8 ... 15 s (full jitter), and are never shorter than a
    `Retry-After`. An answer that carries one does not count as an attempt, so a busy server slows a
    job down, and only the deadline makes it fail.

    Args:
        attempt: Called with the time (`time.monotonic()`) by which it must be over; raises
            `TransientError` if another attempt may succeed.
        href: What is requested, for messages.
        options: `max_attempts` and `deadline_s`.

    Raises:
        StorageTimeout: The deadline passed, or would pass in the next wait.
        StorageError: `max_attempts` failed.
    """
    until_s = time.monotonic() + options.deadline_s
    host = host_of(href, options)
    policy = _Policy(href, options, until_s, host)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(policy.may_repeat),
        wait=policy.wait_s,
        stop=policy.is_over,
        before_sleep=policy.log,
        retry_error_callback=policy.give_up,
    )
    with watched(host, options):
        try:
            result = retrying(attempt, until_s)
        except StorageError as error:
            if error.status is not None:
                note_answer(host)
            raise
    note_answer(host)
    return result


def repeat_step(
    step: Callable[[], T],
    href: str,
    *,
    may_repeat: Callable[[StorageError], bool],
    tries: int = 3,
    wait_s: float = 1.0,
) -> T:
    """Run a step of several requests, each with its own attempts, and rerun it if it fails.

    Args:
        step: The step; it starts from the beginning each time.
        href: The object that it works on, for the log.
        may_repeat: Called with the error; False if the step cannot succeed.
        tries: How often to try.
        wait_s: Seconds before the second try; twice as long before the third, then three times.

    Raises:
        StorageError: The error of the last try, unchanged.

    Example:
        >>> repeat_step(lambda: "done", "s3://bucket/key", may_repeat=lambda error: True)
        'done'
    """

    def is_worth_it(error: BaseException) -> bool:
        return isinstance(error, StorageError) and may_repeat(error)

    def log(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning("%s: %s; trying again", redact(href), error)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_worth_it),
        wait=tenacity.wait_incrementing(start=wait_s, increment=wait_s),
        stop=tenacity.stop_after_attempt(tries),
        before_sleep=log,
        reraise=True,
    )
    return retrying(step)


class _Policy:
    """Answers tenacity's questions about one request: `may_repeat` first, then the others."""

    failure: TransientError

    def __init__(self, href: str, options: StorageOptions, until_s: float, host: str) -> None:
        self.shown = redact(href)
        self.host = host
        self.options = options
        self.until_s = until_s
        self.failures = 0
        self.counted = 0  # failures without a Retry-After

    def may_repeat(self, error: BaseException) -> bool:
        if not isinstance(error, TransientError):
            return False
        self.failures += 1
        if error.status is not None:
            note_answer(self.host)
        if self.failures == 1 or time.monotonic() < self.until_s:
            self.failure = error  # one cut off by our deadline says less than the one before
        self.counted += error.retry_after_s is None
        return True

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        if self.failure.retry_after_s is None:
            longest_s = min(FIRST_WAIT_S * 2.0 ** min(state.attempt_number - 1, 10), LONGEST_WAIT_S)
            return _DICE.uniform(0.0, longest_s)
        # all clients were told the same time: spread them out after it
        return self.failure.retry_after_s + _DICE.uniform(0.0, SPREAD_S)

    def is_late(self, state: tenacity.RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep + LEAST_ATTEMPT_S > self.until_s

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        return self.counted >= self.options.max_attempts or self.is_late(state)

    def log(self, state: tenacity.RetryCallState) -> None:
        reason = self.failure.reason
        since_s = (state.seconds_since_start or 0.0) + state.upcoming_sleep
        if not report_failure(self.host, reason, since_s, self.options):
            logger.info("retry %s in %.2f s: %s", self.shown, state.upcoming_sleep, reason)

    def give_up(self, state: tenacity.RetryCallState) -> NoReturn:
        failure, tries = self.failure, state.attempt_number
        if not self.is_late(state):
            raise StorageError(
                f"{self.shown}: {tries} attempts failed, the last with {failure.reason}. "
                "Try later, or in Python raise StorageOptions(max_attempts=...).",
                href=self.shown,
                status=failure.status,
            )
        wait_s = failure.retry_after_s
        asked = "" if wait_s is None else f" and a request to wait {wait_s:.0f} s"
        raise StorageTimeout(
            f"{self.shown} did not answer within {self.options.deadline_s:g} s: {tries} attempts "
            f"in {state.seconds_since_start:.1f} s, the last ended with {failure.reason}{asked}. "
            "Try later, or raise StorageOptions(deadline_s=...).",
            href=self.shown,
            status=failure.status,
        )
