"""Labels: their types do not depend on the batch, or on the type of the pixels."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import rasterio

from index.tables import make_table
from stacchip.chipper import Chipper
from stacchip.chipper.index_rows import ChipRows
from stacchip.errors import AssetNotFound, UsageError
from stacchip.index import concat_indexes, read_index, write_index
from stacchip.stream import ChipBatch, ChipStream
from stream.conftest import index_items, make_item

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from stacchip.datasets import ChipDataset, ChipStreamDataset, Label  # noqa: E402 - after the skip
from stacchip.datasets.labels import choose_type  # noqa: E402 - needs torch


class Chips(list):
    """Chips that each have a value, as a batch."""

    def __init__(self, *values):
        super().__init__(
            SimpleNamespace(value=value, chipid=f"chip-{n}") for n, value in enumerate(values)
        )


def value_of(chip):
    return chip.value


WHOLE = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FRACTIONS = ["float16", "float32", "float64"]


def labels_of_function(*values):
    return Label(function=value_of).of(Chips(*values))


def chips_of_rows(column, rows=slice(None)) -> ChipBatch:
    """Return a batch of some rows of an index with a further column, `it`."""
    index = make_table().slice(0, len(column))
    index = index.append_column("it", pa.table({"it": column})["it"])
    numbers = np.arange(len(index))[rows]
    return ChipBatch(np.empty(0), None, (), numbers, (), (), ChipRows(index))


def labels_of_column(column, rows=slice(None)):
    return Label(column="it").of(chips_of_rows(column, rows))


@pytest.mark.parametrize("name", WHOLE + FRACTIONS)
def test_numbers_are_int64_or_float32_from_every_source(name):
    expected = torch.float32 if name in FRACTIONS else torch.int64
    values = np.array([0, 1, 1], name)
    if name == "int64":
        values[0] = -(2**53) - 1  # a float would round it
    asset = SimpleNamespace(apart=SimpleNamespace(array=values.reshape(3, 1, 1, 1)))
    for labels in (
        labels_of_function(*values),
        labels_of_function(*([[value, value]] for value in values)),
        labels_of_column(pa.array(values)),
        Label(asset="it").of(asset),
    ):
        assert labels.dtype == expected
        each = labels.reshape(3, -1)[:, 0].tolist()
        assert each == values.tolist()
    assert (choose_type(values.dtype) == "float32") == (name in FRACTIONS)


def test_plain_numbers_are_as_those_of_numpy():
    assert labels_of_function(1, True, 3).dtype == torch.int64
    assert labels_of_function(1.0, 2.5).dtype == torch.float32
    assert labels_of_function(["oat"], ["rye"]) == [["oat"], ["rye"]]
    assert labels_of_function("oat", "rye") == ["oat", "rye"]


def test_whole_numbers_that_int64_cannot_hold_are_refused():
    for labels in (
        lambda: labels_of_function(np.uint64(2**63)),
        lambda: labels_of_column(pa.array([2**63], pa.uint64())),
    ):
        with pytest.raises(UsageError, match="9223372036854775808"):
            labels()


def test_whole_numbers_of_several_widths_stay_exact_in_one_batch():
    large = 2**53 + 1  # a float64, and so a float32, would round it
    for values in (
        (np.uint64(large), -5),
        (np.array([large, 1], np.uint64), np.array([-1, large], np.int64)),
        (torch.tensor(large), np.uint64(7), True),
    ):
        labels = labels_of_function(*values)
        assert labels.dtype == torch.int64
        assert labels.tolist() == [np.asarray(value).tolist() for value in values]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_function_may_return_tensors_of_any_float_type_and_with_gradients(kind):
    labels = labels_of_function(
        torch.tensor([0.5, 2], dtype=kind), torch.tensor([1.0, -3], dtype=kind, requires_grad=True)
    )
    assert labels.dtype == torch.float32
    assert not labels.requires_grad
    assert labels.tolist() == [[0.5, 2], [1, -3]]


def test_lists_in_lists_that_make_no_array_stay_lists():
    assert labels_of_function([[1], [1, 2]], [[3, 4], []]) == [[[1], [1, 2]], [[3, 4], []]]
    assert labels_of_function([], ["oat"], []) == [[], ["oat"], []]
    assert labels_of_function([], []) == [[], []]


def test_an_array_may_be_empty_for_all_chips():
    boxes = np.zeros((0, 4), np.int32)
    labels = labels_of_function(boxes, boxes)
    assert (labels.shape, labels.dtype) == ((2, 0, 4), torch.int64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0.5), "whole numbers for chip chip-0 and fractions for chip chip-1"),
        ((1.0, None), "fractions for chip chip-0 and nothing for chip chip-1"),
        ((None, None), "nothing for chip chip-1"),
        (("oat", 1), "other values for chip chip-0 and whole numbers for chip chip-1"),
        (
            (np.zeros((2, 1)), np.zeros((3, 1))),
            r"arrays of several shapes, \(2, 1\) for chip chip-0",
        ),
        (
            ([], [1, 2]),
            r"lists of different lengths, \(0,\) for chip chip-0 and \(2,\) for chip chip-1",
        ),
        (([1, 2], [0.5], []), "whole numbers for chip chip-0 and fractions for chip chip-1"),
        (([[1], [1, 2]], [1, 2]), "other values for chip chip-0 and whole numbers"),
    ],
)
def test_a_function_returns_one_type_for_all_chips(values, message):
    with pytest.raises(UsageError, match=message) as raised:
        labels_of_function(*values)
    assert "value_of" in str(raised.value)


# --- columns are judged as a whole


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 4), slice(None)])
def test_a_null_among_fractions_is_nan_in_every_batch(rows):
    values = [None, 0.5, 0.25, 1.0]
    for kind in (pa.float64(), pa.float32(), pa.decimal128(5, 2)):
        labels = labels_of_column(pa.array(values, pa.float64()).cast(kind), rows)
        assert labels.dtype == torch.float32
        expected = [np.nan if value is None else value for value in values][rows]
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 4)])
@pytest.mark.parametrize("values", [[None, 1, 2, 3], [None, True, False, True]])
def test_whole_numbers_with_a_null_are_refused_in_every_batch(rows, values):
    with pytest.raises(UsageError, match="'it' holds whole numbers, and 1 of its 4 rows"):
        labels_of_column(pa.array(values), rows)
    # rows that are left out of the index do not count
    assert labels_of_column(pa.array(values[1:])).dtype == torch.int64


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 4)])
def test_any_other_column_is_a_list_in_every_batch(rows):
    for values in ([None, "oat", "rye", "oat"], [[1.0], None, [2.0], [3.0]], [None] * 4):
        assert labels_of_column(pa.array(values), rows) == values[rows]
    encoded = pa.array(["oat", None, "rye", "oat"]).dictionary_encode()
    assert labels_of_column(encoded, rows) == ["oat", None, "rye", "oat"][rows]


def test_a_dictionary_encoded_column_is_as_the_column_that_it_encodes():
    encoded = pa.array([7, 7, 2**40], pa.int64()).dictionary_encode()
    labels = labels_of_column(encoded, slice(1, 3))
    assert labels.dtype == torch.int64
    assert labels.tolist() == [7, 2**40]
    fractions = pa.array([0.5, None, 2]).dictionary_encode()
    np.testing.assert_array_equal(labels_of_column(fractions), [0.5, np.nan, 2])
    with pytest.raises(UsageError, match="1 of its 2 rows"):
        labels_of_column(pa.array([1, None]).dictionary_encode())


def test_a_label_is_a_column_that_was_added_to_an_index_on_disk(tmp_path):
    item = make_item(tmp_path / "a", "a", {"red": (10, 128)}).item
    table = read_index(index_items([item], tmp_path / "index", chip_size=32))
    codes = pa.array(np.arange(table.num_rows, dtype=np.uint8))
    write_index(table.append_column("crop", codes), tmp_path / "labelled")
    dataset = ChipDataset(
        tmp_path / "labelled", label=Label(column="crop"), where=pc.field("crop") > 12
    )
    assert [int(sample["label"]) for sample in dataset] == [13, 14, 15]


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"'that' is not in the index; it has: chipid.*, it"):
        Label(column="that").of(chips_of_rows(pa.array([1])))


# --- assets are cut in their own type


def write_classes(scene, name: str, dtype: str, pixels) -> None:
    path = scene.path(name)
    with rasterio.open(path) as file:
        profile = file.profile | {"dtype": dtype, "nodata": None}
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels.astype(dtype), 1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """16 chips with classes that float32 would round, and 4 of another platform and type."""
    folder = tmp_path_factory.mktemp("labelled")
    paths = []
    for name, side, dtype in (("one", 256, "int32"), ("two", 128, "uint8")):
        bands = {"classes": (10, side), "red": (10, side)}
        scene = make_item(folder / name, name, bands)
        first = 2**24 + 1 if dtype == "int32" else 0
        pixels = first + np.arange(side * side).reshape(side, side) % 250
        write_classes(scene, "classes", dtype, pixels)
        scene.item.properties["platform"] = "naip" if name == "two" else "landsat-8"
        paths.append(index_items([scene.item], folder / f"index-{name}"))
    return concat_indexes([read_index(path) for path in paths])


@pytest.mark.parametrize("dtype", ["float32", "float64", None])
def test_the_type_of_the_pixels_does_not_touch_an_assets_label(labelled, dtype):
    label = Label(asset="classes")
    classes, red = (Chipper(labelled, assets=[name]) for name in ("classes", "red"))
    samples = [ChipDataset(labelled, label=label, dtype=dtype)[row] for row in (0, 7, 18)]
    stream = ChipStream(labelled, order="shuffle", dtype=dtype)
    samples += list(ChipStreamDataset(stream, label=label))
    assert len(samples) == 23
    for sample in samples:
        row = int(sample["row"])
        assert sample["label"].dtype == torch.int64
        assert sample["pixels"].dtype == getattr(torch, dtype or "uint32")
        np.testing.assert_array_equal(sample["label"], classes.cut_row(row).array)
        np.testing.assert_array_equal(sample["label_valid"], classes.cut_row(row).valid)
        expected = red.cut_row(row).array
        np.testing.assert_array_equal(sample["pixels"], expected.astype(dtype or expected.dtype))


def test_a_dataset_in_an_older_pickle_cuts_its_label_apart(labelled):
    dataset = ChipDataset(labelled, label=Label(asset="classes"))
    expected = dataset[3]["label"]
    del dataset.stream._apart
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[3]["label"], expected)


def test_batches_of_several_types_have_labels_of_one(labelled):
    label = Label(asset="classes")
    for mixed in ("group", "pad"):
        stream = ChipStream(labelled, assets=["classes", "red"], dtype="float32")
        dataset = ChipStreamDataset(stream, batch_size=7, label=label, mixed=mixed)
        batches = list(dataset)
        assert len(batches) == len(dataset) if mixed == "pad" else len(batches) <= len(dataset)
        assert {batch["label"].dtype for batch in batches} == {torch.int64}
        assert {batch["pixels"].shape[1] for batch in batches} == {1}


def test_an_asset_may_be_all_that_is_read(labelled):
    dataset = ChipDataset(labelled, assets=["classes"], label=Label(asset="classes"))
    assert dataset[0]["pixels"].shape == (0, 64, 64)
    assert int(dataset[0]["label"][0, 0, 0]) == 2**24 + 1


def test_a_label_whose_asset_is_not_read_is_refused(labelled):
    with pytest.raises(UsageError, match="'class' is not among the bands classes, red of item"):
        ChipDataset(labelled, label=Label(asset="class"))[0]
    with pytest.raises(UsageError, match="'classes' is not among the assets red"):
        ChipDataset(labelled, assets=["red"], label=Label(asset="classes"))


def test_a_label_whose_asset_no_item_has_is_refused_even_if_errors_are_skipped(labelled):
    stream = ChipStream(labelled, errors="skip")
    dataset = ChipStreamDataset(stream, batch_size=4, label=Label(asset="clases"))
    with pytest.raises(AssetNotFound, match="'clases'; they have: classes, red"):
        next(iter(dataset))


def test_items_that_lack_the_asset_of_a_label_are_skipped(labelled, tmp_path):
    scene = make_item(tmp_path / "bare", "bare", {"red": (10, 128)})
    scene.item.properties["platform"] = "sentinel-2"
    rows = concat_indexes([labelled, read_index(index_items([scene.item], tmp_path / "index"))])
    stream = ChipStream(rows, errors="skip")
    samples = list(ChipStreamDataset(stream, label=Label(asset="classes")))
    assert len(samples) == 20
    assert {sample["platform"] for sample in samples} == {"landsat-8", "naip"}


# --- labels themselves


@pytest.mark.parametrize(
    "options", [{}, {"column": "a", "asset": "b"}, {"function": value_of, "column": "a"}]
)
def test_a_label_has_one_source(options):
    with pytest.raises(UsageError, match="exactly one"):
        Label(**options)


@pytest.mark.parametrize(
    "label", [Label(function=value_of), Label(column="share"), Label(asset="classes")]
)
def test_a_label_reaches_worker_processes(label):
    assert pickle.loads(pickle.dumps(label)) == label
