"""Ctrl-C: one line and exit code 130 within seconds, whatever threads are doing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from interrupts import heeding_interrupts

PROGRAM = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from stacchip.cli.terminal import console
from stacchip.cli.terminal.interrupts import prompt_interrupts

def work():
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            pool.submit(time.sleep, 30)
        console.say("working")

def leave():  # threads go on while the command ends
    pool = ThreadPoolExecutor(2)
    pool.submit(time.sleep, 30)
    console.say("working")
    time.sleep(30)

with prompt_interrupts("prog", grace_s=GRACE):
    sys.exit(console.run_command(COMMAND, "prog", []))
"""


@pytest.mark.parametrize(
    ("command", "grace", "presses"), [("work", 0.2, 1), ("leave", 0.2, 1), ("work", 30, 2)]
)
def test_an_interrupt_ends_a_command_that_has_threads(command, grace, presses):
    program = PROGRAM.replace("COMMAND", command).replace("GRACE", str(grace))
    with heeding_interrupts():
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stdout.readline() == "working\n"
    for _ in range(presses):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "prog: interrupted\n")
