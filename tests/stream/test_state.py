"""Shards, states, reports and batches by themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.chipper.index_rows import ChipKey
from stacchip.errors import StorageError, UsageError
from stacchip.runtime.memory import MemoryPool
from stacchip.stream import ChipKind, Shard, StreamReport
from stacchip.stream.batch import Building, fit, require_fitting
from stacchip.stream.report import Cause
from stacchip.stream.state import Run, StreamState

PARTS = st.integers(1, 9)


@given(st.integers(0, 200), PARTS, PARTS)
def test_shards_part_a_sequence_and_keep_its_order(count, ranks, workers):
    whole = list(range(count))
    shards = Shard(0, ranks, 0, workers).others()
    assert list(chain(*(shard.take(whole) for shard in shards))) == whole
    assert max(shard.size(count) for shard in shards) <= -(-count // (ranks * workers)) + 1


@given(st.integers(0, 200), PARTS, PARTS, st.sampled_from(["pad", "drop"]))
def test_ranks_get_equal_shares_by_choice(count, ranks, workers, uneven):
    shards = Shard(0, ranks, 0, workers, uneven).others()
    sizes = [[each.size(count) for each in shards if each.rank == rank] for rank in range(ranks)]
    assert all(own == sizes[0] for own in sizes)
    assert sum(sizes[0]) == (-(-count // ranks) if uneven == "pad" else count // ranks)


@pytest.mark.parametrize("values", [(1, 1), (-1, 2), (0, 0), (0, 1, 1, 1), (0, 1, -1, 2)])
def test_a_shard_that_does_not_exist_is_refused(values):
    with pytest.raises(UsageError, match="both count from 0"):
        Shard(*values)


def test_an_unknown_rule_for_the_rest_is_refused():
    with pytest.raises(UsageError, match="'exact', 'pad' or 'drop', not 'keep'"):
        Shard(uneven="keep")


RUN = Run(4, 2, "exact", 8, "group", drop_last=False, steps=(0, 0))


def test_a_state_says_how_far_the_workers_came():
    state = StreamState(3).go_on(RUN).at([5, 4])
    saved = json.loads(json.dumps(state.to_dict({"seed": 1})))
    assert StreamState.from_dict(saved, lambda _: {"seed": 1}) == state
    assert state.go_on(RUN) is state, "the same processes go on"
    others = replace(RUN, ranks=1, workers=1, steps=(0,))
    assert state.go_on(others).runs == (*state.runs, others)
    assert not StreamState(3).go_on(RUN).to_dict({})["runs"], "nothing was delivered"


@pytest.mark.parametrize("settings", [{"seed": 2}, {}, {"seed": 1, "order": "index"}])
def test_a_state_of_other_settings_is_refused(settings):
    saved = StreamState(0).to_dict({"seed": 1})
    with pytest.raises(UsageError, match=r"belongs to another stream: its (seed|order) is"):
        StreamState.from_dict(saved, lambda _: settings)


def test_a_state_of_the_old_form_is_refused_with_what_to_do():
    old = {"epoch": 2, "next": 8, "held": [], "settings": {"seed": 1}}
    with pytest.raises(UsageError, match=r"earlier version .* set_epoch\(2\)"):
        StreamState.from_dict(old, lambda _: {"seed": 1})


def test_a_report_keeps_a_thousand_reasons_and_counts_all():
    report = StreamReport(delivered=2)
    for row in range(1200):
        error = StorageError(f"no answer {row}")
        report.skip(f"a-{row}-0", row, error, Cause.of(error, "a"))
    assert (report.skipped, len(report.reasons)) == (1200, 1000)
    assert report.reasons[-1].chipid == "a-999-0"
    assert str(report).endswith("1200 skipped, the first: no answer 0")
    assert "skipped" not in str(StreamReport())


SMALL = ChipKind(("red",), 2, np.dtype("uint8"))
LARGE = ChipKind(("nir", "red"), 3, np.dtype("uint16"))


def test_a_chip_fits_into_a_larger_kind_by_the_names_of_its_bands():
    out = np.full((2, 3, 3), 7, "uint16")
    fit(SMALL, LARGE, np.array([[[1, 2], [3, 4]]], "uint8"), out)
    assert out.tolist() == [[[0] * 3] * 3, [[1, 2, 0], [3, 4, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("own", "match"),
    [
        (ChipKind(("blue",), 2, np.dtype("uint8")), "with bands blue: they do not fit"),
        (ChipKind(("red",), 4, np.dtype("uint8")), "chips of 4 px"),
        (ChipKind(("red",), 2, np.dtype("int32")), "dtype='int32'"),
    ],
)
def test_a_chip_that_does_not_fit_is_refused_with_its_item(own, match):
    require_fitting(SMALL, LARGE, "a")
    with pytest.raises(UsageError, match=match) as raised:
        require_fitting(own, LARGE, "a")
    assert raised.value.facts["item_id"] == "a"


KEY = ChipKey("mine", "a", 3, 0, 0)


@pytest.mark.parametrize("with_valid", [True, False])
def test_a_batch_repeats_chips_where_it_must_be_full(with_valid):
    building = Building(LARGE, 4, MemoryPool(1 << 20), with_valid=with_valid)
    for row in (5, 3):
        pixels, valid = building.slot()
        assert (pixels.shape, pixels.dtype) == ((2, 3, 3), "uint16")
        assert (valid is not None) == with_valid
        pixels[...] = row
        building.add(KEY, row, None)
    alone = building.first()
    building.fill_up(4)
    batch = building.finish(None)
    assert batch.rows.tolist() == [5, 3, 5, 3]
    assert batch.array[:, 0, 0, 0].tolist() == [5, 3, 5, 3]
    assert alone.finish(None).array.ravel().tolist() == [5] * 18
