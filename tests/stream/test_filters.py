"""A stream of some chips of an index: the filters of `read_index`."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stacchip.chipper import Chipper
from stacchip.errors import ChipOutOfRange, UsageError
from stacchip.index import Selection, read_index, scan_numbered, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream
from stream.conftest import make_item

SIDE = 12
LEFT = pc.field("chip_index_x") < 3


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two items of 144 chips; cloud is x tenths, and not measured in the last row."""
    folder = tmp_path_factory.mktemp("filters")
    items = [make_item(folder / name, name, {"red": (10, SIDE * 64)}).item for name in ("a", "b")]
    table = pa.concat_tables(
        [NoStatsChipIndexer(item, 64).create_index().replace_schema_metadata() for item in items]
    )
    x, y = (table[f"chip_index_{axis}"].to_numpy() for axis in "xy")
    cloud = pa.array(x / 10, pa.float32(), mask=y == SIDE - 1)
    place = table.column_names.index("cloud_cover_percentage")
    write_index(
        table.set_column(place, "cloud_cover_percentage", cloud),
        folder / "index",
        items=items,
    )
    return str(folder / "index")


FILTERS = [
    {"max_cloud": 0.25},
    {"max_cloud": 0.25, "unmeasured": "keep"},
    {"item_id": "b", "where": LEFT},
    {"platform": ["unknown"], "chip_size": 64, "where": LEFT},
    {"datetime": "2024-05", "chip_size": [64, 32]},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_a_stream_has_the_chips_that_are_read(path: str, filters: dict, order: str) -> None:
    rows = np.concatenate([numbers for numbers, _ in scan_numbered(path, **filters)])
    chipids = read_index(path, **filters)["chipid"].to_pylist()
    stream = ChipStream(path, order=order, **filters)
    assert len(stream) == len(rows) > 0
    assert np.sort(stream.rows()).tolist() == rows.tolist(), "rows are those of the whole index"
    assert len(stream.chipper) == 2 * SIDE**2
    chips = [key.chipid for batch in stream.batches(50) for key in batch.keys]
    assert sorted(chips) == sorted(chipids)
    if order == "index":
        assert chips == chipids


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_choose_alike_from_a_path_a_table_and_a_chipper(path: str, filters: dict) -> None:
    table = read_index(path)
    streams = [
        ChipStream(index, order="shuffle", seed=3, **filters)
        for index in (path, table, Chipper(path), Chipper(table))
    ]
    orders = [stream.rows().tolist() for stream in streams]
    assert orders.count(orders[0]) == 4
    states = [stream.state_dict() for stream in streams]
    assert states.count(states[0]) == 4


def test_places_are_found_by_footprints(path: str) -> None:
    west, south, east, north = (
        (min if side.endswith("min") else max)(
            pc.struct_field(read_index(path)["bbox"], side).to_pylist()
        )
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    bbox = (west, south, (west + east) / 2, (south + north) / 2)
    expected = read_index(path, bbox=bbox)["chipid"].to_pylist()
    assert 0 < len(expected) < 2 * SIDE**2
    table = read_index(path)
    for index in (path, table, table.drop_columns(["geometry"])):
        stream = ChipStream(index, order="index", bbox=bbox)
        assert read_index(path)["chipid"].take(stream.rows()).to_pylist() == expected


def test_chips_without_a_share_are_said_to_be_left_out(path: str, caplog) -> None:
    for index in (path, read_index(path)):
        caplog.clear()
        ChipStream(index, max_cloud=0.25)
        assert "cloud was not measured: 24" in caplog.text


def test_a_selection_may_leave_nothing(path: str, caplog) -> None:
    for index in (path, read_index(path)):
        caplog.clear()
        stream = ChipStream(index, max_cloud=0.25, where=pc.field("chip_index_x") == 9)
        assert (len(stream), list(stream), stream.rows().tolist()) == (0, [], [])
        assert "The filters leave no chip of the 288." in caplog.text


def test_a_misspelt_item_is_named(path: str, caplog) -> None:
    ChipStream(path, item_id=["a", "c"])
    assert "has no item 'c'; it has: a, b" in caplog.text


def test_a_state_belongs_to_its_selection(path: str) -> None:
    state = ChipStream(path, max_cloud=0.25).state_dict()
    ChipStream(path, max_cloud=0.25).load_state_dict(state)
    with pytest.raises(UsageError, match="chips"):
        ChipStream(path, max_cloud=0.35).load_state_dict(state)


def test_a_copy_has_the_same_chips(path: str) -> None:
    stream = ChipStream(path, order="shuffle", max_cloud=0.25)
    again = pickle.loads(pickle.dumps(stream))
    assert again.rows().tolist() == stream.rows().tolist()


def test_a_whole_grid_is_filtered_by_what_its_item_tells(path: str) -> None:
    item = make_item(Path(path).parent / "c", "c", {"red": (10, 256)}).item
    indexer = NoStatsChipIndexer(item, 64)
    assert len(ChipStream(indexer, where=LEFT)) == 12
    assert len(ChipStream(indexer, datetime="2024-05")) == 16
    assert len(ChipStream(indexer, datetime="2025")) == 0
    bbox = indexer.create_index()["bbox"][0].as_py()
    west, north = bbox["xmin"], bbox["ymax"]
    assert len(ChipStream(indexer, bbox=(west, north - 1e-4, west + 1e-4, north))) == 1


def test_an_unknown_filter_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="max_clouds"):
        ChipStream(path, max_clouds=0.25)
    with pytest.raises(UsageError, match="brightness"):
        ChipStream(read_index(path), where=pc.field("brightness") > 3)
    with pytest.raises(UsageError, match="Pass assets"):
        ChipStream(Chipper(path), assets=["red"], max_cloud=0.25)


def test_a_dataset_numbers_the_chosen_chips(path: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is absent: make torch")
    from stacchip.datasets import ChipDataset

    expected = read_index(path, item_id="b", where=LEFT)["chipid"].to_pylist()
    for index in (path, read_index(path)):
        dataset = ChipDataset(index, item_id="b", where=LEFT)
        assert len(dataset) == len(expected)
        found = [dataset[number]["chipid"] for number in (0, 7, -1)]
        assert found == [expected[number] for number in (0, 7, -1)]
        with pytest.raises(ChipOutOfRange):
            dataset[len(expected)]


def test_a_condition_may_name_no_column(path) -> None:
    table = read_index(path)
    assert len(ChipStream(table, where=pc.scalar(True))) == table.num_rows
    with pytest.raises(UsageError, match="nope"):
        ChipStream(table, max_nodata=0.5, where=pc.field("nope") == 1)


def test_names_in_any_order_are_one_selection() -> None:
    one, other = (Selection(item_id=names) for names in (["a", "b", "c"], ["c", "a", "b"]))
    assert one.digest == other.digest


def test_selections_that_leave_out_the_unmeasured_and_others_differ() -> None:
    limit = pa.scalar(0.5, pa.float32())
    by_hand = Selection(where=pc.field("nodata_percentage") <= limit)
    assert by_hand.digest != Selection(max_nodata=0.5).digest
