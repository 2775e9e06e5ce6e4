from __future__ import annotations

import logging
import random
import time

import pytest

from stacchip.errors import AccessDenied, ObjectNotFound, StorageError, StorageTimeout
from stacchip.storage import StorageOptions
from stacchip.storage.failure import TransientError
from stacchip.storage.retry import persist, repeat_step

HREF = "https://example.com/a.tif?sig=SECRET"


class Failing:
    """Raises the errors given, one a call, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.times_s: list[float] = []

    def __call__(self, *_: float) -> str:
        self.times_s.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    @property
    def calls(self) -> int:
        return len(self.times_s)


def test_a_request_is_tried_until_it_succeeds() -> None:
    attempt = Failing(TransientError("a"), TransientError("b", 503))
    assert persist(attempt, HREF, StorageOptions()) == "done"
    assert attempt.calls == 3


@pytest.mark.parametrize("error", [StorageError("no"), AccessDenied("no"), KeyError("a bug")])
def test_an_error_that_is_final_is_raised_at_once(error: Exception) -> None:
    attempt = Failing(error)
    with pytest.raises(type(error)) as caught:
        persist(attempt, HREF, StorageOptions())
    assert caught.value is error
    assert attempt.calls == 1


def test_after_the_last_attempt_the_error_has_the_cause_and_the_remedy() -> None:
    attempt = Failing(*(TransientError("HTTP 503", 503) for _ in range(9)))
    with pytest.raises(StorageError, match=r"2 attempts.*HTTP 503.*max_attempts") as caught:
        persist(attempt, HREF, StorageOptions(max_attempts=2))
    assert (attempt.calls, caught.value.status) == (2, 503)
    assert caught.value.href == "https://example.com/a.tif"
    assert "SECRET" not in str(caught.value)


def test_a_busy_server_is_waited_for_and_uses_up_no_attempt() -> None:
    attempt = Failing(*(TransientError("HTTP 429", 429, retry_after_s=0.2) for _ in range(4)))
    assert persist(attempt, HREF, StorageOptions(max_attempts=1)) == "done"
    first, second = attempt.times_s[:2]
    assert second - first >= 0.2


def test_a_wait_beyond_the_deadline_ends_it_without_waiting() -> None:
    attempt = Failing(TransientError("HTTP 429", 429, retry_after_s=60))
    start = time.monotonic()
    with pytest.raises(StorageTimeout, match="wait 60 s") as caught:
        persist(attempt, HREF, StorageOptions(deadline_s=1))
    assert time.monotonic() - start < 20
    assert (attempt.calls, caught.value.status) == (1, 429)


def test_an_attempt_that_ends_just_before_the_deadline_was_the_last() -> None:
    calls = []

    def attempt(until_s: float) -> str:
        calls.append(until_s)
        time.sleep(max(0.0, until_s - time.monotonic() - 0.002))  # as a timeout that ends early
        raise TransientError("no answer")

    with pytest.raises(StorageTimeout, match=r"within 0\.1 s: 1 attempts"):
        persist(attempt, HREF, StorageOptions(deadline_s=0.1, max_attempts=2))
    assert len(calls) == 1


def test_waits_do_not_draw_from_the_users_generator() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    persist(Failing(TransientError("a")), HREF, StorageOptions())
    assert random.random() == expected


def test_a_step_is_taken_again_and_the_log_shows_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    step = Failing(StorageError("cut off"))
    with caplog.at_level(logging.WARNING):
        assert repeat_step(step, HREF, may_repeat=lambda _: True, wait_s=0.01) == "done"
    assert step.calls == 2
    assert "cut off; trying again" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_step_fails_with_its_own_last_error() -> None:
    errors = [StorageError(f"try {number}") for number in range(1, 5)]
    step = Failing(*errors)
    with pytest.raises(StorageError, match="try 3") as caught:
        repeat_step(step, HREF, may_repeat=lambda _: True, tries=3, wait_s=0.01)
    assert caught.value is errors[2]
    assert step.calls == 3


@pytest.mark.parametrize("error", [ObjectNotFound("gone"), ValueError("a bug")])
def test_a_step_that_cannot_succeed_is_not_taken_again(error: Exception) -> None:
    step = Failing(error)
    with pytest.raises(type(error)):
        repeat_step(step, HREF, may_repeat=lambda e: not isinstance(e, ObjectNotFound), wait_s=9)
    assert step.calls == 1


def test_waits_between_steps_grow() -> None:
    step = Failing(StorageError("1"), StorageError("2"))
    repeat_step(step, HREF, may_repeat=lambda _: True, wait_s=0.1)
    first, second, third = step.times_s
    assert second - first >= 0.1
    assert third - second >= 0.2
