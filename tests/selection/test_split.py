"""Splits of an index, as people make them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely

from splits.test_by_cell import squares
from stacchip import Split
from stacchip.errors import UsageError
from stacchip.selection.class_values import _in_order
from stacchip.selection.split_cells import deal_out


@pytest.fixture(scope="module")
def chips() -> pa.Table:
    random = np.random.default_rng(3)
    rows = squares(random, 20_000, lat_range=(-60, 70))
    lon = rows["bbox"].combine_chunks().field("xmin").to_numpy()
    days = random.integers(0, 1460, len(lon)) * np.timedelta64(1, "D")
    when = pa.array(np.datetime64("2019-01-01", "us") + days, pa.timestamp("us"))
    # forest in the west, and a rare class in some places only
    land = np.where(lon < 0, "forest", np.where(random.random(len(lon)) < 0.02, "ice", "desert"))
    rows = rows.append_column("datetime", when.cast(pa.timestamp("us", "UTC")))
    rows = rows.append_column("land", pa.array(land))
    return rows.append_column("height", pa.array(np.abs(lon)))


def test_each_split_gets_its_share(chips):
    split = Split(train=0.7, val=0.2, test=0.1, buffer_km=0)
    names = split.of(chips).to_pylist()
    assert {*names} == {"train", "val", "test", None}
    shares = [names.count(name) / len(chips) for name in ("train", "val", "test", None)]
    assert shares == pytest.approx([0.685, 0.187, 0.094, 0.03], abs=0.03)
    assert split.of(chips.to_pandas()).to_pylist() == names, "of any library"
    assert Split.from_dict(split.to_dict()) == split
    assert split.columns == ("bbox",)


def test_a_split_without_validation():
    assert Split(train=0.9, val=0, test=0.1).names == ("train", "test")


def test_space_and_time_together(chips):
    space = Split()
    both = space & Split.by_time(["2021-01-01", "2022-01-01"], gap_days=60)
    assert set(both.columns) == {"bbox", "datetime"}
    columns = (space.of(chips), chips["datetime"], both.of(chips))
    for where, when, name in zip(*(each.to_pylist() for each in columns), strict=True):
        if name == "test":
            assert where == "test"
            assert when >= datetime(2022, 1, 31, tzinfo=UTC)
        if name == "train":
            assert where == "train"
            assert when < datetime(2020, 12, 2, tzinfo=UTC)
    with pytest.raises(UsageError, match="no name in common"):
        space & Split.by_time(["2021-01-01"], names=["early", "late"])


def test_regions_in_any_crs(chips):
    square = gpd.GeoSeries([shapely.box(6, 45, 14, 48)], crs="OGC:CRS84")
    one = Split.by_region({"test": square.to_crs("EPSG:3035")}, buffer_km=50)
    same = Split.by_region({"test": gpd.GeoDataFrame(geometry=square)}, buffer_km=50)
    found, expected = one.of(chips).to_pylist(), same.of(chips).to_pylist()
    assert found.count("test") > 0
    assert sum(a != b for a, b in zip(found, expected, strict=True)) < 5, "edges bend a little"
    with pytest.raises(UsageError, match=r"The region of 'test' has no CRS"):
        Split.by_region({"test": gpd.GeoSeries([shapely.box(0, 0, 1, 1)])})
    with pytest.raises(UsageError, match=r"must be a polygon .*, not Point"):
        Split.by_region({"test": shapely.Point(1, 1)})


@pytest.mark.parametrize(
    "boundary", ["2021-01-01", date(2021, 1, 1), datetime(2021, 1, 1, tzinfo=UTC), ["2021-01-01"]]
)
def test_boundaries_of_several_types_are_one(boundary):
    assert Split.by_time(boundary) == Split.by_time(["2021-01-01"])


@pytest.mark.parametrize("boundary", ["yesterday", 2021, None])
def test_a_boundary_is_a_date(boundary):
    with pytest.raises(UsageError, match="date"):
        Split.by_time([boundary])


def test_periods_without_usual_names_are_named():
    with pytest.raises(UsageError, match=r"Name the 4 periods"):
        Split.by_time(["2020-01-01", "2021-01-01", "2022-01-01"])


def test_a_table_without_the_column_is_refused():
    with pytest.raises(UsageError, match="looks at 'bbox', which the table lacks"):
        Split().of(pa.table({"x": [1]}))
    with pytest.raises(UsageError, match="looks at 'country'"):
        Split.by_column("country").of(pa.table({"x": [1]}))


def test_a_report_counts_chips_cells_and_classes(chips):
    report = Split().explain(chips, classes="land")
    names = Split().of(chips).to_pylist()
    assert report.chips == {name: names.count(name) for name in ("train", "val", "test")}
    assert report.border == names.count(None)
    assert report.kept + report.border == len(chips)
    assert {name: sum(of.values()) for name, of in report.classes.items()} == {
        name: chips["land"].to_pylist().count(name) for name in ("forest", "desert", "ice")
    }
    said = str(report)
    assert f"{len(chips):,} chips, of which {report.border:,}" in said
    assert re.search(r"^  train +[\d,]+ +[\d.]+% +80% +[\d,]+$", said, re.MULTILINE)
    assert "land: share of each class" in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_report_names_classes_that_a_split_lacks():
    few = squares(np.random.default_rng(0), 50).append_column("land", pa.array(["a"] * 49 + ["b"]))
    report = Split().explain(few, classes="land")
    lacking = [name for name in report.chips if not report.classes["b"][name]]
    assert {name for name, classes in report.empty.items() if "b" in classes} == set(lacking)
    assert f"{lacking[0]} has no chip of" in str(report)


def test_a_report_of_real_numbers_counts_fifths(chips):
    report = Split().explain(chips, classes="height")
    counts = [sum(of.values()) for of in report.classes.values()]
    assert counts == pytest.approx([len(chips) / 5] * 5, rel=0.02)


@pytest.mark.parametrize(
    ("split", "lat_range", "advice"),
    [
        (Split(cell_km=20, buffer_km=1), (-60, 60), "cell_km=100 loses fewer"),
        (Split(), (89.5, 90), "buffer_km, or a split by region or time"),
        (Split(cell_km=5000), (-60, 60), "cell_km=500 makes more"),
        (Split(), (-60, 60), None),
    ],
)
def test_a_report_gives_advice(split, lat_range, advice):
    report = split.explain(squares(np.random.default_rng(0), 3000, lat_range=lat_range))
    assert bool(report.advice) == (advice is not None)
    if advice is not None:
        assert advice in report.advice[0]


def test_cells_are_dealt_out_so_that_classes_are_balanced(chips):
    split = Split(cell_km=500, buffer_km=0, stratify="land")
    by_chance = Split(cell_km=500, buffer_km=0).explain(chips, classes="land")
    fitted = split.fit(chips)
    balanced = fitted.explain(chips, classes="land")

    def worst(report):
        kept = {
            name: {split: of[split] for split in report.chips}
            for name, of in report.classes.items()
        }
        asked = {"train": 0.8, "val": 0.1, "test": 0.1}
        return max(
            abs(of[name] / sum(of.values()) - asked[name]) for of in kept.values() for name in asked
        )

    assert worst(balanced) < worst(by_chance) / 2
    assert Split.from_dict(fitted.to_dict()) == fitted
    assert split.explain(chips).classes == balanced.classes
    with pytest.raises(UsageError, match=r"stratified by 'land': split.fit\(index\)"):
        split.of(chips)
    with pytest.raises(UsageError, match=r"no column 'lnd'; it has: .*land"):
        Split(stratify="lnd").fit(chips)


def test_cells_that_come_later_are_left_to_chance(chips):
    west = chips.filter(pa.compute.field("land") == "forest")
    fitted = Split(cell_km=500, stratify="land").fit(west)
    is_east = (pa.compute.field("height") > 50) & (pa.compute.field("height") < 150)
    east = chips.filter(is_east & (pa.compute.field("land") == "desert"))
    assert fitted.of(east).to_pylist() == Split(cell_km=500).of(east).to_pylist()


def test_dealing_out_is_the_same_for_any_order_of_chips(chips):
    split = Split(cell_km=500, stratify="land")
    order = np.random.default_rng(0).permutation(len(chips))
    assert split.fit(chips) == split.fit(chips.take(pa.array(order)))


def test_one_cell_goes_to_the_largest_split():
    dealt = deal_out(np.array([[5]]), np.array([0.1, 0.8, 0.1]), np.array([0], np.int8))
    assert dealt.tolist() == [1]


def test_a_report_tells_the_bounds_of_the_chips(chips):
    west, south, east, north = Split().explain(chips).bbox
    assert -180 <= west < -179
    assert 179 < east <= 181
    assert (south, north) == (pytest.approx(-60, abs=0.1), pytest.approx(70, abs=0.1))
    assert Split().explain(chips.slice(0, 0)).bbox is None


def test_a_map_shows_the_split_of_each_place(chips):
    split = Split(cell_km=200, buffer_km=20)
    report = split.explain(chips, classes="land")
    picture = np.asarray(split.draw((0, 40, 20, 50), chip_km=0, width=448))
    plain = picture[72:-24, 24:-24]
    colours = {
        "train": (86, 180, 233),
        "val": (230, 159, 0),
        "test": (0, 114, 178),
        None: (222, 222, 220),
    }
    random = np.random.default_rng(0)
    for y, x in zip(random.integers(0, len(plain), 200), random.integers(0, 400, 200), strict=True):
        lon, lat = 20 * (x + 0.5) / 400, 50 - 10 * (y + 0.5) / len(plain)
        box = {"xmin": lon, "ymin": lat, "xmax": lon, "ymax": lat}
        assert tuple(plain[y, x]) == colours[split.of(pa.table({"bbox": [box]}))[0].as_py()]
    with_classes = split.draw((0, 40, 20, 50), report=report)
    assert with_classes.height > split.draw((0, 40, 20, 50)).height
    with pytest.raises(UsageError, match="A map needs xmin < xmax"):
        split.draw((20, 40, 0, 50))
    with pytest.raises(UsageError, match="A split by datetime has no map"):
        Split.by_time(["2021-01-01"]).draw((0, 40, 20, 50))


@pytest.mark.parametrize(
    ("crs", "box", "within", "beyond"),
    [
        (32601, (1e5, 7.9e6, 9e5, 8.1e6), (179.0, 72.0), (0.0, 72.0)),  # across 180 degrees
        (3413, (-1e6, -1e6, 1e6, 1e6), (10.0, 85.0), (10.0, 70.0)),  # around the pole
        ("OGC:CRS84", (170, -20, 190, 20), (-175.0, 0.0), (165.0, 0.0)),
        (3035, (4.2e6, 2.6e6, 4.6e6, 3.0e6), (10.5, 48.0), (20.0, 48.0)),
    ],
)  # fmt: skip
def test_a_region_may_cross_the_antimeridian_or_hold_a_pole(crs, box, within, beyond):
    region = gpd.GeoSeries([shapely.box(*box)], crs=crs)
    split = Split.by_region({"test": region}, buffer_km=0)
    places = [
        {"xmin": x, "ymin": y, "xmax": x + 0.01, "ymax": y + 0.01} for x, y in (within, beyond)
    ]
    assert split.of(pa.table({"bbox": places})).to_pylist() == ["test", "train"]
    if crs == "OGC:CRS84":
        assert Split.by_region({"test": shapely.box(*box)}, buffer_km=0) == split


def test_a_region_with_a_hole():
    ring = shapely.box(170, -20, 190, 20).difference(shapely.box(175, -5, 185, 5))
    split = Split.by_region({"test": ring}, buffer_km=0)
    places = [
        {"xmin": x, "ymin": 0.0, "xmax": x + 0.1, "ymax": 0.1}
        for x in (179.0, -179.0, 172.0, -172.0)
    ]
    assert split.of(pa.table({"bbox": places})).to_pylist() == ["train", "train", "test", "test"]


def test_classes_of_close_numbers_are_counted_apart():
    chips = squares(np.random.default_rng(0), 600)
    years = pa.array(2016.0 + np.arange(600) % 6)
    report = Split().explain(chips.append_column("year", years), classes="year")
    assert sum(sum(of.values()) for of in report.classes.values()) == 600
    often = pa.array(np.where(np.arange(600) % 10, 0.0, np.arange(600)))
    skewed = Split().explain(chips.append_column("x", often), classes="x")
    assert sum(skewed.classes["0"].values()) == 541, "the value of most is a class of its own"
    assert len(skewed.classes) > 1


def test_the_order_of_classes_depends_on_nothing_but_their_names():
    assert sorted(["nan", "2", "b", "inf", "10", "a"], key=_in_order) == [
        "2",
        "10",
        "a",
        "b",
        "inf",
        "nan",
    ]


@pytest.mark.parametrize("column", [pa.array([[1]] * 5), pa.array([b"\xff"] * 5)])
def test_classes_are_texts_numbers_or_booleans(column):
    chips = squares(np.random.default_rng(0), 5).append_column("x", column)
    with pytest.raises(UsageError, match="classes are texts, numbers or booleans"):
        Split().explain(chips, classes="x")


def test_an_index_without_chips_is_fitted(chips):
    fitted = Split(stratify="land").fit(chips.slice(0, 0))
    assert fitted == Split()


@pytest.mark.parametrize(
    ("bbox", "options", "message"),
    [
        ((0, 0, 1), {}, "A map needs"),
        ((0, 0, 1, 1), {"width": 40}, "300 to 10000 pixels, not 40"),
        ((10, -60, 10.05, 60), {}, "pixels high: choose a wider box"),
    ],
)
def test_maps_of_odd_sizes_are_refused(bbox, options, message):
    with pytest.raises(UsageError, match=message):
        Split().draw(bbox, **options)


def test_numbers_of_numpy_are_numbers():
    assert Split(cell_km=np.float32(100), buffer_km=np.int64(1)) == Split()
    with pytest.raises(UsageError, match="A cell is"):
        Split(cell_km="100")
