from __future__ import annotations

import json
from functools import partial
from itertools import islice

import pytest

from stacchip.errors import UsageError
from stacchip.stream import ChipStream
from stream.conftest import index_items

from .conftest import end_workers

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader  # noqa: E402 - after the skip

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch

CHIPS = 144

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture(scope="module")
def path(archive, tmp_path_factory) -> str:
    return index_items([archive[0].item], tmp_path_factory.mktemp("resume") / "index")


def dataset_of(path: str) -> ChipStreamDataset:
    return ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=16, resumable=True)


def loader_of(
    dataset: ChipStreamDataset, workers: int = 0, start: str = "fork", **options
) -> DataLoader:
    context = start if workers else None
    return DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context, **options
    )


persistent_loader_of = partial(loader_of, workers=2, start="forkserver", persistent_workers=True)
LOADERS = {
    "no-worker": loader_of,
    "workers": partial(loader_of, workers=2),
    "persistent": persistent_loader_of,
}


def rows_of(batches) -> list[int]:
    return [row for batch in batches for row in batch["row"].tolist()]


def track_some(dataset: ChipStreamDataset, loader: DataLoader, count: int) -> list[int]:
    """Track some batches, leave the loop early, and return the rows that came."""
    return rows_of(islice(dataset.track(loader), count))


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_restored_dataset_gives_what_was_not_delivered(path, load):
    dataset = dataset_of(path)
    dataset.set_epoch(3)
    seen = track_some(dataset, load(dataset), 5)
    state = json.loads(json.dumps(dataset.state_dict()))
    restored = dataset_of(path)
    restored.load_state_dict(state)
    assert restored.state_dict() == state
    loader = load(restored)
    rest = rows_of(restored.track(loader))
    assert sorted(seen + rest) == list(range(CHIPS))
    # later passes are whole, and of later epochs
    assert restored.state_dict() == {"epoch": 4}
    assert sorted(rows_of(restored.track(loader))) == list(range(CHIPS))
    assert restored.state_dict() == {"epoch": 5}


@pytest.mark.parametrize("load", [loader_of, persistent_loader_of], ids=["no-worker", "persistent"])
def test_a_pass_after_one_that_was_left_early_is_the_next_epoch(path, load):
    dataset = dataset_of(path)
    loader = load(dataset)
    track_some(dataset, loader, 4)
    second = track_some(dataset, loader, 2)
    state = dataset.state_dict()
    assert state["epoch"] == 1
    restored = dataset_of(path)
    restored.load_state_dict(state)
    rest = rows_of(restored.track(load(restored)))
    assert sorted(second + rest) == list(range(CHIPS))
    # the same holds for a restored state
    again = dataset_of(path)
    again.load_state_dict(state)
    loader = load(again)
    assert track_some(again, loader, 2) == rest[:32]
    track_some(again, loader, 2)
    assert again.state_dict()["epoch"] == 2


@pytest.mark.parametrize("load", [loader_of, persistent_loader_of], ids=["no-worker", "persistent"])
def test_an_epoch_that_is_set_again_keeps_the_place_that_was_loaded_in_it(path, load):
    dataset = dataset_of(path)
    dataset.set_epoch(3)
    seen = track_some(dataset, load(dataset), 5)
    restored = dataset_of(path)
    restored.load_state_dict(dataset.state_dict())
    loader = load(restored)
    passes = []
    for epoch in (3, 4):  # as loops over epochs are written
        restored.set_epoch(epoch)
        passes.append(rows_of(restored.track(loader)))
    assert sorted(seen + passes[0]) == sorted(passes[1]) == list(range(CHIPS))
    restored.set_epoch(3)
    assert sorted(rows_of(restored.track(loader))) == list(range(CHIPS))
    other = dataset_of(path)
    other.load_state_dict(dataset.state_dict())
    other.set_epoch(4)
    assert sorted(rows_of(other)) == list(range(CHIPS))


@pytest.mark.parametrize("load", [loader_of, partial(loader_of, workers=2)], ids=["0", "2"])
def test_a_state_after_the_last_batch_goes_on_with_the_next_epoch(path, load):
    """As a trainer saves it, which counts batches and does not ask for one too many."""
    dataset = dataset_of(path)
    loader = load(dataset)
    batches = iter(dataset.track(loader))
    for _ in range(len(loader)):
        next(batches)
    state = dataset.state_dict()
    del batches
    restored = dataset_of(path)
    restored.load_state_dict(state)
    assert sorted(rows_of(restored.track(load(restored)))) == list(range(CHIPS))
    assert restored.state_dict() == {"epoch": 2}


