"""Each pass over a dataset is the next epoch, whoever makes it."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from itertools import islice

import pytest

from stacchip.stream import ChipStream, Shard
from stream.conftest import index_items

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader, IterableDataset  # noqa: E402 - after the skip
from torch.utils.data._utils.worker import WorkerInfo  # noqa: E402 - after the skip

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch
from stacchip.datasets.epochs import Epochs, Pass  # noqa: E402 - needs torch

CHIPS, SIZE = 144, 16

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture(scope="module")
def path(archive, tmp_path_factory) -> str:
    return index_items([archive[0].item], tmp_path_factory.mktemp("epochs") / "index")


def dataset_of(path: str) -> ChipStreamDataset:
    return ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=SIZE)


def loader_of(dataset, workers: int, **options) -> DataLoader:
    if workers:
        options.setdefault("multiprocessing_context", "forkserver")
    return DataLoader(dataset, batch_size=None, num_workers=workers, **options)


def batches_of(loader) -> list[tuple[int, ...]]:
    return [tuple(batch["row"].tolist()) for batch in loader]


def epoch_of(path: str, epoch: int, workers: int) -> set[tuple[int, ...]]:
    """The batches of an epoch."""
    batches = []
    for worker in range(max(workers, 1)):
        shard = Shard(worker=worker, workers=max(workers, 1))
        stream = ChipStream(path, order="shuffle", epoch=epoch, shard=shard)
        batches += [tuple(batch.rows.tolist()) for batch in stream.batches(SIZE)]
    return set(batches)


@pytest.mark.parametrize(
    ("workers", "options"),
    [
        (0, {}),
        (2, {"persistent_workers": True}),
        (2, {"multiprocessing_context": "fork"}),
    ],
    ids=["0", "persistent", "fork"],
)
def test_each_pass_is_the_next_epoch(path, workers, options):
    dataset = dataset_of(path)
    loader = loader_of(dataset, workers, **options)
    assert set(batches_of(loader)) == epoch_of(path, 0, workers)
    # as a trainer leaves a loop early, which has a limit of batches for an epoch
    assert set(batches_of(islice(loader, 3))) < epoch_of(path, 1, workers)
    assert set(batches_of(loader)) == epoch_of(path, 2, workers)
    dataset.set_epoch(7)
    assert set(batches_of(loader)) == epoch_of(path, 7, workers)
    assert set(batches_of(loader)) == epoch_of(path, 8, workers)


def test_another_loader_goes_on_with_the_epochs(path):
    dataset = dataset_of(path)
    batches_of(loader_of(dataset, 2, persistent_workers=True))
    assert set(batches_of(loader_of(dataset, 0))) == epoch_of(path, 1, 0)
    assert set(batches_of(loader_of(dataset, 1))) == epoch_of(path, 2, 1)


def test_an_epoch_set_after_workers_began_is_that_of_the_next_pass(path):
    dataset = dataset_of(path)
    loader = loader_of(dataset, 2, persistent_workers=True)
    batches = iter(loader)
    dataset.set_epoch(5)
    assert set(batches_of(batches)) == epoch_of(path, 0, 2)
    assert set(batches_of(loader)) == epoch_of(path, 5, 2)
    assert set(batches_of(loader)) == epoch_of(path, 6, 2)
    # without a worker, a pass begins with its first batch
    batches = iter(loader_of(dataset, 0))
    dataset.set_epoch(9)
    assert set(batches_of(batches)) == epoch_of(path, 9, 0)


def test_two_passes_at_once_have_each_chip_once(path):
    dataset = dataset_of(path)
    loader = loader_of(dataset, 2, multiprocessing_context="fork")
    one, other = zip(*zip(loader, loader, strict=True), strict=True)
    for batches in (one, other):
        assert sorted(row for batch in batches_of(batches) for row in batch) == list(range(CHIPS))


class Twice(IterableDataset):
    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        yield from self.dataset
        yield from self.dataset


def test_passes_that_follow_each_other_in_a_worker_are_epochs_too(path):
    loader = loader_of(Twice(dataset_of(path)), 2, multiprocessing_context="fork")
    both = epoch_of(path, 0, 2) | epoch_of(path, 1, 2)
    assert set(batches_of(loader)) == both
    assert set(batches_of(loader)) == epoch_of(path, 2, 2) | epoch_of(path, 3, 2)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_a_copy_counts_for_itself(duplicate):
    epochs = Epochs(3)
    epochs.begin()
    other = duplicate(epochs)
    assert other.begin().epoch == 4
    assert other.begin().epoch == 5
    assert epochs.begin().epoch == 4
    other.set(9)
    assert epochs.begin().epoch == 5
    assert other.begin().epoch == 9


def test_a_forked_process_counts_for_itself():
    epochs = Epochs(3)
    epochs.begin()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def count() -> None:
        found = [epochs.begin().epoch for _ in range(2)]
        epochs.set(9)
        queue.put([*found, epochs.begin().epoch])

    process = context.Process(target=count)
    process.start()
    process.join()
    assert queue.get() == [4, 5, 9]
    assert epochs.begin().epoch == 4


def test_a_worker_that_begins_while_another_writes_takes_the_same_epoch(monkeypatch):
    info = WorkerInfo(id=1, num_workers=2, seed=0, dataset=None)
    monkeypatch.setattr(torch.utils.data._utils.worker, "_worker_info", info)
    epochs = Epochs(7)
    of_other = epochs._loader << 32 | 7
    latest = epochs._latest.numpy()  # shared with the process

    def write() -> None:
        while True:
            latest[0] = of_other - latest[0]

    other = multiprocessing.get_context("fork").Process(target=write, daemon=True)
    other.start()
    while latest[0] == 0:
        pass
    try:
        assert {epochs.find_next() for _ in range(5000)} == {Pass(7, is_first=True)}
    finally:
        other.kill()
        other.join()
