"""A process of two that train with Lightning, whose import takes seconds."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from stacchip.datasets import ChipStreamDataset
from stacchip.stream import ChipStream, Shard


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
