"""Epochs that draw their chips by weights and classes."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stacchip import Draw, Mix
from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.index import concat_indexes, read_index
from stacchip.selection.class_values import classes_of
from stacchip.stream import ChipStream, Shard

ORDERS = ["index", "blocks", "shuffle"]
DRAWS = [
    Draw(chips=300),
    Draw(weight="rank", chips=500),
    Draw(balance="land"),
    Draw(balance=["land", "half"], chips=900, replace="repeat"),
    Draw(weight=pc.field("rank") * 2, balance="half", power=0.5, chips=600, by="area"),
    Draw(chips=400, by="place", place_km=0.8),
]


def rows_of(stream: ChipStream) -> Counter:
    return Counter(stream.rows().tolist())


def values(table: pa.Table, rows: Counter, column: str) -> Counter:
    of_row = table[column].to_pylist()
    found: Counter = Counter()
    for row, times in rows.items():
        found[of_row[row]] += times
    return found


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: f"{draw.balance}-{draw.replace}-{draw.by}")
def test_a_draw_is_the_same_for_orders_processes_and_forms(path: str, table: pa.Table, draw: Draw):
    streams = [ChipStream(index, order=order, seed=3, draw=draw) for index, order in
               zip((path, table, Chipper(path)), ORDERS, strict=True)]  # fmt: skip
    drawn = rows_of(streams[0])
    assert all(rows_of(stream) == drawn for stream in streams)
    assert len(streams[0]) == drawn.total() > 0
    for ranks, workers in ((2, 1), (1, 3), (7, 2)):
        shards = Shard(0, ranks, 0, workers).others()
        parts = [
            ChipStream(path, order="shuffle", seed=3, draw=draw, shard=each) for each in shards
        ]
        delivered = [len(part) for part in parts]
        together = sum((rows_of(part) for part in parts), Counter())
        assert together == drawn
        assert delivered == [rows_of(part).total() for part in parts]


def test_pixels_come_as_often_as_drawn(path: str) -> None:
    draw = Draw(balance="land", chips=2500, replace="repeat")
    stream = ChipStream(path, order="shuffle", draw=draw, seed=1)
    chipper = Chipper(path)
    expected, seen = rows_of(stream), Counter()
    for batch in stream.batches(50):
        for row, array in zip(batch.rows.tolist(), batch.array, strict=True):
            if not seen[row]:
                np.testing.assert_array_equal(array, chipper.cut_row(row).array)
            seen[row] += 1
    assert seen == expected
    assert seen.total() == 2500
    assert max(seen.values()) > 2


def test_epochs_draw_anew_or_do_not(path: str) -> None:
    stream = ChipStream(path, draw=Draw(chips=200), seed=1)
    first = rows_of(stream)
    stream.set_epoch(1)
    second = rows_of(stream)
    assert second.total() == 200
    assert 0 < (first & second).total() < 60
    again = ChipStream(path, draw=Draw(chips=200), seed=1, epoch=1)
    assert rows_of(again) == second
    assert rows_of(ChipStream(path, draw=Draw(chips=200), seed=2)) != first
    same = [ChipStream(path, draw=Draw(chips=200, each_epoch=False), epoch=e) for e in (0, 5)]
    assert rows_of(same[0]) == rows_of(same[1])


def test_classes_are_balanced_to_the_chip(path: str, table: pa.Table) -> None:
    there = Counter(table["land"].to_pylist())
    assert there["c"] < there["b"] < there["a"]
    drawn = values(table, rows_of(ChipStream(path, draw=Draw(balance="land"))), "land")
    assert drawn.total() == 3 * there["c"], "as many as can be had without repeats"
    assert max(drawn.values()) - min(drawn.values()) < 2 * np.sqrt(there["c"])
    repeated = Draw(balance="land", chips=3000, replace="repeat")
    drawn = values(table, rows_of(ChipStream(path, draw=repeated)), "land")
    assert drawn.total() == 3000
    assert max(drawn.values()) - min(drawn.values()) < 60
    kept = values(table, rows_of(ChipStream(path, draw=Draw(balance="land", power=0))), "land")
    assert kept == there, "without power, all come"


def test_a_balance_of_two_columns_is_one_of_their_combinations(path: str, table: pa.Table):
    draw = Draw(balance=["half", "chip_index_y < 6"], chips=400)
    rows = rows_of(ChipStream(path, draw=draw, seed=4))
    y = table["chip_index_y"].to_pylist()
    half = table["half"].to_pylist()
    found = Counter((half[row], y[row] < 6) for row in rows)
    assert len(found) == 4
    assert all(75 < count < 125 for count in found.values())


def test_filters_choose_what_is_drawn_from(path: str, table: pa.Table) -> None:
    stream = ChipStream(path, draw=Draw(balance="land"), item_id=["a", "b"])
    assert set(values(table, rows_of(stream), "item_id")) == {"a", "b"}
    assert stream.chips_by_kind() == {("unknown", 32): len(stream)}


def test_the_luck_of_a_chip_depends_on_its_key_alone(path: str, table: pa.Table) -> None:
    """Another order of the rows changes nothing, and a further item replaces few chips."""
    draw = Draw(chips=300)

    def ids(index: pa.Table, rows: Counter) -> set[str]:
        return {index["chipid"][row].as_py() for row in rows}

    turned = table.take(np.random.default_rng(0).permutation(len(table)))
    one, other = (ids(t, rows_of(ChipStream(t, draw=draw))) for t in (table, turned))
    assert one == other
    less = table.filter(pc.field("item_id") != "c")
    few = ids(less, rows_of(ChipStream(less, draw=Draw(chips=200))))
    assert len(few & one) > 150


def test_chips_of_an_area_or_a_place_come_together(path: str, table: pa.Table) -> None:
    by_chip, by_area = (
        ChipStream(path, order="shuffle", draw=Draw(chips=432, by=by), seed=1)
        for by in ("chip", "area")
    )
    costs = [stream.explain().blocks for stream in (by_chip, by_area)]
    assert costs[1] < costs[0] / 2
    rows = rows_of(ChipStream(path, draw=Draw(chips=432, by="place", place_km=1.2)))
    places = Counter(
        (table["chip_index_x"][r].as_py(), table["chip_index_y"][r].as_py()) for r in rows
    )
    whole = [count for count in places.values() if count == 3]
    assert len(whole) >= len(places) - 16, "but for one cell of 1.2 km, all dates come together"


def test_a_report_says_what_was_asked_and_got(path: str, table: pa.Table) -> None:
    draw = Draw(balance=["land"], chips=1200)
    report = draw.report(ChipStream(path, draw=draw, order="shuffle"))
    there = Counter(table["land"].to_pylist())
    assert (report.chips, report.different, report.of) == (1200, 1200, len(table))
    assert [value.value for value in report.saturated] == ["c"]
    rare = {value.value: value for value in report.values}["c"]
    assert rare.is_saturated
    assert rare.chips == there["c"]
    assert rare.most == pytest.approx(there["c"] / 1200)
    assert rare.asked == pytest.approx(1 / 3)
    assert "can be had without repeats" in str(report)
    assert report.blocks_per_chip >= report.blocks_per_chip_of_all > 0
    again = Draw(balance=["land"], chips=1200, replace="repeat")
    report = ChipStream(path, draw=again, seed=3).report_draw()
    assert report.repeats == report.chips - report.different > 0
    assert report.different * 0.5 < report.effective < 1200
    assert not report.saturated
    assert f"{report.repeats:,} come again" in str(report)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chips": 0}, "whole number from 1 on"),
        ({"chips": 2.5}, "whole number from 1 on"),
        ({"chips": 10_000}, "1,728 can be drawn"),
        ({"weight": "0 * rank"}, "all weights are 0"),
        ({"weight": "rank - 3"}, "of a chip is -3"),
        ({"weight": "land"}, "is no number"),
        ({"weight": "0 * rank + 1e39"}, "of a chip is 1e"),
        ({"weight": "ranks"}, "no column 'ranks'; there are: rank"),
        ({"balance": "geometry"}, "classes are texts, numbers"),
        ({"balance": 3}, "balance is a column"),
        ({"power": 2}, "power is a number"),
        ({"replace": "yes"}, "replace is"),
        ({"by": "tile"}, "by is"),
        ({"by": "place", "place_km": 0}, "A cell is"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(path: str, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        len(ChipStream(path, draw=Draw(**options)))


def test_chips_without_a_class_are_refused(table: pa.Table) -> None:
    some = pa.array(["a", None] * (len(table) // 2))
    holed = table.append_column("crop", some)
    with pytest.raises(UsageError, match="Some chips have no value in 'crop'"):
        ChipStream(holed, draw=Draw(balance="crop"))
    with pytest.raises(UsageError, match="of a chip is null"):
        ChipStream(holed, draw=Draw(weight="1.0 if crop == 'a' else 0.5"))
    none = holed.filter(pc.field("crop").is_null())
    with pytest.raises(UsageError, match="No chip has a value in 'crop'"):
        ChipStream(none, draw=Draw(balance="crop"))
    stream = ChipStream(holed, draw=Draw(balance="crop"), where=pc.field("crop").is_valid())
    assert len(stream) == len(table) // 2


@pytest.mark.parametrize("kind", ["path", "table"])
def test_an_epoch_is_resumed_by_other_processes(path: str, table: pa.Table, kind: str) -> None:
    index = path if kind == "path" else table
    draw = Draw(balance="land", chips=1000, replace="repeat")
    stream = ChipStream(index, order="shuffle", draw=draw, seed=5, epoch=2)
    batches = stream.batches(16)
    seen = Counter(
        row for _, batch in zip(range(20), batches, strict=False) for row in batch.rows.tolist()
    )
    state = stream.state_dict()
    rest: Counter = Counter()
    for shard in Shard(0, 3).others():
        other = pickle.loads(
            pickle.dumps(ChipStream(index, order="shuffle", draw=draw, seed=5, shard=shard))
        )
        other.load_state_dict(state)
        assert other.epoch == 2
        rest.update(row for batch in other.batches(16) for row in batch.rows.tolist())
    assert seen + rest == rows_of(ChipStream(index, draw=draw, seed=5, epoch=2))
    another = ChipStream(index, order="shuffle", draw=Draw(chips=1000), seed=5)
    with pytest.raises(UsageError, match="belongs to another stream"):
        another.load_state_dict(state)


@pytest.mark.parametrize("draw", DRAWS[1:], ids=lambda d: f"{d.balance}-{d.replace}-{d.by}")
@pytest.mark.parametrize("order", ["index", "shuffle"])
def test_draws_of_a_large_index_are_those_of_a_table(large: Path, draw: Draw, order: str) -> None:
    rows = read_index(large)
    streams = [
        ChipStream(index, order=order, seed=2, draw=draw, memory_bytes=2 << 20, item_id=["a", "c"])
        for index in (large, rows)
    ]
    assert np.array_equal(streams[0].rows(), streams[1].rows())
    assert streams[0].state_dict() == streams[1].state_dict()
    assert streams[0].chips_by_kind() == streams[1].chips_by_kind()
    for stream in streams:
        stream.set_epoch(7)
    other = pickle.loads(pickle.dumps(streams[0]))
    assert np.array_equal(other.rows(), streams[1].rows())
    assert "_whole" not in vars(streams[0].chipper.rows), "the table was not read"


def test_an_index_that_grows_keeps_the_luck_of_its_chips(table: pa.Table) -> None:
    half = table.filter(pc.field("item_id") == "a")
    whole = concat_indexes([half, table.filter(pc.field("item_id") == "b")])
    draw = Draw(weight="rank", chips=100)
    few = rows_of(ChipStream(half, draw=draw))
    more = rows_of(ChipStream(whole, draw=Draw(weight="rank", chips=200)))
    ours = {half["chipid"][row].as_py() for row in few}
    theirs = {whole["chipid"][row].as_py() for row in more}
    assert len(ours & theirs) > 80


def test_equal_draws_have_one_digest() -> None:
    """Also if their texts are other objects, as in a process that got them as arguments."""
    one = Draw(weight="rank", balance=["rank", "land"])
    other = Draw(weight="".join(["ra", "nk"]), balance=("rank", "land"))
    assert one.digest == other.digest
    assert len({one.digest, Draw(weight="rank", balance="land").digest, Draw().digest}) == 3
    listed = [Draw(weight=pc.field("rank").isin(list(range(1000, last)))) for last in (2000, 2001)]
    assert listed[0].digest != listed[1].digest


def test_every_chip_can_come_in_draws_of_areas_and_places(table: pa.Table) -> None:
    """The unit at the end of a draw comes in part, which is another part each time."""
    for by in ("area", "place"):
        stream = ChipStream(table, draw=Draw(chips=20, by=by, place_km=1.2))
        seen = np.zeros(len(table), int)
        for epoch in range(1000):
            stream.set_epoch(epoch)
            seen += np.bincount(stream.rows(), minlength=len(table))
        assert seen.min() > 0
        assert seen.mean() == pytest.approx(20 * 1000 / len(table))


def test_weights_may_divide_whole_numbers(table: pa.Table) -> None:
    """As the usual weight does, one over the number of chips of a class."""
    land = table["land"].to_pylist()
    count = Counter(land)
    counted = table.append_column("count", pa.array([count[each] for each in land], pa.int16()))
    stream = ChipStream(counted, draw=Draw(weight="1 / count", chips=150))
    drawn = values(counted, rows_of(stream), "land")
    assert all(40 <= drawn[each] <= 60 for each in "abc")


def test_a_class_may_be_called_null(table: pa.Table) -> None:
    named = table.append_column("crop", pa.array(["null", "wheat"] * (len(table) // 2)))
    draw = Draw(balance="crop", chips=100)
    report = ChipStream(named, draw=draw).report_draw()
    assert {each.value for each in report.values} == {"null", "wheat"}


def test_too_many_combinations_are_refused(table: pa.Table) -> None:
    numbered = table.append_column("number", pa.array(np.arange(len(table))))
    with pytest.raises(UsageError, match="combinations, of 1,000,000 at most"):
        ChipStream(numbered, draw=Draw(balance=["number"] * 6))


@pytest.mark.parametrize("draw", ["land == 'a'", 3, [Draw()], Draw], ids=str)
def test_what_is_no_draw_is_refused(table: pa.Table, draw) -> None:
    with pytest.raises(UsageError, match="draw is a Draw or a Mix"):
        ChipStream(table, draw=draw)


@pytest.mark.parametrize("chips", [float("inf"), float("nan"), 10**30, "5", -1])
def test_numbers_of_chips_that_are_none_are_refused(chips) -> None:
    for make in (lambda: Draw(chips=chips), lambda: Mix({"naip": 1}, chips=chips)):
        with pytest.raises(UsageError, match="whole number from 1 on"):
            make()
    assert Mix({"naip": 1}, chips=np.float32(5)).chips == Draw(chips=5.0).chips == 5


def test_classes_of_many_real_numbers_do_not_depend_on_their_order() -> None:
    numbers = np.random.default_rng(0).gamma(2, size=500_000)
    turned = np.random.default_rng(1).permutation(numbers)
    one = classes_of(lambda: [pa.chunked_array([numbers])], "x")
    parts = [pa.chunked_array([part]) for part in np.array_split(turned, 37)]
    other = classes_of(lambda: parts, "x")
    assert one.edges.tolist() == other.edges.tolist()
    np.testing.assert_allclose(one.edges, np.quantile(numbers, [0.2, 0.4, 0.6, 0.8]), rtol=1e-14)
    often = np.where(np.arange(500_000) % 2, 0.0, numbers)
    assert classes_of(lambda: [pa.chunked_array([often])], "x").edges[0] == 0
