"""Lightning's `Trainer` in two processes, with chips of two kinds, of which some are skipped."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from pathlib import Path

import pytest

from stacchip.stream import ChipStream, Shard
from stream.conftest import index_items, make_item

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")
lightning = pytest.importorskip("lightning", reason="Lightning is absent: make torch")

from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402 - after the skip
from torch.utils.data import DataLoader  # noqa: E402 - as above

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch

WIDE, NARROW = 25, 36  # chips


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.rows = defaultdict(list)

    def training_step(self, batch, number):
        self.rows[self.current_epoch].append(batch["row"].tolist())
        return (self.weight * batch["pixels"]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(path: str, folder: Path, workers: int, epochs: int, checkpoint: Path | None = None) -> dict:
    """Train for some epochs, and return the rows of each batch, by epoch."""
    stream = ChipStream(
        path, order="shuffle", dtype="float32", errors="skip", shard=Shard(uneven="pad")
    )
    dataset = ChipStreamDataset(stream, batch_size=4, resumable=True)
    context = "fork" if workers else None
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    model = Model()
    trainer = lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=epochs, logger=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=5, save_top_k=-1)],
    )  # fmt: skip
    trainer.fit(model, dataset.track(loader), ckpt_path=checkpoint, weights_only=False)
    return model.rows


def train_rank(rank: int, path: str, folder: str) -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    runs = {}
    for workers in (0, 2):
        at = Path(folder, f"{workers}")
        runs[f"{workers}"] = fit(path, at, workers, 2)
        torch.distributed.barrier()
        # only rank 0 has written it
        runs[f"{workers}, resumed"] = fit(path, at, 2 - workers, 2, at / "step=5.ckpt")
    Path(folder, f"{rank}.json").write_text(json.dumps(runs))
    torch.distributed.destroy_process_group()


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
    torch.multiprocessing.start_processes(
        train_rank, (path, str(tmp_path)), nprocs=2, start_method="forkserver"
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
