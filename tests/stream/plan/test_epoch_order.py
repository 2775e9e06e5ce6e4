"""Orders, shards and the place in an epoch."""

from __future__ import annotations

import json
import pickle
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest

from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream, Shard, measure_mixing
from stream.conftest import index_items, make_item


@pytest.fixture(scope="module")
def local(archive, tmp_path_factory) -> str:
    """An index of the archive as files: 6 x 144 chips. Do not change it."""
    return index_items([scene.item for scene in archive], tmp_path_factory.mktemp("order") / "i")


def rows_of(stream: ChipStream, size: int = 8, **options) -> list[int]:
    return [int(row) for batch in stream.batches(size, **options) for row in batch.rows]


def test_index_order_is_the_index(local):
    assert rows_of(ChipStream(local, order="index")) == list(range(6 * 144))


def test_block_order_finishes_an_area_before_the_next(local):
    stream = ChipStream(local, order="blocks")
    areas = stream.table.area_of(np.array(list(stream.chip_numbers(8))))
    assert (np.diff(areas) >= 0).all()
    assert len(np.unique(areas)) == len(stream.table.group) == 6 * 9


def test_a_shuffle_depends_on_seed_and_epoch_alone(local):
    def first(**options) -> list[int]:
        return ChipStream(local, order="shuffle", **options).rows().tolist()

    assert first(seed=1) == first(seed=1)
    assert first(seed=1) != first(seed=2)
    assert first(seed=1, epoch=1) != first(seed=1)
    stream = ChipStream(local, order="shuffle", seed=1)
    stream.set_epoch(1)
    assert rows_of(stream) == first(seed=1, epoch=1)
    assert sorted(first(seed=1)) == list(range(6 * 144))


def test_a_shuffle_mixes_areas_and_items(local):
    stream = ChipStream(local, order="shuffle", open_areas=24)
    mixing = measure_mixing(stream, 64)
    assert mixing.areas >= 8
    assert mixing.items >= 4
    # a full shuffle puts one chip of 54 areas after another of its own
    assert mixing.neighbours < 0.12
    assert measure_mixing(ChipStream(local), 64).neighbours > 0.9


def test_more_open_areas_mix_better(local):
    mixed = [
        measure_mixing(ChipStream(local, order="shuffle", open_areas=count)).areas
        for count in (2, 8, 32)
    ]
    assert mixed == sorted(mixed)
    assert mixed[0] < 8 < mixed[-1]


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_seven_shards_give_each_of_a_thousand_chips_once(archive, order):
    items = [scene.item for scene in archive]
    tables = [NoStatsChipIndexer(item, 50).create_index() for item in items]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables]).slice(0, 1000)
    chipper = Chipper(table, items=items)
    streams = [ChipStream(chipper, order=order, shard=Shard(rank, 7)) for rank in range(7)]
    parts = [stream.rows().tolist() for stream in streams]
    assert sorted(chain(*parts)) == list(range(1000))
    assert [len(part) for part in parts] == [len(stream) for stream in streams]
    assert {len(part) for part in parts} == {142, 143}


def test_workers_share_what_their_rank_has(local):
    parts = [
        ChipStream(local, shard=Shard(rank, 2, worker, 3)).rows().tolist()
        for rank in range(2)
        for worker in range(3)
    ]
    assert sorted(chain(*parts)) == list(range(864))


@pytest.mark.parametrize(("uneven", "length"), [("pad", 124), ("drop", 123)])
def test_ranks_get_equal_lengths_where_asked(local, uneven, length):
    parts = [ChipStream(local, shard=Shard(rank, 7, uneven=uneven)).rows() for rank in range(7)]
    assert {len(part) for part in parts} == {length}
    distinct = len(np.unique(np.concatenate(parts)))
    assert distinct == (864 if uneven == "pad" else 7 * 123)


def test_shards_that_cannot_be_are_refused(local):
    with pytest.raises(UsageError, match="rank 2 of 2"):
        Shard(2, 2)
    with pytest.raises(UsageError, match="order"):
        ChipStream(local, order="random")
    with pytest.raises(UsageError, match="at least one"):
        ChipStream(local).batches(0)


