"""An epoch that some processes began goes on with any number of others; pixels are compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest

from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.index import concat_indexes, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipBatch, ChipStream, Shard
from stream.conftest import behind, make_item

SIZE = 8


@pytest.fixture(scope="module")
def chipper(tmp_path_factory) -> Chipper:
    """Three items of two kinds: 144 and 81 chips of two bands, and 25 larger ones of one."""
    folder = tmp_path_factory.mktemp("elastic")
    scenes = [
        make_item(folder / "a", "a", {"red": (10, 768), "swir": (20, 384)}),
        make_item(folder / "b", "b", {"red": (10, 576), "swir": (20, 288)}),
        make_item(folder / "c", "c", {"pan": (5, 480)}),
    ]
    sizes = (64, 64, 96)
    tables = [
        NoStatsChipIndexer(scene.item, size).create_index().replace_schema_metadata()
        for scene, size in zip(scenes, sizes, strict=True)
    ]
    return Chipper(pa.concat_tables(tables), items=[scene.item for scene in scenes])


@pytest.fixture(scope="module")
def pixels(chipper) -> dict[int, np.ndarray]:
    return {row: chipper.cut_row(row).array for row in range(len(chipper))}


def streams_of(chipper: Chipper, shard: Shard, **options) -> list[ChipStream]:
    options = {"order": "shuffle", "seed": 3, **options}
    return [ChipStream(chipper, shard=each, **options) for each in shard.others()]


def rows(batches: Iterator[ChipBatch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


def begin(
    chipper: Chipper, shard: Shard, steps: int, pixels: dict[int, np.ndarray], **options
) -> tuple[list[int], dict]:
    """Return the rows that each process delivers in so many steps, and the state of rank 0."""
    delivered: list[int] = []
    state: dict = {}
    for stream in streams_of(chipper, shard, **options):
        batches = stream.batches(SIZE)
        for _, batch in zip(range(steps), batches, strict=False):
            for row, array in zip(batch.rows.tolist(), batch.array, strict=True):
                np.testing.assert_array_equal(array, pixels[row])
            delivered += batch.rows.tolist()
        batches.close()
        state = state or json.loads(json.dumps(stream.state_dict()))
    return delivered, state


@pytest.mark.parametrize(
    ("order", "ranks", "workers"),
    [
        ("shuffle", 1, 1), ("shuffle", 2, 1), ("shuffle", 3, 2), ("shuffle", 8, 1),
        ("shuffle", 1, 5), ("blocks", 3, 1), ("index", 2, 2),
    ],
)  # fmt: skip
def test_eight_processes_are_followed_by_any_number(chipper, pixels, order, ranks, workers):
    delivered, state = begin(chipper, Shard(0, 4, 0, 2), 2, pixels, order=order)
    assert len(json.dumps(state)) < 4096
    for stream in streams_of(chipper, Shard(0, ranks, 0, workers), order=order):
        stream.load_state_dict(state)
        for batch in stream.batches(SIZE):
            for row, array in zip(batch.rows.tolist(), batch.array, strict=True):
                np.testing.assert_array_equal(array, pixels[row])
            delivered += batch.rows.tolist()
    assert sorted(delivered) == list(range(len(chipper)))


def test_processes_change_again_and_again(chipper, pixels):
    delivered, state = [], None
    for ranks, workers, steps in [(4, 2, 1), (3, 1, 2), (1, 2, 3), (2, 2, 1), (1, 1, 99)]:
        following = None
        for stream in streams_of(chipper, Shard(0, ranks, 0, workers)):
            if state is not None:
                stream.load_state_dict(state)
            batches = stream.batches(SIZE)
            delivered += [
                int(row)
                for _, batch in zip(range(steps), batches, strict=False)
                for row in batch.rows
            ]
            batches.close()
            following = following or json.loads(json.dumps(stream.state_dict()))
        state = following
        assert len(json.dumps(state)) < 4096
    assert sorted(delivered) == list(range(len(chipper)))


def test_the_same_processes_go_on_with_their_own_batches(chipper, pixels):
    shard = Shard(0, 2, 0, 2)
    _, state = begin(chipper, shard, 2, pixels)
    for stream in streams_of(chipper, shard):
        whole = [batch.rows.tolist() for batch in stream.batches(SIZE)]
        stream.load_state_dict(state)
        assert [batch.rows.tolist() for batch in stream.batches(SIZE)] == whole[2:]


def test_a_state_tells_how_far_each_worker_came(chipper):
    shard = Shard(0, 2, 0, 2)
    streams = streams_of(chipper, shard)
    steps = [3, 2]
    delivered = []
    for stream in streams:
        batches = stream.batches(SIZE)
        delivered += [
            int(row)
            for _, batch in zip(range(steps[stream.shard.worker]), batches, strict=False)
            for row in batch.rows
        ]
        batches.close()
    own = ChipStream(chipper, order="shuffle", seed=3, shard=shard)
    state = own.state_after(dict(enumerate(steps)), SIZE)
    rest = ChipStream(chipper, order="shuffle", seed=3)
    rest.load_state_dict(state)
    assert sorted(delivered + rows(rest.batches(SIZE))) == list(range(len(chipper)))


@pytest.mark.parametrize("uneven", ["exact", "pad", "drop"])
@pytest.mark.parametrize(("ranks", "workers"), [(2, 1), (3, 1), (3, 2), (7, 3)])
def test_ranks_deliver_what_their_shares_promise(chipper, uneven, ranks, workers):
    counts: list[Counter[int]] = [Counter() for _ in range(ranks)]
    forms: list[list[tuple]] = [[] for _ in range(ranks)]
    for stream in streams_of(chipper, Shard(0, ranks, 0, workers, uneven)):
        batches = list(stream.batches(SIZE))
        assert len(batches) == stream.count_batches(SIZE)
        assert sum(map(len, batches)) == len(stream)
        counts[stream.shard.rank].update(rows(iter(batches)))
        forms[stream.shard.rank] += [(batch.bands, len(batch)) for batch in batches]
    total = sum(counts, Counter())
    if uneven == "exact":
        assert total == Counter(range(len(chipper)))
    else:
        assert all(form == forms[0] for form in forms), "the same kinds at the same time"
    if uneven == "pad":
        assert total.keys() == set(range(len(chipper)))
        assert total.total() == ranks * sum(-(-count // ranks) for count in (225, 25))
    if uneven == "drop":
        assert set(total.values()) == {1}
        assert total.total() == ranks * sum(count // ranks for count in (225, 25))


@pytest.mark.parametrize("uneven", ["pad", "drop"])
def test_ranks_deliver_as_many_batches_when_chips_are_skipped(tmp_path, uneven):
    scenes = [make_item(tmp_path / name, name, {"red": (10, 512)}) for name in ("a", "b")]
    data = bytearray((scenes[1].folder / "red.tif").read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (scenes[1].folder / "red.tif").write_bytes(data)
    tables = [NoStatsChipIndexer(scene.item, 64).create_index() for scene in scenes]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    broken = Chipper(table, items=[scene.item for scene in scenes])
    shapes, skipped, delivered = [], 0, set()
    for stream in streams_of(broken, Shard(0, 3, uneven=uneven), errors="skip"):
        batches = list(stream.batches(SIZE))
        shapes.append([len(batch) for batch in batches])
        skipped += stream.report.skipped
        delivered |= set(rows(iter(batches)))
    assert skipped > 10
    assert shapes[0] == shapes[1] == shapes[2]
    assert len(delivered) >= 128 - skipped - 2


@pytest.fixture
def unknown(tmp_path) -> Iterator[str]:
    """An index of two items of one platform whose types nothing tells before they are read."""
    scenes = [
        make_item(tmp_path / "a", "a", {"red": (10, 256)}, dtype="uint8", predictor=1),
        make_item(tmp_path / "b", "b", {"red": (10, 256)}, dtype="uint16"),
    ]
    with RangeServer(tmp_path) as server:
        items = [behind(scene, server) for scene in scenes]
        tables = [NoStatsChipIndexer(item, 64).create_index() for item in items]
        write_index(concat_indexes(tables), tmp_path / "index", items=items)
        yield str(tmp_path / "index")


def test_no_part_of_a_batch_that_comes_as_several_is_lost(unknown):
    whole = len(list(ChipStream(unknown, order="shuffle").batches(SIZE)))
    assert whole > 4, "batches come as several"
    for stop in range(1, whole):
        stream = ChipStream(unknown, order="shuffle")
        batches = stream.batches(SIZE)
        seen = [next(batches).rows.tolist() for _ in range(stop)]
        batches.close()
        again = ChipStream(unknown, order="shuffle")
        again.load_state_dict(stream.state_dict())
        rest = rows(again.batches(SIZE))
        assert {*chain(*seen), *rest} == set(range(32))


@pytest.mark.parametrize("errors", ["raise", "skip"])
def test_ranks_that_could_not_step_together_are_told(unknown, errors):
    (stream, _) = streams_of(unknown, Shard(0, 2, uneven="pad"), errors=errors)
    with pytest.raises(UsageError, match="different numbers of batches"):
        list(stream.batches(SIZE))


@pytest.mark.parametrize("order", ["index", "blocks"])
def test_ranks_have_the_same_kinds_at_the_same_time_in_any_order(chipper, order):
    kinds = [
        [batch.bands for batch in stream.batches(SIZE)]
        for stream in streams_of(chipper, Shard(0, 2, uneven="pad"), order=order)
    ]
    assert kinds[0] == kinds[1]


def test_an_epoch_is_over_when_nothing_is_left_to_any_process(chipper):
    stream = ChipStream(chipper, order="shuffle", seed=3, shard=Shard(0, 2, uneven="pad"))
    batches = list(stream.batches(SIZE))
    for steps, is_over in ((len(batches) - 1, False), (len(batches), True)):
        again = ChipStream(chipper, order="shuffle", seed=3)
        again.load_state_dict(stream.state_after({0: steps}, SIZE))
        assert again.is_over == is_over


def test_a_batch_without_any_readable_chip_is_told(tmp_path):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 256)})
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64).create_index(), items=[scene.item])
    (scene.folder / "red.tif").write_bytes(b"no TIFF")
    (stream,) = streams_of(chipper, Shard(0, 1, uneven="pad"), errors="skip")
    with pytest.raises(Exception, match="different numbers of batches"):
        list(stream.batches(4))


def test_a_state_of_batches_of_another_mix_is_refused(chipper):
    stream = ChipStream(chipper, order="shuffle")
    batches = stream.batches(SIZE, mixed="pad")
    next(batches)
    batches.close()
    again = ChipStream(chipper, order="shuffle")
    again.load_state_dict(stream.state_dict())
    with pytest.raises(UsageError, match="mixed='pad'"):
        next(again.batches(SIZE))
