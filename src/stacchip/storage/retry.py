"""The one retry policy, over every transport."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

import tenacity

from stacchip.errors import StorageError, StorageTimeout
from stacchip.storage.failure import TransientError
from stacchip.storage.href import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.storage.options import StorageOptions

logger = logging.getLogger(__name__)
T = TypeVar("T")
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 15.0
SPREAD_S = 0.25
# dice of our own: a training that seeded Python's draws the same whatever a store did
_DICE = random.Random()  # noqa: S311 - spreads load, guards nothing


def persist(attempt: Callable[[float], T], href: str, options: StorageOptions) -> T:
    """Try until it succeeds, the attempts are used up, or the deadline passes.

    Waits are drawn from 0 to 0.2, 0.4, 0.8 ... 15 s (full jitter), and are never shorter than a
    `Retry-After`. An answer that carries one does not count as an attempt: a busy server slows a
    job down, it does not fail it; only the deadline ends that.

    Args:
        attempt: Called with the time (`time.monotonic()`) at which it must be over; raises
            `TransientError` where another attempt may succeed.
        href: What is fetched, for messages.
        options: `max_attempts` and `deadline_s`.

    Raises:
        StorageTimeout: The deadline passed, or would pass in the next wait.
        StorageError: `max_attempts` failed.
    """
    until_s = time.monotonic() + options.deadline_s
    policy = _Policy(href, options, until_s)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(policy.may_repeat),
        wait=policy.wait_s,
        stop=policy.is_over,
        before_sleep=policy.log,
        retry_error_callback=policy.give_up,
    )
    return retrying(attempt, until_s)


class _Policy:
    """What tenacity asks about one request: `may_repeat` after each failure, then the rest."""

    failure: TransientError

    def __init__(self, href: str, options: StorageOptions, until_s: float) -> None:
        self.shown = redact(href)
        self.options = options
        self.until_s = until_s
        self.failures = 0
        self.counted = 0  # failures without a Retry-After
        self.is_late = tenacity.stop_before_delay(options.deadline_s)

    def may_repeat(self, error: BaseException) -> bool:
        if not isinstance(error, TransientError):
            return False
        self.failures += 1
        if self.failures == 1 or time.monotonic() < self.until_s:
            self.failure = error  # one that our deadline cut off says less than the one before
        self.counted += error.retry_after_s is None
        return True

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        if self.failure.retry_after_s is None:
            longest_s = min(FIRST_WAIT_S * 2.0 ** min(state.attempt_number - 1, 10), LONGEST_WAIT_S)
            return _DICE.uniform(0.0, longest_s)
        # all clients were told the same time: spread them behind it
        return self.failure.retry_after_s + _DICE.uniform(0.0, SPREAD_S)

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        return self.counted >= self.options.max_attempts or self.is_late(state)

    def log(self, state: tenacity.RetryCallState) -> None:
        logger.info("retry %s in %.2f s: %s", self.shown, state.upcoming_sleep, self.failure.reason)

    def give_up(self, state: tenacity.RetryCallState) -> NoReturn:
        failure, tries = self.failure, state.attempt_number
        if not self.is_late(state):
            raise StorageError(
                f"{self.shown} could not be had in {tries} attempts, the last ended in "
                f"{failure.reason}. Try later, or raise StorageOptions(max_attempts=...).",
                href=self.shown,
                status=failure.status,
            )
        wait_s = failure.retry_after_s
        asked = "" if wait_s is None else f" and asked to wait {wait_s:.0f} s"
        raise StorageTimeout(
            f"{self.shown} did not come within {self.options.deadline_s:g} s: {tries} attempts in "
            f"{state.seconds_since_start:.1f} s, the last ended in {failure.reason}{asked}. "
            "Try later, or raise StorageOptions(deadline_s=...).",
            href=self.shown,
            status=failure.status,
        )
