"""Large blocks take their memory one after another."""

from __future__ import annotations

import threading

from stacchip.raster.allowance import LARGE_BLOCK, Allowance, for_decoding


def test_a_thread_waits_until_enough_is_given_back():
    allowance = Allowance(100)
    allowance.take(60)
    began, done = threading.Event(), threading.Event()

    def take() -> None:
        began.set()
        allowance.take(50)
        done.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    assert began.wait(5)
    assert not done.wait(0.1)
    assert allowance.held_bytes == 60
    allowance.give_back(60)
    assert done.wait(5)
    assert allowance.held_bytes == 50


def test_what_exceeds_the_allowance_is_taken_alone():
    allowance = Allowance(100)
    with allowance.hold(500):
        assert allowance.held_bytes == 500
    assert allowance.held_bytes == 0


def test_small_blocks_wait_for_nothing():
    with for_decoding(400 << 20), for_decoding(LARGE_BLOCK):
        pass
