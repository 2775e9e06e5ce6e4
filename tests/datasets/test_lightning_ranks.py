"""Lightning's `Trainer` in two processes, with chips of two kinds, of which some are skipped."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from stream.conftest import index_items, make_item

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

pytestmark = pytest.mark.slow  # two processes import Lightning, and train twice and on

WIDE, NARROW = 25, 36  # chips


def rows_of(batches) -> set[int]:
    return {row for batch in batches for row in batch}


@pytest.fixture
def path(tmp_path) -> str:
    wide = make_item(tmp_path / "wide", "wide", {"red": (10, 320), "nir": (10, 320)})
    narrow = make_item(tmp_path / "narrow", "narrow", {"red": (10, 384)})
    gone = make_item(tmp_path / "gone", "gone", {"red": (10, 256)})
    path = index_items([wide.item, narrow.item, gone.item], tmp_path / "index")
    gone.path("red").unlink()
    return path


def test_ranks_step_together_and_share_the_checkpoint_of_one(path, tmp_path):
    pytest.importorskip("lightning", reason="Lightning is absent: make torch")
    torch.multiprocessing.start_processes(
        import_module("datasets.lightning_rank").train_rank,
        (path, str(tmp_path)),
        nprocs=2,
        start_method="forkserver",
    )
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    readable = set(range(WIDE + NARROW))
    for workers in ("0", "2"):
        whole = [rank[workers] for rank in ranks]
        resumed = [rank[f"{workers}, resumed"] for rank in ranks]
        for one, other in (whole, resumed):
            lengths = [{epoch: len(rows) for epoch, rows in each.items()} for each in (one, other)]
            assert lengths[0] == lengths[1], "a rank would wait for ever"
        before = rows_of(batch for each in whole for batch in each["0"][:5])
        rest = rows_of(batch for each in resumed for batch in each["0"])
        assert before | rest == readable > rest
        for one, other in (whole, resumed):
            assert rows_of([*one["1"], *other["1"]]) == readable
