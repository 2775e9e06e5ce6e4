"""Loaders of a stream's dataset: who makes the batches, and how many there are."""

from __future__ import annotations

import weakref

import pyarrow as pa
import pytest

from servers.range_server import RangeServer
from stacchip.errors import UsageError
from stacchip.index import concat_indexes, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream, Shard
from stream.conftest import behind, index_items, make_item

from .conftest import end_workers

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.utils.data import DataLoader, IterableDataset, default_collate  # noqa: E402 - as above

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch


@pytest.fixture(scope="module")
def one_kind(archive, tmp_path_factory) -> str:
    """144 chips of 64 px."""
    return index_items([archive[0].item], tmp_path_factory.mktemp("one") / "index")


@pytest.fixture(scope="module")
def several_kinds(tmp_path_factory) -> pa.Table:
    """64 chips of 64 px, 25 of another platform and 9 of another size."""
    folder = tmp_path_factory.mktemp("several")
    items = []
    for name, side in (("one", 512), ("two", 320), ("three", 384)):
        item = make_item(folder / name, name, {"red": (10, side)}).item
        item.properties["platform"] = "naip" if name == "two" else "landsat-8"
        items.append(item)
    sizes = [64, 64, 128]
    paths = [
        index_items([item], folder / f"index-{item.id}", size)
        for item, size in zip(items, sizes, strict=True)
    ]
    return concat_indexes([read_index(path) for path in paths])


def pixels_of(sample):
    return sample["pixels"]


def pair_of(sample):
    return sample["pixels"], sample["row"]


@pytest.mark.parametrize("transform", [None, pixels_of, pair_of])
@pytest.mark.parametrize("options", [{}, {"batch_size": 8}])
def test_batches_of_batches_are_refused(one_kind, transform, options):
    dataset = ChipStreamDataset(ChipStream(one_kind), batch_size=16, transform=transform)
    with pytest.raises(UsageError, match="batch_size=None"):
        next(iter(DataLoader(dataset, **options)))


def test_a_worker_refuses_batches_of_batches(one_kind):
    dataset = ChipStreamDataset(ChipStream(one_kind), batch_size=16)
    loader = DataLoader(
        dataset, num_workers=1, persistent_workers=True, multiprocessing_context="forkserver"
    )
    batches = iter(loader)
    with pytest.raises(UsageError, match="batch_size=None"):
        next(batches)
    end_workers(batches)


def join(batches: list) -> torch.Tensor:
    return torch.cat([batch["pixels"] for batch in batches])


class Wrapping(IterableDataset):
    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        for batch in self.dataset:
            yield from batch["row"]

    def __len__(self):
        return len(self.dataset)


def test_whoever_takes_batches_apart_or_joins_them_may_batch_again(one_kind):
    dataset = ChipStreamDataset(ChipStream(one_kind), batch_size=16)
    joined = list(DataLoader(dataset, batch_size=2, collate_fn=join))
    assert [pixels.shape[0] for pixels in joined] == [32, 32, 32, 32, 16]
    rows = list(DataLoader(Wrapping(dataset), batch_size=10))
    assert len(torch.cat(rows)) == 144
    one_by_one = ChipStreamDataset(ChipStream(one_kind))
    batch = next(iter(DataLoader(one_by_one, batch_size=10, collate_fn=default_collate)))
    assert batch["pixels"].ndim == 4


# --- the length: PyTorch warns if more comes than a length said, and warnings are errors here


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 7, 16, 1000])
@pytest.mark.parametrize("rank", [0, 4])  # with 29 of the 144 chips, and with 28
def test_the_length_is_what_comes(one_kind, rank, batch_size, drop_last):
    for uneven in ("exact", "pad", "drop"):
        stream = ChipStream(one_kind, order="shuffle", shard=Shard(rank, 5, uneven=uneven))
        dataset = ChipStreamDataset(stream, batch_size=batch_size, drop_last=drop_last)
        rows = len(stream.rows())
        size = batch_size or 1
        assert len(dataset) == (rows // size if drop_last else -(-rows // size))
        assert len(DataLoader(dataset, batch_size=None)) == sum(1 for _ in dataset)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("own", "of_loader"), [(10, None), (None, 10), (None, None)])
def test_the_length_of_a_loader_counts_what_its_workers_give(one_kind, own, of_loader, drop_last):
    dataset = ChipStreamDataset(
        ChipStream(one_kind), batch_size=own, drop_last=drop_last and own is not None
    )
    loader = DataLoader(
        dataset, batch_size=of_loader, num_workers=2, multiprocessing_context="forkserver",
        drop_last=drop_last and of_loader is not None,
    )  # fmt: skip
    expected = 144 if own is of_loader is None else 14 if drop_last else 16
    assert len(loader) == expected
    if own:
        assert sum(1 for _ in loader) == expected
    assert len(dataset) == (144 if own is None else 14 if drop_last else 15)
    alone = DataLoader(dataset, batch_size=of_loader, drop_last=loader.drop_last)
    assert len(alone) == (144 if own is of_loader is None else 14 if drop_last else 15)


@pytest.mark.parametrize("ask", [len, iter, lambda each: len(DataLoader(each, batch_size=None))])
def test_a_dataset_that_looks_who_asks_keeps_nothing_of_the_caller(one_kind, ask):
    dataset = ChipStreamDataset(ChipStream(one_kind), batch_size=10)
    batch = torch.zeros(1)
    freed = weakref.ref(batch)
    ask(dataset)
    del batch
    assert freed() is None


