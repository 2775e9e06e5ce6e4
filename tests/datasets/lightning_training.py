"""What tests train with Lightning, whose import takes seconds."""

from __future__ import annotations

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

__all__ = ["Model", "ModelCheckpoint", "fit"]


class Model(lightning.LightningModule):
    def __init__(self, on_epoch=None):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 1, 1)
        self.on_epoch = on_epoch
        self.rows: dict[int, list[int]] = {}
        self.validated: list[int] = []

    def on_train_epoch_start(self):
        if self.on_epoch:
            self.on_epoch(self.current_epoch)

    def training_step(self, batch, number):
        self.rows.setdefault(self.current_epoch, []).extend(batch["row"].tolist())
        return self.layer(batch["pixels"] / 1e4).mean()

    def validation_step(self, batch, number):
        self.validated.append(self.global_step)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(model, loader, epochs, validation=None, checkpoint=None, **options):
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        **{"enable_checkpointing": False, **options},
    )  # fmt: skip
    trainer.fit(model, loader, validation, ckpt_path=checkpoint, weights_only=False)
    return model
