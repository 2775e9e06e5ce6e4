"""`StatefulDataLoader` of torchdata, which asks a dataset for its state."""

from __future__ import annotations

from itertools import islice

import pytest

from stacchip.stream import ChipStream
from stream.conftest import index_items

pytest.importorskip("torchdata", reason="torchdata is absent: make torch")

from torchdata.stateful_dataloader import StatefulDataLoader

from stacchip.datasets import ChipStreamDataset

CHIPS = 144

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # by torchdata
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def path(archive, tmp_path_factory) -> str:
    return index_items([archive[0].item], tmp_path_factory.mktemp("torchdata") / "index")


def loader_of(path: str, workers: int, **options) -> StatefulDataLoader:
    dataset = ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=16)
    return StatefulDataLoader(
        dataset, batch_size=None, num_workers=workers,
        multiprocessing_context="fork" if workers else None, **options,
    )  # fmt: skip


def rows_of(batches) -> list[int]:
    return [row for batch in batches for row in batch["row"].tolist()]


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_a_restored_loader_gives_what_was_not_delivered(path, workers, persistent):
    loader = loader_of(path, workers, persistent_workers=persistent)
    first = rows_of(loader)
    seen = rows_of(islice(loader, 3))
    again = loader_of(path, workers, persistent_workers=persistent)
    again.load_state_dict(loader.state_dict())
    rest = rows_of(again)
    assert sorted(seen + rest) == list(range(CHIPS))
    assert seen != first[: len(seen)]  # of the second epoch
    # a state of an epoch's end goes on with the next
    third = rows_of(again)
    last = loader_of(path, workers, persistent_workers=persistent)
    last.load_state_dict(again.state_dict())
    fourth = rows_of(last)
    assert sorted(third) == sorted(fourth) == list(range(CHIPS))
    plain = ChipStreamDataset(ChipStream(path, order="shuffle"), batch_size=16)
    # from a state of an epoch's end, torchdata lets workers begin that epoch again, now and then
    known = [(0, first), (2, third)] if workers else [(0, first), (2, third), (3, fourth)]
    for epoch, rows in known:
        plain.set_epoch(epoch)
        loader = StatefulDataLoader(
            plain, batch_size=None, num_workers=workers,
            multiprocessing_context="fork" if workers else None,
        )  # fmt: skip
        assert rows_of(loader) == rows
