from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


@pytest.mark.slow
def test_the_example_trains_for_two_epochs_and_prints_its_speed(demo, tmp_path, capfd, monkeypatch):
    (tmp_path / "archive").symlink_to(demo / "archive")
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(tmp_path)])
    # in this process, which has loaded PyTorch: it takes seconds, in each worker too
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capfd.readouterr().out
    epochs = re.findall(
        r"^epoch (\d): (\d+) chips, loss ([\d.]+), (\d+) chips/s$", said, re.MULTILINE
    )
    assert [epoch for epoch, *_ in epochs] == ["0", "1"]
    assert epochs[0][1] == epochs[1][1] != "0"
    assert float(epochs[1][2]) < float(epochs[0][2])
