"""Splits: what they cost, what they keep, and what leaks if they are made otherwise."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
from affine import Affine

from benchmarks.big_index import ITEMS_OF_1E8, ensure_big_index
from benchmarks.measuring import Lab, Row, at_least, at_most, benchmark
from stacchip import Split
from stacchip.grid.footprints import make_footprints
from stacchip.splits.by_cell import CellRule, cells_of_centres

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OURS: Final = "stacchip, splits"
SIDE: Final = 16  # chips of a square of one sensor
SENSORS_M: Final = (10, 20, 30)
MANY: Final = 10**6
CHIPS: Final = int(os.environ.get("STACCHIP_BENCH_CHIPS", "200000"))
PARTS: Final = 50  # of so many chips, for the check of chips that are all different
FRACTIONS: Final = {"train": 0.8, "val": 0.1, "test": 0.1}
PEERS: Final = {
    "torchgeo": "torchgeo, random_grid_cell_assignment",
    "scikit-learn": "scikit-learn, GroupShuffleSplit by item",
}
DRAWS: Final = 1000
WEIGHTS: Final = (2**24, 2 * 10**7)
KEPT: Final = {0: (0.99, 0.96), 1: (0.98, 0.92), 5: (0.95, 0.79)}
"""By buffer in km, the shares of training and test chips that a calculation expects."""
NEAR: Final = 0.02  # of these


@benchmark(
    "splits",
    title="Splits by place",
    is_long=True,
    method=(
        "Chips of three sensors (10, 20 and 30 m) lie in squares of 16 by 16 at random places, of "
        "which many are at borders of UTM zones, at the antimeridian and at the poles; squares of "
        "one place overlap. The index of 10^8 chips is that of the benchmark `scale`. Times are "
        "seconds of the wall in a new process. STACCHIP_BENCH_ITEMS=5900 makes a smaller index, "
        "STACCHIP_BENCH_CHIPS=20000 fewer chips of three sensors. All splits are of 80, 10 and "
        "10 %. `check_leakage` judges all of them alike. Chips whose footprints are all different "
        "are fifty times as many of three sensors, split by place."
    ),
    unlike=(
        (
            "torchgeo keeps its data in one CRS, here EPSG:4326, and lays its grid (6 by 6, the "
            "default) over each tile by itself: the box of the tile's chips, as its "
            "`RasterDataset` has it. A chip is in the split of the cell that contains it; chips "
            "on borders of cells are in none. torchgeo's own samplers lay other chips."
        ),
        "torchgeo's `roi_split` would split the ground itself, by regions that its user draws.",
        "stacchip leaves out chips near borders of cells; scikit-learn and chance keep all chips.",
        (
            "torchgeo 0.8.1, scikit-learn 1.9.1 and torch 2.14.1 run once each, in an environment "
            "of their own."
        ),
    ),
)
def splits(lab: Lab) -> list[Row]:
    return [*_kept(), *_leaks(lab), *_draws(lab), *_costs(lab), *_costs_of_different(lab)]


def _kept() -> list[Row]:
    """Return which shares of chips of 2.56 km are kept in cells of 100 km."""
    chips = _squares(np.random.default_rng(0), MANY // 2)
    rows = []
    for buffer_km, expected in KEPT.items():
        rule = Split(cell_km=100, buffer_km=buffer_km).rule
        assert isinstance(rule, CellRule)
        codes, there = rule.codes(chips), rule.of_cells(cells_of_centres(rule, chips))
        for name, share in zip(("train", "test"), expected, strict=True):
            number = rule.splits.index(name)
            kept = float((codes == number).sum() / (there == number).sum())
            goal = at_least(share - NEAR)
            rows.append(Row(f"{name} chips kept, buffer {buffer_km} km", kept, "share", goal=goal))
    return rows


def _squares(random: np.random.Generator, count: int) -> pa.Table:
    """Return bounds of chips of 2.56 km at random places."""
    lat = np.degrees(np.arcsin(random.uniform(-0.94, 0.94, count)))
    lon = random.uniform(-180, 179, count)
    sides = (lon, lat, lon + 2.56 / 111.3 / np.cos(np.radians(lat)), lat + 2.56 / 111.3)
    names = ["xmin", "ymin", "xmax", "ymax"]
    return pa.table({"bbox": pa.StructArray.from_arrays([pa.array(side) for side in sides], names)})


def make_chips(count: int, seed: int = 0) -> pa.Table:
    """Return about so many chips of three sensors at odd places: footprints, bounds and items."""
    random = np.random.default_rng(seed)
    tables = []
    for place in range(max(1, count // (SIDE**2 * len(SENSORS_M)))):
        lon, lat = _place(random, place)
        for sensor, pixel_m in enumerate(SENSORS_M):
            made = _grid(lon, lat, pixel_m, random)
            item = pa.array([f"{seed}-{sensor}-{place:06d}"] * len(made.wkb))
            tables.append(pa.table({"item_id": item, "geometry": made.wkb, "bbox": made.bbox}))
    return pa.concat_tables(tables).combine_chunks()


def _place(random: np.random.Generator, number: int) -> tuple[float, float]:
    """Return a place: every second one is at a seam."""
    lon, lat = random.uniform(-180, 180), float(np.degrees(np.arcsin(random.uniform(-0.95, 0.95))))
    if number % 2:
        return lon, lat
    kind = number // 2 % 4
    if kind == 0:
        return random.choice([-180.0, 180.0]) + random.normal(0, 0.1), lat
    if kind == 1:
        return lon, float(random.choice([-1, 1]) * (90 - abs(random.normal(0, 1))))
    return 6 * round(lon / 6) + random.normal(0, 0.2), lat


def _grid(lon: float, lat: float, pixel_m: float, random: np.random.Generator) -> Any:
    """Return the footprints of a square of chips, in the CRS that archives have there."""
    lon = (lon + 180) % 360 - 180
    if abs(lat) > 84:
        code = 3413 if lat > 0 else 3031
    else:
        zone = int((lon + 180) // 6) % 60 + 1
        code = (32600 if lat >= 0 else 32700) + (zone + int(random.integers(0, 2))) % 60 + 1
    crs = pyproj.CRS(code)
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat)
    half = SIDE * 256 * pixel_m / 2
    shift = random.uniform(-half, half, 2)
    corner = Affine(pixel_m, 0, x - half + shift[0], 0, -pixel_m, y + half + shift[1])
    return make_footprints(corner, crs, 256, (SIDE, SIDE))


def _leaks(lab: Lab) -> list[Row]:
    """Return by split how many chips are kept, and how many tell of chips of another split."""
    chips = make_chips(CHIPS)
    path = str(lab.scratch / "chips.parquet")
    pq.write_table(chips, path)
    by_chance = np.random.default_rng(1).choice(3, len(chips), p=list(FRACTIONS.values()))
    ways = {
        "stacchip, by place, 1 km": Split(**FRACTIONS, buffer_km=1).of(chips),
        **{PEERS[name]: _assigned(lab, name, path) for name in lab.available(*PEERS)},
        "by chance": _named(by_chance),
    }
    rows = [Row("chips of three sensors at odd places", len(chips), "chips")]
    for way, column in ways.items():
        pq.write_table(chips.append_column("split", column), path, row_group_size=50_000)
        rows += _leaks_of(lab, way, path)
    return rows


def _leaks_of(lab: Lab, way: str, path: str) -> list[Row]:
    tests = _ask(lab, "tests", path=path)
    both = _ask(lab, "leakage", path=path, buffer_m=1000)
    goal = at_most(0) if way.startswith("stacchip") else None
    counts = {
        "chips that overlap another split": both["overlapping"],
        "chips less than 1 km from another split": both["near"],
        "test chips that overlap training chips": tests["overlapping"],
    }
    return [
        Row(f"{way}: chips in a split", both["chips"], "chips"),
        Row(f"{way}: test chips", tests["chips"], "chips"),
        *(Row(f"{way}: {what}", count, "chips", goal=goal) for what, count in counts.items()),
    ]


def _ask(lab: Lab, task: str, **arguments: Any) -> dict[str, Any]:
    """Ask stacchip in a new process, which then gives its memory back."""
    contender = lab.new_contender(OURS)
    told = contender.ask(task, **arguments)
    contender.close()
    return told


def _assigned(lab: Lab, name: str, path: str) -> pa.Array:
    """Return the splits that a peer gives to the chips of a file."""
    out = str(lab.scratch / "codes.npy")
    fractions = list(FRACTIONS.values())
    lab.contender(name).ask("assign", path=path, out=out, fractions=fractions, seed=1)
    return _named(np.load(out))


def _named(codes: NDArray[np.integer[Any]]) -> pa.Array:
    """Return names of splits; null where a number is negative."""
    return pa.array(list(FRACTIONS)).take(pa.array(codes, mask=codes < 0))


def _draws(lab: Lab) -> list[Row]:
    """Return how many chips torch's sampler draws by weight from very many."""
    rows = []
    for name in lab.available("torch"):
        for weights in WEIGHTS:
            told = lab.contender(name).ask("draw", weights=weights, draws=DRAWS)
            note = f"fails: {told['failure']}" if told["failure"] else ""
            label = f"torch, WeightedRandomSampler: {DRAWS} draws from {weights:,} chips"
            rows.append(Row(label, told["drawn"], "draws", note=note))
    return rows