@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_a_saved_state_goes_on_with_what_was_not_delivered(nested, server, order):
    whole = rows_of(ChipStream(nested, order=order, seed=5))
    stream = ChipStream(nested, order=order, seed=5)
    batches = stream.batches(8)
    seen = [int(row) for _ in range(50) for row in next(batches).rows]
    state = json.loads(json.dumps(stream.state_dict()))
    batches.close()
    server.reset_counters()
    restored = ChipStream(nested, order=order, seed=5)
    restored.load_state_dict(state)
    rest = rows_of(restored)
    assert seen + rest == whole
    # only the areas with chips left are read
    most = 0.9 if order == "blocks" else 1.0  # almost all areas of six small items are open
    assert server.bytes < most * ChipStream(nested, order=order, seed=5).explain().bytes
    assert rows_of(restored) == whole, "the next iteration is a whole epoch"


def test_a_state_at_the_end_leaves_nothing(local):
    stream = ChipStream(local)
    rows_of(stream)
    restored = ChipStream(local)
    restored.load_state_dict(stream.state_dict())
    assert rows_of(restored) == []


def test_a_state_belongs_to_its_stream(local):
    state = ChipStream(local, seed=1).state_dict()
    with pytest.raises(UsageError, match="seed is 1, and here it is 2"):
        ChipStream(local, seed=2).load_state_dict(state)


def test_a_state_belongs_to_a_selection_of_assets(local):
    state = ChipStream(local, assets=["red"]).state_dict()
    with pytest.raises(UsageError, match=r"areas|assets"):
        ChipStream(local).load_state_dict(state)
    # the same areas, and other bands
    state = ChipStream(local, assets=["red", "swir"]).state_dict()
    with pytest.raises(UsageError, match="assets"):
        ChipStream(local, assets=["swir", "red"]).load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"harmonize": "boa_offset"}, "harmonize"), ({"resampling": {"swir": "cubic"}}, "resampling")],
)
def test_a_state_belongs_to_pixels_made_in_one_way(local, options, name):
    state = json.loads(json.dumps(ChipStream(local, **options).state_dict()))
    ChipStream(local, **options).load_state_dict(state)
    with pytest.raises(UsageError, match=f"its {name} is"):
        ChipStream(local).load_state_dict(state)


def test_a_state_of_before_there_were_these_options_belongs_to_their_defaults(local):
    state = ChipStream(local).state_dict()
    assert not {"harmonize", "resampling"} & {*state["settings"]}
    ChipStream(local).load_state_dict(state)
    with pytest.raises(UsageError, match="its harmonize is None, and here it is 'boa_offset'"):
        ChipStream(local, harmonize="boa_offset").load_state_dict(state)


def test_a_state_belongs_to_a_way_to_group_chips(tmp_path):
    def stream(block: int) -> ChipStream:
        bands = {"red": (10, 256)}
        options = {"blockxsize": block, "blockysize": block}
        scene = make_item(tmp_path / str(block), "a", bands, **options)
        return ChipStream(NoStatsChipIndexer(scene.item, 64), order="shuffle")

    with pytest.raises(UsageError, match="areas"):
        stream(128).load_state_dict(stream(64).state_dict())


@pytest.mark.parametrize("name", ["seed", "epoch", "open_areas", "memory_bytes"])
def test_numbers_that_cannot_be_are_refused(local, name):
    for value in (-1, 0.5, "1"):
        with pytest.raises(UsageError, match=name):
            ChipStream(local, **{name: value})


def test_a_state_is_plain_whatever_the_numbers_were(local):
    stream = ChipStream(local, order="shuffle", seed=np.int64(3), epoch=np.int32(1))
    state = json.loads(json.dumps(stream.state_dict()))
    again = ChipStream(local, order="shuffle", seed=3)
    again.load_state_dict(state)
    assert rows_of(again) == rows_of(ChipStream(local, order="shuffle", seed=3, epoch=1))


def test_a_stream_can_be_pickled(local):
    stream = ChipStream(local, order="shuffle", seed=4)
    next(iter(stream))
    again = pickle.loads(pickle.dumps(stream))
    assert rows_of(again) == rows_of(stream)
