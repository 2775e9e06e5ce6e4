"""The example trains, and reports a score on ground that the network never saw."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_training_example_reports_a_score(tmp_path: Path):
    pytest.importorskip("torch")
    command = [sys.executable, str(ROOT / "examples" / "train.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert losses[-1] < losses[0] / 2
    (score,) = re.findall(r"test: ([\d.]+)% of the pixels are right", done.stdout)
    assert float(score) > 50