def _costs(lab: Lab) -> list[Row]:
    """Return what it takes to split 10^8 chips, and to check 10^7."""
    index = ensure_big_index(int(os.environ.get("STACCHIP_BENCH_ITEMS", ITEMS_OF_1E8)))
    copy = lab.scratch / "split"
    _copy_links(index.path, copy)
    added = _ask(lab, "split", path=str(copy))
    shutil.rmtree(copy)
    tenth = ensure_big_index(index.facts["items"] // 10)
    _copy_links(tenth.path, copy)
    _ask(lab, "split", path=str(copy))
    checked = _ask(lab, "leakage", path=str(copy), buffer_m=1000)
    shutil.rmtree(copy)
    many, fewer = (f"{each.facts['rows']:,} rows" for each in (index, tenth))
    return [
        Row("add_split: wall", added["seconds"], "s", goal=at_most(300), note=many),
        Row("add_split: memory", added["peak_mb"], "MB", goal=at_most(1000)),
        Row("check_leakage: wall", checked["seconds"], "s", goal=at_most(120), note=fewer),
        Row("check_leakage: memory", checked["peak_mb"], "MB", goal=at_most(1000)),
    ]


def _costs_of_different(lab: Lab) -> list[Row]:
    """Return what it takes to check chips that share no footprint: each is measured by itself."""
    folder = lab.scratch / "different"
    folder.mkdir()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = sum(pool.map(partial(_write_chips, folder=folder), range(PARTS), chunksize=1))
    checked = _ask(lab, "leakage", path=str(folder), buffer_m=1000)
    shutil.rmtree(folder)
    what, note = "check_leakage, all footprints different", f"{rows:,} rows"
    return [
        Row(f"{what}: wall", checked["seconds"], "s", goal=at_most(120), note=note),
        Row(f"{what}: memory", checked["peak_mb"], "MB", goal=at_most(1000)),
    ]


def _write_chips(seed: int, folder: Path) -> int:
    """Write chips of three sensors, split by place; return their number."""
    chips = make_chips(CHIPS, seed)
    path = folder / f"{seed:02d}.parquet"
    pq.write_table(chips.append_column("split", Split().of(chips)), path, row_group_size=50_000)
    return len(chips)


def _copy_links(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)
