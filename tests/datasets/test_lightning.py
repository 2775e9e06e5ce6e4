"""Lightning's `Trainer`, which begins passes by itself and calls `set_epoch` of samplers only."""

from __future__ import annotations

import logging

import pytest

from stacchip.stream import ChipStream
from stream.conftest import index_items

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")
lightning = pytest.importorskip("lightning", reason="Lightning is absent: make torch")

from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402 - after the skip
from torch.utils.data import DataLoader  # noqa: E402 - as above

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch

CHIPS, SIZE = 144, 18

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),  # advice, and about its libraries
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def path(archive, tmp_path_factory) -> str:
    return index_items([archive[0].item], tmp_path_factory.mktemp("lightning") / "index")


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


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


def dataset_of(path: str, **options) -> ChipStreamDataset:
    stream = ChipStream(path, assets=["red", "swir"], order="shuffle", dtype="float32")
    return ChipStreamDataset(stream, batch_size=SIZE, **options)


def loader_of(dataset: ChipStreamDataset, workers: int) -> DataLoader:
    context = "fork" if workers else None
    return DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )


def fit(model, loader, epochs, validation=None, checkpoint=None, **options):
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        **{"enable_checkpointing": False, **options},
    )  # fmt: skip
    trainer.fit(model, loader, validation, ckpt_path=checkpoint, weights_only=False)
    return model


def epochs_of(path: str, workers: int, *epochs: int) -> dict[int, list[int]]:
    dataset = dataset_of(path)
    rows = {}
    for epoch in epochs:
        dataset.set_epoch(epoch)
        rows[epoch] = [
            row for batch in loader_of(dataset, workers) for row in batch["row"].tolist()
        ]
    return rows


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_advance_by_themselves_and_validation_comes_in_their_middle(path, workers):
    train = loader_of(dataset_of(path), workers)
    validation = loader_of(dataset_of(path), 0)
    model = fit(Model(), train, 3, validation, val_check_interval=0.5, limit_val_batches=1)
    assert model.rows == epochs_of(path, workers, 0, 1, 2)
    length = len(train)
    assert [step % length for step in model.validated] == [
        length // 2,
        length // 2 * 2 % length,
    ] * 3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_tracked_loader_goes_on_from_a_checkpoint(path, workers, tmp_path):
    """From an epoch's middle, and from its end: Lightning does not ask for one batch too many."""
    dataset = dataset_of(path, resumable=True)
    tracked = dataset.track(loader_of(dataset, workers))
    length = len(tracked)
    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole = fit(Model(), tracked, 3, enable_checkpointing=True, callbacks=[keep])
    for step, seen in ((length + 3, whole.rows[1][: 3 * SIZE]), (2 * length, whole.rows[1])):
        dataset = dataset_of(path, resumable=True)
        tracked = dataset.track(loader_of(dataset, workers))
        model = fit(Model(), tracked, 4, checkpoint=tmp_path / f"step={step}.ckpt")
        assert sorted(seen + model.rows.get(1, [])) == list(range(CHIPS))
        assert model.rows[2] == whole.rows[2]
        assert sorted(model.rows[3]) == list(range(CHIPS))
        assert model.rows[3] not in whole.rows.values()


def test_an_epoch_set_as_lightning_begins_one_is_that_epoch(path, tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="last")
    dataset = dataset_of(path)
    options = {"enable_checkpointing": True, "callbacks": [keep]}
    fit(Model(dataset.set_epoch), loader_of(dataset, 0), 2, **options)
    dataset = dataset_of(path)
    checkpoint = tmp_path / "last.ckpt"
    model = fit(Model(dataset.set_epoch), loader_of(dataset, 0), 4, checkpoint=checkpoint)
    assert model.rows == epochs_of(path, 0, 2, 3)
