from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref

import pytest

from stacchip.storage.deadline import call_within


def test_a_call_returns_or_raises_as_it_would_without_a_deadline() -> None:
    assert call_within(lambda: "done", time.monotonic() + 60) == "done"
    with pytest.raises(ZeroDivisionError):
        call_within(lambda: 1 // 0, time.monotonic() + 60)
    assert call_within(lambda: None, float("inf")) is None


def test_a_call_that_does_not_end_is_left_alone() -> None:
    never = threading.Event()
    start_s = time.monotonic()
    with pytest.raises(TimeoutError):
        call_within(never.wait, start_s + 0.05)
    assert time.monotonic() - start_s < 5
    never.set()


def test_a_failure_does_not_keep_what_the_call_held() -> None:
    held: list[weakref.ref[object]] = []

    class Large:
        pass

    def fail() -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise ValueError

    gc.disable()  # it would find a circle sooner or later
    try:
        with contextlib.suppress(ValueError):
            call_within(fail, time.monotonic() + 60)
        assert held[0]() is None
    finally:
        gc.enable()
