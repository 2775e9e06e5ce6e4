"""Items that differ in bands and chip size in one stream."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream
from stream.conftest import make_item


@pytest.fixture
def chipper(tmp_path) -> Chipper:
    """Two sensors: two bands with chips of 64 px, and three with chips of 96 px."""
    one = make_item(tmp_path / "a", "a", {"red": (10, 384), "swir": (20, 192)}).item
    two = make_item(
        tmp_path / "b", "b", {"red": (10, 384), "nir": (10, 384), "pan": (5, 768)}, dtype="uint16"
    ).item
    tables = [
        NoStatsChipIndexer(one, 64).create_index(),
        NoStatsChipIndexer(two, 96).create_index(),
    ]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    # the two by turns
    order = np.argsort(np.random.default_rng(0).random(table.num_rows))
    return Chipper(table.take(order), items=[one, two])


def test_a_batch_is_of_one_kind(chipper):
    batches = list(ChipStream(chipper, order="shuffle").batches(16))
    kinds = {(batch.bands, batch.array.shape[1:], batch.array.dtype.name) for batch in batches}
    assert kinds == {
        (("red", "swir"), (2, 64, 64), "uint32"),
        (("red", "nir", "pan"), (3, 96, 96), "uint16"),
    }
    rows = [int(row) for batch in batches for row in batch.rows]
    assert sorted(rows) == list(range(len(chipper.rows)))
    assert sum(len(batch) < 16 for batch in batches) <= 2
    for batch in batches:
        for row, chip in zip(batch.rows, batch, strict=True):
            np.testing.assert_array_equal(chip.array, chipper.cut_row(int(row)).array)


def test_the_rest_can_be_left_out(chipper):
    batches = list(ChipStream(chipper, order="shuffle").batches(16, drop_last=True))
    assert {len(batch) for batch in batches} == {16}


def test_chips_are_padded_by_choice(chipper):
    batches = list(ChipStream(chipper, order="index").batches(16, mixed="pad"))
    assert {batch.bands for batch in batches} == {("red", "swir", "nir", "pan")} or {
        batch.bands for batch in batches
    } == {("red", "nir", "pan", "swir")}
    assert {batch.array.shape[1:] for batch in batches} == {(4, 96, 96)}
    for batch in batches:
        for row, chip in zip(batch.rows, batch, strict=True):
            alone = chipper.cut_row(int(row))
            size = alone.chip_size
            for band, pixels, valid in zip(batch.bands, chip.array, chip.valid, strict=True):
                if band in alone.bands:
                    number = alone.bands.index(band)
                    np.testing.assert_array_equal(pixels[:size, :size], alone.array[number])
                    np.testing.assert_array_equal(valid[:size, :size], alone.valid[number])
                    beyond = valid.sum() - valid[:size, :size].sum()
                else:
                    beyond = valid.sum()
                assert beyond == 0


def test_a_state_between_batches_of_kinds_loses_no_chip(chipper):
    stream = ChipStream(chipper, order="shuffle", seed=2)
    whole = [batch.rows.tolist() for batch in stream.batches(8)]
    for stop in range(1, len(whole)):
        begun = ChipStream(chipper, order="shuffle", seed=2)
        batches = begun.batches(8)
        seen = [next(batches).rows.tolist() for _ in range(stop)]
        restored = ChipStream(chipper, order="shuffle", seed=2)
        restored.load_state_dict(json.loads(json.dumps(begun.state_dict())))
        assert seen + [batch.rows.tolist() for batch in restored.batches(8)] == whole


def test_bands_that_no_first_item_has_are_told(tmp_path):
    one = make_item(tmp_path / "a", "a", {"red": (10, 128)}).item
    two = make_item(tmp_path / "b", "b", {"nir": (10, 128)}).item
    tables = [NoStatsChipIndexer(item, 64).create_index() for item in (one, two)]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    stream = ChipStream(Chipper(table, items=[one, two]))
    assert len({batch.bands for batch in stream.batches(4)}) == 2
    with pytest.raises(UsageError, match="nir"):
        list(stream.batches(4, mixed="pad"))


@pytest.fixture
def widening(tmp_path) -> Chipper:
    """Two items of a platform, the second of a wider type."""
    one = make_item(tmp_path / "a", "a", {"red": (10, 128)}, dtype="uint8", predictor=1).item
    two = make_item(tmp_path / "b", "b", {"red": (10, 128)}, dtype="uint16").item
    tables = [NoStatsChipIndexer(item, 64).create_index() for item in (one, two)]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    return Chipper(table, items=[one, two])


def test_pixels_that_the_common_type_cannot_hold_are_refused(widening):
    with pytest.raises(UsageError, match=r"Item 'b' has pixels of uint16.*dtype='uint16'") as told:
        list(ChipStream(widening).batches(4, mixed="pad"))
    assert told.value.facts["item_id"] == "b"
    skipping = ChipStream(widening, errors="skip")
    assert sum(len(batch) for batch in skipping.batches(4, mixed="pad")) == 4
    assert skipping.report.skipped == 4


def test_a_type_that_holds_all_pads_right(widening):
    for batch in ChipStream(widening, dtype="uint16").batches(4, mixed="pad"):
        for row, pixels in zip(batch.rows.tolist(), batch.array, strict=True):
            np.testing.assert_array_equal(pixels, widening.cut_row(row).array)


def test_bands_that_no_first_item_has_are_told_with_their_item(tmp_path):
    one = make_item(tmp_path / "a", "a", {"red": (10, 128)}).item
    two = make_item(tmp_path / "b", "b", {"red": (10, 128), "nir": (10, 128)}).item
    tables = [NoStatsChipIndexer(item, 64).create_index() for item in (one, two)]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    with pytest.raises(UsageError, match=r"Item 'b'.*red, nir.*assets="):
        list(ChipStream(Chipper(table, items=[one, two])).batches(4, mixed="pad"))
