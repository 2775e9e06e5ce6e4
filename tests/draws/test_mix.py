"""Epochs of several sources in set proportions."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stacchip import ChipStream, Mix, Shard
from stacchip.errors import UsageError
from stacchip.index import Selection, read_index

LEFT = "half == 'left'"
PARTS = {"land == 'a'": 0.5, "land == 'b'": 0.25, "land == 'c'": 0.25}


def count(table: pa.Table, rows, column: str = "land") -> Counter:
    of_row = table[column].to_pylist()
    return Counter(of_row[row] for row in rows)


def there(table: pa.Table) -> Counter:
    return Counter(table["land"].to_pylist())


@pytest.mark.parametrize("batches", ["random", "stratified", "per_source"])
@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_proportions_are_kept_until_the_first_part_ends(path, table, batches, order) -> None:
    mix = Mix(PARTS, batches=batches)
    stream = ChipStream(path, order=order, draw=mix, seed=1)
    rows = stream.rows().tolist()
    rare = there(table)["c"]
    assert count(table, rows) == {"a": 2 * rare, "b": rare, "c": rare}
    assert max(Counter(rows).values()) == 1
    assert len(stream) == len(rows)


@pytest.mark.parametrize("batches", ["random", "stratified", "per_source"])
def test_small_parts_come_again_until_all_have_ended(path, table, batches) -> None:
    mix = Mix(PARTS, batches=batches, stop="all")
    rows = ChipStream(path, order="shuffle", draw=mix).rows().tolist()
    found, own = count(table, rows), there(table)
    assert found["a"] == pytest.approx(2 * found["b"], abs=2)
    assert found["b"] == pytest.approx(found["c"], abs=2)
    assert set(rows) == set(range(len(table))), "each has given all of its chips"
    assert found["a"] == own["a"] or found["b"] == own["b"]
    again = Counter(rows)
    of_c = [again[row] for row, land in enumerate(table["land"].to_pylist()) if land == "c"]
    assert max(of_c) - min(of_c) <= 1


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (3, 2)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_each_batch_has_the_proportions_of_the_mix(path, table, ranks, workers, drop_last) -> None:
    mix = Mix(PARTS, batches="stratified", chips=160)
    lands = table["land"].to_pylist()
    seen: Counter = Counter()
    for shard in Shard(0, ranks, 0, workers).others():
        stream = ChipStream(path, order="shuffle", draw=mix, seed=2, shard=shard)
        batches = list(stream.batches(8, drop_last=drop_last))
        assert len(batches) == stream.count_batches(8, drop_last=drop_last)
        for batch in batches:
            own = Counter(lands[row] for row in batch.rows.tolist())
            if len(batch) == 8:
                assert abs(own["a"] - 4) <= (ranks * workers > 1)
                assert all(abs(own[land] - 2) <= 1 for land in "bc")
            seen.update(batch.rows.tolist())
    assert max(seen.values()) == 1
    assert seen.total() == 160 or (drop_last and seen.total() < 160)


def test_batches_per_source_come_evenly(path, table) -> None:
    mix = Mix(PARTS, batches="per_source")
    stream = ChipStream(path, order="shuffle", draw=mix, seed=2)
    lands = table["land"].to_pylist()
    parts = []
    for batch in stream.batches(8):
        (land,) = {lands[row] for row in batch.rows.tolist()}
        parts.append(land)
    assert len(parts) == stream.count_batches(8)
    assert Counter(parts[:8]) == {"a": 4, "b": 2, "c": 2}


def test_each_chip_comes_once_and_the_proportions_hold_while_they_can(path, table) -> None:
    mix = Mix(PARTS, batches="stratified", stop="all_once")
    stream = ChipStream(path, order="shuffle", draw=mix)
    lands = table["land"].to_pylist()
    batches = [Counter(lands[row] for row in batch.rows.tolist()) for batch in stream.batches(8)]
    assert sum(batches, Counter()) == there(table)
    ends = there(table)["c"] // 2
    assert all(batch == {"a": 4, "b": 2, "c": 2} for batch in batches[:ends])
    assert "c" not in batches[ends + 1]
    per_source = Mix(PARTS, batches="per_source", stop="all_once")
    stream = ChipStream(path, order="shuffle", draw=per_source)
    parts = [lands[batch.rows[0]] for batch in stream.batches(8)]
    assert Counter(parts[: 4 * (there(table)["c"] // 8)])["a"] == 2 * (there(table)["c"] // 8)


def test_parts_are_platforms_conditions_and_selections(table: pa.Table) -> None:
    place = table.column_names.index("platform")
    names = pa.array(["naip" if item == "a" else "linz-2" for item in table["item_id"].to_pylist()])
    named = table.set_column(place, "platform", names)
    parts = [
        ("naip", 1),
        (pc.field("land") == "c", 1),
        (Selection(item_id="b"), 1),
        ("linz-2", 1),
    ]
    stream = ChipStream(named, draw=Mix(parts, chips=160))
    report = stream.report_draw()
    assert [value.chips for value in report.values] == [40] * 4
    assert [value.value for value in report.values][::3] == ["naip", "linz-2"]


def test_chips_of_no_part_are_left_out_and_told(path, table) -> None:
    stream = ChipStream(path, draw=Mix({LEFT: 1, "land == 'c'": 1}))
    rows = stream.rows().tolist()
    assert set(count(table, [r for r in rows if table["half"][r].as_py() == "right"])) == {"c"}
    left_out = stream.report_draw().values[-1]
    assert left_out.value == "no part"
    assert left_out.chips == 0
    assert left_out.there > 0.3


@pytest.mark.parametrize("batches", ["random", "stratified", "per_source"])
@pytest.mark.parametrize("stop", ["first", "all", "all_once"])
def test_a_mix_is_resumed_by_other_processes(path, table, batches, stop) -> None:
    if (batches, stop) == ("random", "all_once"):
        return
    mix = Mix(PARTS, batches=batches, stop=stop)
    options = {"order": "shuffle", "draw": mix, "seed": 4, "epoch": 3}
    stream = ChipStream(path, **options)
    batches_read = stream.batches(16)
    seen: Counter = Counter()
    for _, batch in zip(range(7), batches_read, strict=False):
        seen.update(batch.rows.tolist())
    state = stream.state_dict()
    alone = ChipStream(path, **options)
    alone.load_state_dict(state)
    expected = [batch.rows.tolist() for batch in batches_read]
    assert [batch.rows.tolist() for batch in alone.batches(16)] == expected
    rest: Counter = Counter()
    for shard in Shard(0, 3, 0, 2).others():
        other = ChipStream(path, shard=shard, **options)
        other.load_state_dict(state)
        rest.update(row for batch in other.batches(16) for row in batch.rows.tolist())
    assert seen + rest == Counter(ChipStream(path, **options).rows().tolist())
    for changed in (
        Mix({LEFT: 1, "land == 'c'": 1}),
        Mix(PARTS, batches="per_source", chips=99),
    ):
        with pytest.raises(UsageError, match="another stream"):
            ChipStream(path, **{**options, "draw": changed}).load_state_dict(state)


@pytest.mark.parametrize("batches", ["random", "stratified", "per_source"])
def test_a_mix_of_a_large_index_is_that_of_a_table(large: Path, batches: str) -> None:
    rows = read_index(large)
    mix = Mix({"land == 'b'": 2, "half == 'left' and rank < 3": 1}, batches=batches, chips=20_000)
    streams = [
        ChipStream(index, order="shuffle", seed=2, draw=mix, memory_bytes=2 << 20)
        for index in (large, rows)
    ]
    assert np.array_equal(streams[0].rows(), streams[1].rows())
    assert len(streams[0].rows()) == 20_000
    assert streams[0].state_dict() == streams[1].state_dict()
    for one, other in zip(*(stream.batches(64) for stream in streams), strict=False):
        assert one.keys == other.keys
        if one.step > 2:
            break


@pytest.mark.parametrize(
    ("parts", "options", "said"),
    [
        ({}, {}, "1 to 100 parts"),
        ({"naip": 0}, {}, "is above 0"),
        ({"naip": 1}, {}, "No chip is of the part 'naip'"),
        ({"rank": 1}, {}, "is no condition: its values are double"),
        (PARTS, {"batches": "odd"}, "batches is"),
        (PARTS, {"stop": "never"}, "stop is"),
        (PARTS, {"stop": "all_once"}, "leave chips= out"),
        (PARTS, {"chips": 1000}, r"288 can be had|\d+ can be had"),
        ({"split == 'train'": 1}, {}, "no column 'split'"),
        ([(Selection(split="train"), 1)], {}, "was not split"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_mixed_is_refused(path, parts, options, said) -> None:
    with pytest.raises(UsageError, match=said):
        len(ChipStream(path, draw=Mix(parts, **options)))


MANY = [("chip_index_x < 12", 0.5), *((f"chip_index_x == {12 + n}", 0.05) for n in range(10))]


@pytest.mark.parametrize("size", [5, 8, 16])
@pytest.mark.parametrize("parts", [MANY, [(each, 0.25) for each, _ in MANY[1:5]]], ids=len)
def test_no_batch_is_off_by_more_than_a_chip(table, parts, size) -> None:
    stream = ChipStream(table, draw=Mix(parts, batches="stratified", chips=240), order="shuffle")
    column = table["chip_index_x"].to_pylist()
    for batch in stream.batches(size, drop_last=True):
        x = np.array([column[row] for row in batch.rows.tolist()])
        half = [(x < 12).sum() - size * 0.5] if parts is MANY else []
        each = [(x == 12 + n).sum() - size * share for n, (_, share) in enumerate(parts[-10:])]
        assert np.abs([*half, *each]).max() < 2 - 1 / len(parts)


@pytest.mark.parametrize("uneven", ["exact", "pad", "drop"])
@pytest.mark.parametrize(("ranks", "workers"), [(8, 1), (3, 2), (1, 5)])
def test_processes_get_as_many_chips_as_they_count(table, uneven, ranks, workers) -> None:
    mix = Mix([(f"chip_index_x == {n}", 1) for n in range(20)], batches="stratified", chips=103)
    seen: Counter = Counter()
    for shard in Shard(0, ranks, 0, workers, uneven).others():
        stream = ChipStream(table, draw=mix, seed=1, order="shuffle", shard=shard)
        batches = list(stream.batches(4))
        assert len(stream) == sum(map(len, batches))
        assert stream.count_batches(4) == len(batches)
        seen.update(row for batch in batches for row in batch.rows.tolist())
    expected = {"exact": 103, "pad": -(-103 // ranks) * ranks, "drop": 103 // ranks * ranks}
    assert seen.total() == expected[uneven]
    assert len(seen) == min(103, expected[uneven])


@pytest.mark.parametrize("parts", [None, 3, "naip", [1, 2], [("naip",)], {"naip": 1e-320}], ids=str)
def test_parts_that_are_none_are_refused(parts) -> None:
    with pytest.raises(UsageError, match=r"parts of a mix are|proportion of 'naip'"):
        Mix(parts)


def test_parts_may_come_from_a_generator(table) -> None:
    mix = Mix(((part, share) for part, share in PARTS.items()), chips=40)
    assert len(ChipStream(table, draw=mix)) == 40


def test_many_parts_take_little_memory(table) -> None:
    mix = Mix([(f"chip_index_x * 24 + chip_index_y == {number}", 1) for number in range(96)])
    tracemalloc.start()
    stream = ChipStream(table, draw=mix)
    assert len(stream.fingerprint) == 16
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
