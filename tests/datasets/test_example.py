from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


def test_the_example_trains_for_two_epochs_and_prints_its_speed(tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tmp_path)],
        check=False, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    epochs = re.findall(
        r"^epoch (\d): (\d+) chips, loss ([\d.]+), (\d+) chips/s$", done.stdout, re.MULTILINE
    )
    assert [epoch for epoch, *_ in epochs] == ["0", "1"]
    assert epochs[0][1] == epochs[1][1] != "0"
    assert float(epochs[1][2]) < float(epochs[0][2])
