"""Drawn chips in loaders: a sampler for data sets by number, and streams in workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from torch.utils.data import DataLoader

from draws.conftest import drawn_items, large, path, table
from stacchip import ChipDataset, ChipStream, ChipStreamDataset, Draw, DrawSampler, Mix, Shard
from stacchip.errors import UsageError

__all__ = ["drawn_items", "large", "path", "table"]

DRAW = Draw(balance="land", chips=700, replace="repeat")


def rows_of(loader: DataLoader) -> Counter:
    return Counter(row for batch in loader for row in batch["row"].tolist())


def expected(index: str | Path, epoch: int, **options) -> Counter:
    return Counter(ChipStream(index, draw=DRAW, seed=3, epoch=epoch, **options).rows().tolist())


def test_a_sampler_draws_what_a_stream_draws(path: str) -> None:
    dataset = ChipDataset(path)
    sampler = DrawSampler(dataset, DRAW, seed=3)
    loader = DataLoader(dataset, batch_size=16, sampler=sampler)
    assert len(loader) == 44
    assert rows_of(loader) == expected(path, 0)
    assert rows_of(loader) == expected(path, 1), "each pass is the next epoch"
    sampler.set_epoch(7)
    assert rows_of(loader) == expected(path, 7)


def test_the_numbers_are_those_of_the_chosen_chips(path: str, table: pa.Table) -> None:
    dataset = ChipDataset(path, item_id="b")
    numbers = list(DrawSampler(dataset, DRAW, seed=3))
    assert max(numbers) < len(dataset) == 576
    rows = Counter(dataset.stream.rows_at(numbers).tolist())
    assert rows == expected(path, 0, item_id="b")
    everything = list(DrawSampler(dataset, seed=1))
    assert sorted(everything) == list(range(576))
    assert everything != sorted(everything)


def test_ranks_share_out_one_draw(path: str) -> None:
    dataset = ChipDataset(path)
    samplers = [DrawSampler(dataset, DRAW, seed=3, shard=Shard(rank, 3)) for rank in range(3)]
    lengths = [len(sampler) for sampler in samplers]
    numbers = [list(sampler) for sampler in samplers]
    assert lengths == [len(each) for each in numbers]
    drawn = Counter(dataset.stream.rows_at([n for each in numbers for n in each]).tolist())
    assert drawn == expected(path, 0)


@pytest.mark.parametrize("filters", [{}, {"item_id": ["a", "c"]}], ids=str)
def test_the_sampler_of_a_large_index(large: Path, filters: dict) -> None:
    dataset = ChipDataset(large, **filters)
    numbers = list(DrawSampler(dataset, DRAW, seed=3))
    assert Counter(dataset.stream.rows_at(numbers).tolist()) == expected(large, 0, **filters)


@pytest.mark.parametrize("index", ["path", "large"])
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_share_out_one_draw(request: pytest.FixtureRequest, index: str, workers: int):
    source = request.getfixturevalue(index)
    dataset = ChipStreamDataset(
        ChipStream(source, draw=DRAW, seed=3, order="shuffle"), batch_size=16
    )
    context = "forkserver" if workers else None
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    for epoch in range(2):
        batches = list(loader)
        assert len(batches) == len(loader)
        assert rows_of(batches) == expected(source, epoch)


def test_a_mix_is_resumed_in_workers(path: str) -> None:
    mix = Mix({"land == 'a'": 3, "land == 'b'": 1}, batches="stratified", chips=320)

    def make() -> ChipStreamDataset:
        stream = ChipStream(path, draw=mix, seed=3, order="shuffle")
        return ChipStreamDataset(stream, batch_size=16, resumable=True)

    def load(dataset: ChipStreamDataset, workers: int) -> DataLoader:
        return DataLoader(
            dataset, batch_size=None, num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
        )  # fmt: skip

    dataset, seen = make(), Counter()
    for number, batch in enumerate(dataset.track(load(dataset, 2))):
        seen.update(batch["row"].tolist())
        if number == 6:
            state = dataset.state_dict()
            break
    other = make()
    other.load_state_dict(state)
    rest = rows_of(load(other, 1))
    assert seen + rest == Counter(ChipStream(path, draw=mix, seed=3).rows().tolist())


def test_a_sampler_refuses_what_a_stream_refuses(path: str) -> None:
    with pytest.raises(UsageError, match="no column"):
        DrawSampler(ChipDataset(path), Draw(weight="nothing"))
