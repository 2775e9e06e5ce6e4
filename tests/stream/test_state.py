"""Shards, states, reports and batches by themselves."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import StorageError, UsageError
from stacchip.runtime.memory import MemoryPool
from stacchip.stream import ChipKind, Shard, StreamReport
from stacchip.stream.batch import Building, fit, require_fitting
from stacchip.stream.report import Cause
from stacchip.stream.state import StreamState

PARTS = st.integers(1, 9)


@given(st.integers(0, 200), PARTS, PARTS)
def test_shards_part_a_sequence_and_keep_its_order(count, ranks, workers):
    whole = np.arange(count)
    parts = [
        Shard(rank, ranks, worker, workers).take(whole).tolist()
        for rank in range(ranks)
        for worker in range(workers)
    ]
    assert list(chain(*parts)) == whole.tolist()


@given(st.integers(0, 200), PARTS, st.sampled_from(["pad", "drop"]))
def test_ranks_get_equal_shares_by_choice(count, ranks, uneven):
    whole = np.arange(count)
    parts = [Shard(rank, ranks, uneven=uneven).take(whole) for rank in range(ranks)]
    length = -(-count // ranks) if uneven == "pad" else count // ranks
    assert {len(part) for part in parts} == {length}
    given_out = np.unique(np.concatenate(parts))
    assert len(given_out) == (count if uneven == "pad" else length * ranks)


@pytest.mark.parametrize("values", [(1, 1), (-1, 2), (0, 0), (0, 1, 1, 1), (0, 1, -1, 2)])
def test_a_shard_that_does_not_exist_is_refused(values):
    with pytest.raises(UsageError, match="both count from 0"):
        Shard(*values)


def test_an_unknown_rule_for_the_rest_is_refused():
    with pytest.raises(UsageError, match="'exact', 'pad' or 'drop', not 'keep'"):
        Shard(uneven="keep")


def test_a_state_remembers_what_is_left():
    state = StreamState(3).at(6, [4, 1])
    assert state.remaining(9).tolist() == [1, 4, 6, 7, 8]
    saved = json.loads(json.dumps(state.to_dict({"seed": 1})))
    assert StreamState.from_dict(saved, {"seed": 1}) == state


@pytest.mark.parametrize("settings", [{"seed": 2}, {}, {"seed": 1, "order": "index"}])
def test_a_state_of_other_settings_is_refused(settings):
    saved = StreamState(0).to_dict({"seed": 1})
    with pytest.raises(UsageError, match=r"belongs to another stream: its (seed|order) is"):
        StreamState.from_dict(saved, settings)


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


@pytest.mark.parametrize("with_valid", [True, False])
def test_a_batch_is_full_when_it_has_its_chips(with_valid):
    building = Building(LARGE, 2, MemoryPool(1 << 20), with_valid=with_valid)
    for position in (5, 3):
        assert not building.is_full
        pixels, valid = building.slot()
        assert (pixels.shape, pixels.dtype) == ((2, 3, 3), "uint16")
        assert (valid is not None) == with_valid
        building.add(position, position, None)
    assert building.is_full
    assert len(building) == 2
    assert building.positions == [5, 3]
