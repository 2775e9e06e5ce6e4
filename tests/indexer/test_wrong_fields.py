"""Items of real catalogues with one wrong field: whatever fails is an error of ours."""

from __future__ import annotations

import copy
import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from stacchip import Indexer, NoStatsChipIndexer, index_items, load_items, read_index
from stacchip.errors import InvalidMetadata, LimitExceeded, StacchipError, UnexpectedError
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = (
    "sentinel2/pystac__raster-sentinel2-example.json",
    "landsat/pystac__classification_landsat_example.json",
    "linz/argo-tasks__BD31.json",
    "naip/stac-geoparquet__naip-pc.json",
)
WRONG: tuple[Any, ...] = (
    *(None, 5, -1, float("nan"), 10**400, True, "", "10m", "half \ud800", "\0"),
    *([], [None], [5, 5], [[[]]], [1e308] * 9, {}, {"a": None}),
)
EACH = 23  # every so-many-th of all combinations; it divides neither number of values nor fields


def read_record(path: Path) -> dict[str, Any]:
    """An item with a few of its assets and links."""
    record = json.loads(path.read_text())
    record = record[0] if isinstance(record, list) else record
    is_raster = {key: "tiff" in str(asset.get("type")) for key, asset in record["assets"].items()}
    few = sorted(is_raster, key=is_raster.__getitem__, reverse=True)[:3]
    record["assets"] = {key: record["assets"][key] for key in few}
    record["links"] = record["links"][:2]
    return record


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a record, but of few coordinates and no deeper than five."""
    if place:
        yield place
    if len(place) < 5 and isinstance(value, dict):
        for key, each in value.items():
            yield from places_in(each, (*place, key))
    if len(place) < 5 and isinstance(value, list):
        for number, each in enumerate(value[:2]):
            yield from places_in(each, (*place, number))


def put(record: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(record)
    at: Any = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return changed


def wrong_records(record: dict[str, Any], first: int = 0) -> Iterator[dict[str, Any]]:
    number = count(first)
    for place in places_in(record):
        for value in WRONG:
            if next(number) % EACH == 0:
                yield put(record, place, value)


def try_all(records: Iterator[Any]) -> list[StacchipError]:
    """The errors of indexing each record by itself; any other error is raised."""
    errors = []
    for record in records:
        try:
            for item in load_items([record]):
                NoStatsChipIndexer(item, 4096).create_index()
        except StacchipError as error:
            errors.append(error)
    return errors


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_field_is_an_error_that_names_it(name, shared_data):
    record = read_record(shared_data / "items" / name)
    errors = try_all(wrong_records(record))
    assert errors
    assert [error for error in errors if isinstance(error, UnexpectedError)] == []


def test_wrong_items_leave_the_others_in_the_index(shared_data, tmp_path):
    record = read_record(shared_data / "items" / NAMES[0])
    wrong = list(wrong_records(record, first=3))[::3]
    items = {"type": "FeatureCollection", "features": [*wrong, put(record, ("id",), "good")]}
    indexed = index_items(
        items, tmp_path / "index", chip_size=512, stats=False, headers=False, errors="skip"
    )
    done = indexed.items + len(indexed.skipped) + indexed.repeats
    assert (done, indexed.failure) == (len(wrong) + 1, None)
    assert "good" in read_index(tmp_path / "index")["item_id"].to_pylist()
    assert all(isinstance(error, StacchipError) for _, error in indexed.skipped)


@pytest.mark.parametrize(
    "record",
    [
        *(None, 5, "text", [], {}, {"type": "FeatureCollection"}),
        {"type": "FeatureCollection", "features": {"a": 1}},
        {"type": "FeatureCollection", "features": [None, 5, "/etc/passwd"]},
        {"type": "Collection", "links": [{"rel": "item", "href": 5}]},
    ],
    ids=repr,
)
def test_what_is_no_item_at_all_is_an_error_of_ours(record, tmp_path):
    indexed = index_items([record], tmp_path / "index", errors="skip")
    assert indexed.items == 0
    assert all(isinstance(error, StacchipError) for _, error in indexed.skipped)
    assert not any(isinstance(error, UnexpectedError) for _, error in indexed.skipped)


@pytest.mark.parametrize("kind", [Indexer, NoStatsChipIndexer])
@pytest.mark.parametrize("href", ["\0", "half \ud800", "", "nowhere://a/b.tif", "http://[::1/a"])
def test_an_href_that_leads_nowhere_is_an_error_of_ours(kind, href, shared_data):
    record = read_record(shared_data / "items" / NAMES[2])
    for asset in record["assets"].values():
        asset["href"] = href
        asset.pop("proj:shape", None)
    record["properties"].pop("proj:shape", None)
    with pytest.raises(StacchipError):
        kind(record, open_files=True).create_index()


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ([10**6, 10**6], LimitExceeded),
        ([10**9, 10**9], LimitExceeded),
        ([2**31 - 1, 256], LimitExceeded),
        ([256, 10**15], InvalidMetadata),
        ([2**63, 2**63], InvalidMetadata),
        ([1e308, 1e308], InvalidMetadata),
        ([10**400, 1], InvalidMetadata),
        ([-256, 256], InvalidMetadata),
        ([256.5, 256], InvalidMetadata),
        ([float("nan"), 256], InvalidMetadata),
        (["many", "few"], InvalidMetadata),
    ],
)
def test_a_grid_that_no_memory_holds_is_refused_before_it_is_made(shape, error, shared_data):
    record = read_record(shared_data / "items" / NAMES[3])
    record["properties"] |= {"proj:shape": shape, "proj:bbox": None, "proj:centroid": None}
    record |= {"geometry": None, "bbox": None}
    for asset in record["assets"].values():
        asset.pop("proj:shape", None)
    with pytest.raises(error) as caught:
        NoStatsChipIndexer(record, 32).create_index()
    assert caught.value.item_id == record["id"]


def test_the_limit_of_chips_is_that_of_the_storage(shared_data):
    record = read_record(shared_data / "items" / NAMES[0])
    few = Storage(options=StorageOptions(limits=Limits(chips=10)))
    with pytest.raises(LimitExceeded, match="'chips' is 10"):
        NoStatsChipIndexer(record, storage=few).create_index()
    assert NoStatsChipIndexer(record, 4096, storage=few).create_index().num_rows <= 10


def test_an_item_above_a_limit_costs_a_batch_no_other(shared_data, tmp_path):
    good = read_record(shared_data / "items" / NAMES[3])
    large = put(good, ("id",), "large")
    large["assets"] = {f"a{number}": {"href": "a.tif"} for number in range(11)}
    deep = put(good, ("id",), "deep")
    for _ in range(300):
        deep["properties"] = {"inner": deep["properties"]}
    storage = Storage(options=StorageOptions(limits=Limits(assets=10)))
    done = index_items(
        [large, deep, good], tmp_path / "i", stats=False, headers=False, errors="skip",
        storage=storage,
    )  # fmt: skip
    assert done.items == 1
    assert [(name, type(error)) for name, error in done.skipped] == [
        ("large", LimitExceeded),
        ("deep", LimitExceeded),
    ]
