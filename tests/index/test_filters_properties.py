"""A selection chooses the rows that a loop over them would choose."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.tables import make_tables
from stacchip.errors import UsageError
from stacchip.index import Selection, concat_indexes, read_index, write_index

TABLE = concat_indexes(make_tables(8))
ROWS = TABLE.to_pylist()
FOOTPRINTS = [shapely.from_wkb(row["geometry"]) for row in ROWS]
ITEMS = sorted({row["item_id"] for row in ROWS})
SOURCES = sorted({row["platform"] for row in ROWS})

names = st.sampled_from
several = st.lists(st.sampled_from([*ITEMS, "nowhere"]), max_size=3)
shares = st.floats(0, 1).map(lambda share: round(share, 3))
days = st.dates(date(2023, 12, 25), date(2024, 3, 5))
bboxes = st.tuples(
    st.integers(-180, 180), st.integers(-90, 90), st.integers(-180, 180), st.integers(-90, 90)
).map(lambda box: (box[0], min(box[1], box[3]), box[2], max(box[1], box[3])))


def numbers(table: pa.Table) -> list[int]:
    """The rows of `TABLE` that are in a table."""
    keys = [
        (row["item_id"], row["chip_size"], row["chip_index_x"], row["chip_index_y"])
        for row in table.to_pylist()
    ]
    places = {
        (row["item_id"], row["chip_size"], row["chip_index_x"], row["chip_index_y"]): number
        for number, row in enumerate(ROWS)
    }
    return [places[key] for key in keys]


def assert_chosen(selection: Selection, expected: list[bool]) -> None:
    assert numbers(selection.apply(TABLE)) == [n for n, wanted in enumerate(expected) if wanted]


@settings(deadline=None)
@given(shares, shares)
def test_limits_hold_to_the_precision_of_the_column(cloud, nodata):
    limits = (pa.scalar(limit, pa.float32()).as_py() for limit in (cloud, nodata))
    most_cloud, most_nodata = limits
    assert_chosen(
        Selection(max_cloud=cloud, max_nodata=nodata),
        [
            row["cloud_cover_percentage"] <= most_cloud and row["nodata_percentage"] <= most_nodata
            for row in ROWS
        ],
    )


@settings(deadline=None)
@given(st.none() | names(SOURCES) | st.lists(names(SOURCES)), st.none() | names(ITEMS) | several)
def test_names_choose_alone_and_together(platform, item_id):
    def fits(value, wanted):
        return wanted is None or value == wanted or (isinstance(wanted, list) and value in wanted)

    assert_chosen(
        Selection(platform=platform, item_id=item_id),
        [fits(row["platform"], platform) and fits(row["item_id"], item_id) for row in ROWS],
    )


@settings(deadline=None)
@given(st.none() | days, st.none() | days)
def test_a_period_of_days_holds_both(start, end):
    if start is not None and end is not None and end < start:
        start, end = end, start
    assert_chosen(
        Selection(datetime=(start, end)),
        [
            (start is None or start <= row["date"]) and (end is None or row["date"] <= end)
            for row in ROWS
        ],
    )


@settings(deadline=None)
@given(bboxes)
@example((0, 9, -1, 9))  # a line, across the antimeridian
@example((20, 5, 20, 5))
def test_a_bbox_chooses_the_footprints_that_it_meets(bbox):
    west, south, east, north = bbox
    boxes = (
        [(west, south, east, north)]
        if west <= east
        else [(west, south, 180, north), (-180, south, east, north)]
    )
    assert_chosen(
        Selection(bbox=bbox),
        [any(shapely.box(*box).intersects(each) for box in boxes) for each in FOOTPRINTS],
    )


@settings(deadline=None)
@given(bboxes, st.integers(0, len(ROWS) - 1), st.floats(0, 30))
@example((180, 0, 0, 0), 0, 1.0)
def test_a_geometry_and_a_bbox_must_both_be_met(bbox, row, distance):
    circle = FOOTPRINTS[row].centroid.buffer(distance)
    parts = shapely.get_parts(Selection(bbox=bbox).area)
    both = [shapely.intersection(part, circle) for part in parts]
    assert_chosen(
        Selection(bbox=bbox, geometry=circle),
        [any(part.intersects(each) for part in both) for each in FOOTPRINTS],
    )


def test_an_area_of_many_parts_is_compared_by_its_bounds_first_and_itself_then():
    dots = shapely.multipoints(
        [(lon, lat) for lon in range(-180, 180, 9) for lat in range(-60, 60, 9)]
    )
    circles = shapely.buffer(dots, 1.5)
    assert shapely.get_num_geometries(circles) > 32
    assert_chosen(Selection(geometry=circles), [bool(circles.intersects(f)) for f in FOOTPRINTS])


def test_an_unknown_share_is_below_no_limit():
    column = pa.nulls(TABLE.num_rows, pa.float32())
    place = TABLE.schema.get_field_index("cloud_cover_percentage")
    unknown = TABLE.set_column(place, TABLE.schema.field(place), column)
    assert Selection(max_cloud=1).apply(unknown).num_rows == 0
    assert Selection(max_nodata=1).apply(unknown).num_rows == TABLE.num_rows


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"max_cloud": 20}, "share, 0 to 1, not 20"),
        ({"max_nodata": -0.1}, "share, 0 to 1"),
        ({"bbox": (0, 0, 1)}, "xmin, ymin, xmax, ymax"),
        ({"bbox": (0, 50, 1, 40)}, "longitude and latitude"),
        ({"bbox": (0, 0, 500000, 1)}, "longitude and latitude"),
        ({"bbox": "everywhere"}, "xmin, ymin, xmax, ymax"),
        ({"geometry": {"type": "Point"}}, "shapely geometry, not dict"),
        ({"cloud": 0.1}, "cannot be filtered by \\['cloud'\\]"),
        ({"datetime": "soon"}, "not a date"),
    ],
)
def test_a_wrong_filter_is_refused_before_anything_is_read(filters, words):
    with pytest.raises(UsageError, match=words):
        Selection.of(filters)
    with pytest.raises(UsageError, match=words):
        read_index("/nowhere/at/all", **filters)


@settings(deadline=None, max_examples=15)
@given(shares, several, days)
def test_filters_of_an_index_on_disk_are_those_of_a_table(tmp_path_factory, cloud, item_id, day):
    folder = tmp_path_factory.getbasetemp() / "filtered"
    if not folder.exists():
        write_index(TABLE, folder)
    filters = {"max_cloud": cloud, "item_id": item_id, "datetime": (day, None)}
    found = read_index(folder, **filters)
    assert sorted(numbers(found)) == numbers(Selection(**filters).apply(TABLE))


def test_a_moment_is_a_period_of_one_microsecond():
    taken = ROWS[0]["datetime"]
    assert Selection(datetime=taken).apply(TABLE).num_rows == 12
    for other in (taken + timedelta(microseconds=1), taken - timedelta(microseconds=1)):
        assert Selection(datetime=other).apply(TABLE).num_rows == 0
    assert taken == datetime(2024, 1, 1, 10, 30, tzinfo=UTC)
