from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


@pytest.mark.slow
def test_the_example_trains_and_scores_on_ground_it_never_saw(demo, tmp_path, capfd, monkeypatch):
    (tmp_path / "archive").symlink_to(demo / "archive")
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(tmp_path)])
    # in this process, which has loaded PyTorch: it takes seconds, in each worker too
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capfd.readouterr().out
    epochs = re.findall(
        r"^epoch (\d+): (\d+) chips, loss ([\d.]+), (\d+) chips/s$", said, re.MULTILINE
    )
    assert [epoch for epoch, *_ in epochs] == [str(number) for number in range(12)]
    assert len({chips for _, chips, *_ in epochs}) == 1
    drawn = re.findall(
        r"^(\d+) chips of (\d+), (\d+) different; \d+ come again$", said, re.MULTILINE
    )
    assert [(chips, chips) for _, chips, *_ in epochs[:1]] == [(each[0], each[1]) for each in drawn]
    assert 0 < float(epochs[-1][2]) < float(epochs[0][2]) / 2
    (score,) = re.findall(r"^test: ([\d.]+)% of the pixels are right$", said, re.MULTILINE)
    assert float(score) > 50
