"""Lightning's `Trainer`, which begins passes by itself and calls `set_epoch` of samplers only."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType

import pytest

from stacchip.stream import ChipStream
from stream.conftest import index_items

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader  # noqa: E402 - after the skip

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch

CHIPS, SIZE = 144, 18

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),  # advice, and about its libraries
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


WORKERS = [0, pytest.param(2, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def path(archive, tmp_path_factory) -> str:
    return index_items([archive[0].item], tmp_path_factory.mktemp("lightning") / "index")


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """The module of the training, which only the process that runs these tests imports."""
    pytest.importorskip("lightning", reason="Lightning is absent: make torch")
    return import_module("datasets.lightning_training")


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def dataset_of(path: str, **options) -> ChipStreamDataset:
    stream = ChipStream(path, assets=["red", "swir"], order="shuffle", dtype="float32")
    return ChipStreamDataset(stream, batch_size=SIZE, **options)


def loader_of(dataset: ChipStreamDataset, workers: int) -> DataLoader:
    context = "fork" if workers else None
    return DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )


def epochs_of(path: str, workers: int, *epochs: int) -> dict[int, list[int]]:
    dataset = dataset_of(path)
    rows = {}
    for epoch in epochs:
        dataset.set_epoch(epoch)
        rows[epoch] = [
            row for batch in loader_of(dataset, workers) for row in batch["row"].tolist()
        ]
    return rows


@pytest.mark.parametrize("workers", WORKERS)
def test_epochs_advance_by_themselves_and_validation_comes_in_their_middle(training, path, workers):
    train = loader_of(dataset_of(path), workers)
    validation = loader_of(dataset_of(path), 0)
    model = training.fit(
        training.Model(), train, 3, validation, val_check_interval=0.5, limit_val_batches=1
    )
    assert model.rows == epochs_of(path, workers, 0, 1, 2)
    length = len(train)
    assert [step % length for step in model.validated] == [
        length // 2,
        length // 2 * 2 % length,
    ] * 3


@pytest.mark.parametrize("workers", WORKERS)
def test_a_tracked_loader_goes_on_from_a_checkpoint(training, path, workers, tmp_path):
    """From an epoch's middle, and from its end: Lightning does not ask for one batch too many."""
    dataset = dataset_of(path, resumable=True)
    tracked = dataset.track(loader_of(dataset, workers))
    length = len(tracked)
    keep = training.ModelCheckpoint(
        tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1
    )
    whole = training.fit(training.Model(), tracked, 3, enable_checkpointing=True, callbacks=[keep])
    for step, seen in ((length + 3, whole.rows[1][: 3 * SIZE]), (2 * length, whole.rows[1])):
        dataset = dataset_of(path, resumable=True)
        tracked = dataset.track(loader_of(dataset, workers))
        model = training.fit(
            training.Model(), tracked, 4, checkpoint=tmp_path / f"step={step}.ckpt"
        )
        assert sorted(seen + model.rows.get(1, [])) == list(range(CHIPS))
        assert model.rows[2] == whole.rows[2]
        assert sorted(model.rows[3]) == list(range(CHIPS))
        assert model.rows[3] not in whole.rows.values()


def test_an_epoch_set_as_lightning_begins_one_is_that_epoch(training, path, tmp_path):
    keep = training.ModelCheckpoint(tmp_path, filename="last")
    dataset = dataset_of(path)
    options = {"enable_checkpointing": True, "callbacks": [keep]}
    training.fit(training.Model(dataset.set_epoch), loader_of(dataset, 0), 2, **options)
    dataset = dataset_of(path)
    checkpoint = tmp_path / "last.ckpt"
    model = training.fit(
        training.Model(dataset.set_epoch), loader_of(dataset, 0), 4, checkpoint=checkpoint
    )
    assert model.rows == epochs_of(path, 0, 2, 3)