def test_a_wrapping_dataset_passes_the_length_on(one_kind):
    dataset = ChipStreamDataset(ChipStream(one_kind), batch_size=10)
    assert len(DataLoader(Wrapping(dataset), batch_size=None, num_workers=2)) == 16
    assert len(Wrapping(dataset)) == 15


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("order", ["shuffle", "index"])
def test_the_length_holds_for_several_kinds(several_kinds, order, drop_last):
    stream = ChipStream(several_kinds, order=order)
    assert sorted(stream.chips_by_kind().values()) == [9, 25, 64]
    for mixed in ("group", "pad"):
        dataset = ChipStreamDataset(stream, batch_size=8, mixed=mixed, drop_last=drop_last)
        loader = DataLoader(dataset, batch_size=None)
        assert len(loader) == sum(1 for _ in loader)


def index_of(folder, *items) -> pa.Table:
    """Put items in one index; each is (id, platform, pixels a side, options of its files)."""
    made = []
    for name, platform, side, options in items:
        made.append(make_item(folder / name, name, {"red": (10, side)}, **options).item)
        made[-1].properties["platform"] = platform
    return read_index(index_items(made, folder / "index"))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 20])
def test_platforms_whose_chips_are_alike_share_batches_in_the_length(
    tmp_path, batch_size, drop_last
):
    rows = index_of(tmp_path, ("a", "landsat-8", 128, {}), ("b", "landsat-9", 192, {}))
    dataset = ChipStreamDataset(ChipStream(rows), batch_size=batch_size, drop_last=drop_last)
    assert len(dataset) == (13 // batch_size if drop_last else -(-13 // batch_size))
    loader = DataLoader(dataset, batch_size=None)
    assert len(loader) == sum(1 for _ in loader)


@pytest.mark.parametrize("dtype", [None, "float32"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_items_of_a_platform_that_differ_in_type_are_of_two_kinds(tmp_path, dtype, drop_last):
    narrow = {"dtype": "uint8"}
    rows = index_of(tmp_path, ("a", "naip", 128, {}), ("b", "naip", 192, narrow))
    dataset = ChipStreamDataset(ChipStream(rows, dtype=dtype), batch_size=5, drop_last=drop_last)
    kinds = [13] if dtype else [4, 9]
    assert len(dataset) == sum(n // 5 if drop_last else -(-n // 5) for n in kinds)
    loader = DataLoader(dataset, batch_size=None)
    assert len(loader) == sum(1 for _ in loader)


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_length_is_a_bound_for_items_that_nobody_looked_at(tmp_path, drop_last):
    """70 items of one chip: two of those that are looked at differ from the others."""
    options = [{"dtype": "uint8"} if n % 35 == 1 else {} for n in range(70)]
    rows = index_of(tmp_path, *((f"i{n}", "naip", 64, each) for n, each in enumerate(options)))
    stream = ChipStream(rows)
    assert not stream.count_kinds().is_exact
    dataset = ChipStreamDataset(stream, batch_size=8, drop_last=drop_last)
    loader = DataLoader(dataset, batch_size=None)
    assert 0 <= len(loader) - sum(1 for _ in loader) <= 1


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_length_sends_no_request(tmp_path, drop_last):
    """A process that has used a store cannot fork workers, so its length must not use one."""
    with RangeServer(tmp_path) as server:
        tables, items = [], []
        for name, platform in (("a", "landsat-8"), ("b", "landsat-9")):
            scene = make_item(tmp_path / name, name, {"red": (10, 128)})
            scene.item.properties["platform"] = platform
            items.append(behind(scene, server))
            tables.append(NoStatsChipIndexer(items[-1], 64).create_index())
        write_index(concat_indexes(tables), tmp_path / "index", items=items)  # without headers
        server.reset_counters()
        stream = ChipStream(tmp_path / "index")
        dataset = ChipStreamDataset(stream, batch_size=3, drop_last=drop_last)
        loader = DataLoader(dataset, batch_size=None)
        length = len(loader)
        assert server.requests == 0
        assert 0 <= length - sum(1 for _ in loader) <= 1


def test_an_item_that_cannot_be_opened_counts_as_one_of_its_platform(tmp_path):
    rows = index_of(tmp_path, ("a", "naip", 128, {}), ("b", "naip", 128, {}))
    rows = rows.set_column(
        rows.column_names.index("item_id"), "item_id", pa.array(["a"] * 4 + ["c"] * 4)
    )
    stream = ChipStream(rows, errors="skip")
    assert stream.count_kinds() == ((8,), True)
    assert len(ChipStreamDataset(stream, batch_size=3)) == 3


def test_workers_give_no_more_batches_of_several_kinds_than_the_length(several_kinds):
    stream = ChipStream(several_kinds, order="shuffle")
    dataset = ChipStreamDataset(stream, batch_size=8)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver",
        persistent_workers=True,
    )  # fmt: skip
    length = len(loader)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        assert 0 <= length - sum(1 for _ in loader) <= 4


def test_the_length_opens_no_file(tmp_path):
    scene = make_item(tmp_path, "gone", {"red": (10, 512)})
    path = index_items([scene.item], tmp_path / "index")
    scene.path("red").unlink()
    dataset = ChipStreamDataset(ChipStream(path, errors="skip"), batch_size=10)
    assert len(dataset) == 7
    assert list(dataset) == []  # chips that are skipped make it less


def test_a_state_belongs_into_a_dictionary(one_kind):
    dataset = ChipStreamDataset(
        ChipStream(one_kind), batch_size=8, transform=pixels_of, resumable=True
    )
    with pytest.raises(UsageError, match="must return a dictionary, not Tensor"):
        next(iter(dataset))