def test_without_a_worker_a_dataset_needs_no_tracking(path):
    dataset = ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=16)
    seen = rows_of(islice(loader_of(dataset), 5))
    restored = ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=16)
    restored.load_state_dict(dataset.state_dict())
    assert sorted(seen + rows_of(loader_of(restored))) == list(range(CHIPS))
    assert restored.state_dict() == {"epoch": 1}


def test_a_place_that_only_workers_know_is_refused(path):
    dataset = dataset_of(path)
    loader = loader_of(dataset, workers=1)
    assert dataset.state_dict() == {"epoch": 0}
    next(iter(loader))
    with pytest.raises(UsageError, match="loop over dataset"):
        dataset.state_dict()
    list(dataset.track(loader))
    assert dataset.state_dict() == {"epoch": 2}
    dataset.set_epoch(7)
    assert dataset.state_dict() == {"epoch": 7}


def test_a_state_that_cannot_reach_the_workers_is_refused(path):
    dataset = dataset_of(path)
    loader = persistent_loader_of(dataset)
    seen = track_some(dataset, loader, 3)
    state = dataset.state_dict()
    dataset.load_state_dict(state)
    with pytest.raises(UsageError, match="another DataLoader"):
        next(iter(loader))
    rest = rows_of(dataset.track(persistent_loader_of(dataset)))
    assert sorted(seen + rest) == list(range(CHIPS))
    # an epoch without a state reaches the workers
    dataset.load_state_dict({"epoch": 1})
    assert sorted(rows_of(loader)) == list(range(CHIPS))
    end_workers(loader._iterator)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")
def test_another_number_of_workers_goes_on(path):
    dataset = dataset_of(path)
    seen = track_some(dataset, loader_of(dataset, 2), 5)
    state = json.loads(json.dumps(dataset.state_dict()))
    for workers in (0, 1, 3):
        restored = dataset_of(path)
        restored.load_state_dict(state)
        more = track_some(restored, loader_of(restored, workers), 2)
        last = dataset_of(path)
        last.load_state_dict(restored.state_dict())
        rest = rows_of(last.track(loader_of(last)))
        assert sorted(seen + more + rest) == list(range(CHIPS)), workers


def test_a_state_of_an_earlier_version_is_refused(path):
    old = {"epoch": 2, "workers": 1, "states": {"0": {"epoch": 2, "next": 8, "held": []}}}
    with pytest.raises(UsageError, match=r"earlier version.*set_epoch\(2\)"):
        dataset_of(path).load_state_dict(old)


def test_the_state_after_an_epoch_is_the_beginning_of_the_next(path):
    dataset = dataset_of(path)
    dataset.set_epoch(3)
    seen = rows_of(dataset.track(loader_of(dataset)))
    state = dataset.state_dict()
    assert state == {"epoch": 4}
    restored = dataset_of(path)
    restored.load_state_dict(state)
    rows = rows_of(restored.track(loader_of(restored)))
    assert sorted(rows) == list(range(CHIPS))
    assert rows != seen
    assert rows == ChipStream(path, order="shuffle", epoch=4).rows().tolist()
    assert restored.state_dict() == {"epoch": 5}


def test_an_epoch_set_in_a_tracked_loop_is_not_lost_at_its_end(path):
    dataset = dataset_of(path)
    for _ in dataset.track(loader_of(dataset)):
        dataset.set_epoch(7)
    assert dataset.state_dict() == {"epoch": 7}


def test_a_restored_stream_goes_on_in_a_dataset(path):
    stream = ChipStream(path, order="shuffle")
    batches = stream.batches(16)
    seen = [row for _ in range(3) for row in next(batches).rows.tolist()]
    # a stream that was begun but not restored starts from the beginning
    assert sorted(rows_of(ChipStreamDataset(stream, batch_size=16))) == list(range(CHIPS))
    restored = ChipStream(path, order="shuffle")
    restored.load_state_dict(stream.state_dict())
    dataset = ChipStreamDataset(restored, batch_size=16)
    assert sorted(seen + rows_of(dataset)) == list(range(CHIPS))
    dataset.set_epoch(1)
    assert sorted(rows_of(dataset)) == list(range(CHIPS))
