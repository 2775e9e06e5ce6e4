"""Statistics of an index and of cubes, by the command and by the library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import yaml

from cubes.cube_world import ITEMS, PLATFORM, World, item_chips, make_world
from scenes import make_scene, write_band
from servers.seaweedfs import SeaweedFS
from stacchip.cli.commands.stats import stats as stats_command
from stacchip.cli.options import Place
from stacchip.cli.terminal import console
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import PlanSettings
from stacchip.cubes.prechip import Prechip
from stacchip.errors import ChipNotFound, IndexFormatError, NothingFound, UsageError
from stacchip.index import read_index, read_records, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import NonFinite, Part, PlatformStatistics, make_report
from stacchip.statistics.measure import (
    StatisticsFolder,
    cube_statistics,
    index_statistics,
    list_platforms,
    merge_statistics,
)
from stacchip.storage import Storage
from stacchip.stream import Shard

COMMAND = "from stacchip.cli.scripts import stats; stats()"
BANDS = get_platform(PLATFORM).names
PERCENTS = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """All values of each band except nodata, as float64."""
    chips = np.concatenate([item_chips(number) for number in range(ITEMS)])
    bands = {name: chips[:, number].ravel() for number, name in enumerate(BANDS)}
    return {name: values[values != 0].astype(np.float64) for name, values in bands.items()}


def stats(**options) -> None:
    """Run the command; the command line makes places of the folders that it names."""
    places = {name: Place(options[name]) for name in ("cubes", "data") if name in options}
    stats_command(**options | places)


def check_report(known: dict, expected: dict[str, np.ndarray]) -> None:
    bands = known["bands"]
    assert known["band_order"] == list(BANDS)
    assert known["rgb_indices"] == [2, 1, 0]
    for name, values in expected.items():
        assert bands["count"][name] == len(values)
        assert bands["mean"][name] == pytest.approx(values.mean(), rel=1e-9)
        assert bands["std"][name] == pytest.approx(values.std(), rel=1e-9)
        assert (bands["min"][name], bands["max"][name]) == (values.min(), values.max())
        np.testing.assert_allclose(
            [bands["percentiles"][name][percent] for percent in PERCENTS],
            np.percentile(values, PERCENTS),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with SeaweedFS(tmp_path_factory.mktemp("weed"), buckets=("data", "cubes", "stats")) as server:
        yield server


@pytest.fixture(scope="module")
def remote(store, tmp_path_factory) -> World:
    storage = Storage(options=store.options)
    world = make_world("s3://data", tmp_path_factory.mktemp("remote"), storage)
    run = Prechip(Imagery(world.index, PLATFORM, data="s3://data"), "s3://cubes", storage=storage)
    run.run(0)
    return world


def run_command(
    store: SeaweedFS, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    names = ("PATH", "HOME", "LANG", "PYTHONPATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMAND, *options],
        env={**kept, **store.environment, "STACCHIP_POOL_SIZE": "2", **variables},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def run_local(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; gives its exit code, output and errors."""

    def run(*options: str) -> tuple[int, str, str]:
        capsys.readouterr()  # what was said before is not this command's
        code = console.run_command(stats_command, "stacchip-stats", list(options))
        return code, *capsys.readouterr()

    return run


@pytest.mark.servers
def test_of_an_index_by_the_environment_alone(store, remote, expected):
    done = run_command(
        store,
        STACCHIP_INDEXPATH=remote.index,
        STACCHIP_DATA_BUCKET="data",
        STACCHIP_PLATFORM=PLATFORM,
    )
    assert done.returncode == 0, done.stderr
    check_report(yaml.safe_load(done.stdout)[PLATFORM], expected)


@pytest.mark.servers
def test_of_cubes_by_the_environment_alone(store, remote, expected):
    done = run_command(store, STACCHIP_CHIP_BUCKET="cubes")
    assert done.returncode == 0, done.stderr
    check_report(yaml.safe_load(done.stdout)[PLATFORM], expected)
    fewer = run_command(store, STACCHIP_CHIP_BUCKET="cubes", STACCHIP_MAX_CUBES="2")
    assert yaml.safe_load(fewer.stdout)[PLATFORM]["chips"] == 256


@pytest.mark.servers
@pytest.mark.parametrize("source", ["index", "cubes"])
def test_jobs_leave_parts_that_merge_to_the_whole(store, remote, expected, source):
    place = {
        "index": {"STACCHIP_INDEXPATH": remote.index, "STACCHIP_DATA_BUCKET": "data"},
        "cubes": {"STACCHIP_CHIP_BUCKET": "cubes"},
    }[source]
    folder = f"s3://stats/{source}"
    for job in range(3):
        done = run_command(
            store, AWS_BATCH_JOB_ARRAY_INDEX=str(job), AWS_BATCH_JOB_ARRAY_SIZE="3",
            STACCHIP_STATS_OUTPUT=folder, STACCHIP_PLATFORM=PLATFORM, **place,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    merged = run_command(store, "--merge", folder, "-o", f"{folder}/metadata.yaml")
    assert merged.returncode == 0, merged.stderr
    text = Storage(options=store.options).read(f"{folder}/metadata.yaml")
    check_report(yaml.safe_load(text)[PLATFORM], expected)


@pytest.mark.servers
def test_misuse_is_one_line_and_exit_code_2(store, remote):
    for variables in (
        {},
        {"STACCHIP_INDEXPATH": remote.index, "STACCHIP_CHIP_BUCKET": "cubes"},
        {"STACCHIP_CHIP_BUCKET": "cubes", "AWS_BATCH_JOB_ARRAY_SIZE": "3"},
        {"STACCHIP_CHIP_BUCKET": "cubes", "STACCHIP_PERCENTILES": "half"},
        {"STACCHIP_CHIP_BUCKET": "cubes", "STACCHIP_PERCENTILES": "101"},
    ):
        done = run_command(store, **variables)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), (variables, done.stderr)


@pytest.mark.parametrize("ranks", ["half", "101", "50,-1", "nan"])
def test_percentiles_are_checked_before_anything_is_read(ranks, tmp_path, run_local):
    code, out, err = run_local("--index", f"{tmp_path}/absent", "--percentiles", ranks)
    assert (code, out) == (2, "")
    assert repr(ranks) in err


def test_parts_that_are_not_there_are_no_mistake_if_that_is_allowed(tmp_path, run_local):
    (tmp_path / "parts").mkdir()
    code, _, err = run_local("--merge", f"{tmp_path}/parts")
    assert code == 1
    assert "no statistics to merge" in err
    code, out, _ = run_local("--merge", f"{tmp_path}/parts", "--allow-empty")
    assert (code, out) == (0, "")


def test_shards_of_an_index_have_every_chip_once(local, expected):
    imagery = Imagery(local.index, PLATFORM)
    parts = [index_statistics(imagery, Storage(), shard=Shard(rank, 4)) for rank in range(4)]
    (merged,) = merge_statistics(parts)
    assert merged.chips == 300
    for name, band in zip(BANDS, merged.bands, strict=True):
        assert band.moments.count == len(expected[name])
        assert band.moments.std == pytest.approx(expected[name].std(), rel=1e-9)


def test_a_sample_of_chips_is_the_seeds(local):
    imagery = Imagery(local.index, PLATFORM, bands=("red",))

    def mean(seed: int) -> float:
        statistics = index_statistics(imagery, Storage(), max_chips=20, seed=seed)
        assert statistics.chips == 20
        return statistics.bands[0].moments.mean

    assert mean(1) == mean(1) != mean(2)


def test_chips_are_drawn_on_disk_as_from_a_table(local, monkeypatch):
    whole, stored = (
        index_statistics(
            Imagery(index, PLATFORM, data=local.data, bands=("red",)),
            Storage(),
            max_chips=20,
            seed=5,
        ).bands[0]
        for index in (read_index(local.index), local.index)
    )
    assert whole.moments == stored.moments


def test_chips_of_a_place_a_period_and_an_item_are_measured_alone(local):
    item_id = local.table["item_id"][0].as_py()
    for chosen in ({"item_id": (item_id,)}, {"datetime": "2023-01"}):
        imagery = Imagery(local.index, PLATFORM, bands=("red",), **chosen)
        statistics = index_statistics(imagery, Storage())
        assert (statistics.chips, statistics.sample.there) == (100, 100)
        assert next(iter(chosen)) in statistics.measured
        assert index_statistics(imagery, Storage(), max_chips=7).chips == 7
    far = Imagery(local.index, PLATFORM, bands=("red",), bbox=(0, 0, 1, 1))
    with pytest.raises(ChipNotFound, match="other items, periods, places or splits"):
        index_statistics(far, Storage())


@pytest.mark.parametrize("form", ["npz", "npz-uncompressed", "webdataset", "zarr"])
def test_cubes_of_every_form_have_the_statistics_of_the_index(local, expected, tmp_path, form):
    imagery = Imagery(local.index, PLATFORM)
    run = Prechip(imagery, str(tmp_path), PlanSettings(cubes_per_job=3), form=form)
    assert run.run(0).cubes == 3
    assert list_platforms(Storage(), index=None, cubes=str(tmp_path)) == [PLATFORM]
    of_cubes = cube_statistics(str(tmp_path), PLATFORM, Storage())
    of_index = index_statistics(imagery, Storage())
    (known,) = make_report([of_cubes], PERCENTS).values()
    assert make_report([of_index], PERCENTS) == {PLATFORM: known}
    check_report(known, expected)
    parts = [
        cube_statistics(str(tmp_path), PLATFORM, Storage(), shard=Shard(rank, 2))
        for rank in range(2)
    ]
    assert make_report(merge_statistics(parts), PERCENTS) == {PLATFORM: known}
    first = cube_statistics(str(tmp_path), PLATFORM, Storage(), max_cubes=1)
    assert first.chips == 128


def test_cubes_do_not_count_what_is_masked_or_beyond_an_edge(tmp_path):
    scene = make_scene(tmp_path / "scene")
    write_band(scene.path("red"), 10, (600, 700), dtype="uint16", nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene.path("red"), "r+") as file:
        file.write_mask(np.tri(600, 700, 90, dtype=bool))
    index = str(tmp_path / "index")
    table = NoStatsChipIndexer(scene.item, 128, edge="pad").create_index()
    write_index(table, index, items=[scene.item])
    platform = table["platform"][0].as_py()
    imagery = Imagery(index, platform, bands=("red",), max_nodata=None)
    run = Prechip(imagery, str(tmp_path / "cubes"), PlanSettings(cube_size=7))
    plan = run.plan()
    for job in range(plan.jobs):
        run.run(job, plan)
    in_cubes = cube_statistics(
        str(tmp_path / "cubes"), platform, Storage(), bands=("red",), dtype="uint16"
    )
    ((band,), (of_index,)) = (
        each.bands for each in (in_cubes, index_statistics(imagery, Storage(), dtype="uint16"))
    )
    assert band.moments.count == of_index.moments.count == np.tri(600, 700, 90, dtype=bool).sum()
    assert (band.moments.minimum, band.moments.mean) == (
        of_index.moments.minimum,
        pytest.approx(of_index.moments.mean),
    )


def test_of_cubes_in_several_forms_one_is_chosen(local, run_local, tmp_path):
    imagery = Imagery(local.index, PLATFORM, bands=("red",))
    for form in ("npz", "zarr"):
        Prechip(imagery, str(tmp_path), form=form).run(0)
    options = ["--cubes", str(tmp_path), "--percentiles", "50"]
    code, _, err = run_local(*options)
    assert (code, err.count("\n")) == (2, 1), err
    assert "npz and zarr" in err
    for form in ("npz", "npz-uncompressed", "zarr"):
        code, out, err = run_local(*options, "--format", form)
        assert code == 0, err
        assert yaml.safe_load(out)[PLATFORM]["band_order"] == ["red"]
    assert run_local(*options, "--format", "hdf5")[0] == 2


def test_floats_have_merged_moments_and_a_sketch(local, expected):
    imagery = Imagery(local.index, PLATFORM, bands=("red", "nir08"))
    statistics = index_statistics(imagery, Storage(), dtype="float32")
    for name, band in zip(("red", "nir08"), statistics.bands, strict=True):
        assert band.moments.mean == pytest.approx(expected[name].mean(), rel=1e-9)
        assert band.moments.std == pytest.approx(expected[name].std(), rel=1e-9)
        (median,) = band.percentile([50])
        ordered = np.sort(expected[name])
        rank = np.searchsorted(ordered, median) / len(ordered)
        assert abs(rank - 0.5) < 2 * band.rank_error + 1 / 5000
        assert 0 < band.rank_error < 0.001


def test_no_cubes_and_no_chips_are_errors(local, tmp_path):
    with pytest.raises(ChipNotFound, match="no cubes"):
        cube_statistics(str(tmp_path), PLATFORM, Storage())
    with pytest.raises(
        ChipNotFound, match=f"no chip of platform 'naip' .* has chips of {PLATFORM}"
    ):
        index_statistics(Imagery(local.index, "naip"), Storage())


def test_limits_that_leave_nothing_say_what_they_left_out(local):
    table = with_shares(local.index, "nodata_percentage", [0.5] * 100 + [None] * 200)
    with pytest.raises(ChipNotFound) as refused:
        index_statistics(Imagery(table, PLATFORM, data=local.data), Storage())
    assert "of 300 chips, 200 whose nodata was not measured" in str(refused.value)
    assert "100 with more nodata (--max-nodata)" in str(refused.value)
    assert "within these limits (at most 5% nodata and any cloud):" in str(refused.value)
    with pytest.raises(ChipNotFound, match=r"300 of another size .*--chip-size"):
        index_statistics(Imagery(local.index, PLATFORM, chip_size=99), Storage())


def test_a_platform_without_cubes_is_told_which_have_some(cubes):
    with pytest.raises(ChipNotFound, match=f"that have cubes there: naip, {PLATFORM}"):
        cube_statistics(cubes, "linz", Storage())


@pytest.mark.parametrize("threads", [0, -1, float("nan"), 1.5, "two"])
def test_a_number_of_threads_that_is_none_is_refused(local, threads):
    with pytest.raises(UsageError, match="a whole number, at least 1"):
        index_statistics(Imagery(local.index, PLATFORM), Storage(), threads=threads)


@pytest.mark.parametrize("threads", [1, 3, 16])
def test_threads_change_no_number(local, tmp_path, threads):
    imagery = Imagery(local.index, PLATFORM, bands=("red", "nir", "swir16"))
    Prechip(imagery, str(tmp_path)).run(0)
    of_index = index_statistics(imagery, Storage(), threads=threads)
    of_cubes = cube_statistics(str(tmp_path), PLATFORM, Storage(), threads=threads)
    expected = make_report([index_statistics(imagery, Storage())])
    assert make_report([of_index]) == make_report([of_cubes]) == expected


def test_a_shard_without_chips_has_empty_statistics_of_the_same_run(local):
    imagery = Imagery(local.index, PLATFORM, bands=("red",))
    empty, full = (
        index_statistics(imagery, Storage(), shard=Shard(rank, 2), max_chips=1) for rank in (1, 0)
    )
    assert {empty.chips, full.chips} == {0, 1}
    assert empty.measured == full.measured


def test_cubes_have_the_bands_that_were_recorded_beside_them(local, tmp_path):
    Prechip(Imagery(local.index, PLATFORM, bands=("nir", "blue")), str(tmp_path)).run(0)
    statistics = cube_statistics(str(tmp_path), PLATFORM, Storage())
    assert statistics.platform.names == ("nir", "blue")
    with pytest.raises(IndexFormatError, match=r"are \(chip, 1, y, x\)\. Name its bands"):
        cube_statistics(str(tmp_path), PLATFORM, Storage(), bands=("nir",))


def test_what_was_measured_is_recorded(local):
    imagery = Imagery(local.index, PLATFORM, data=local.data, bands=("red",))
    measured = index_statistics(imagery, Storage(), max_chips=1).measured
    assert (measured["index"], measured["data"]) == (local.index, local.data)
    assert (measured["max_chips"], measured["seed"], measured["bands"]) == (1, 0, ["red"])


# --- what was left out, and what was assumed


def make_radar(folder: Path, pixels: np.ndarray) -> str:
    """An index of one scene whose band may hold any float; only -9999 is nodata."""
    scene = make_scene(folder / "scene")
    write_band(scene.path("red"), 10, (600, 700), dtype="float32", nodata=-9999, predictor=1)
    with rasterio.open(scene.path("red"), "r+") as file:
        file.write(pixels, 1)
    index = str(folder / "index")
    table = NoStatsChipIndexer(scene.item, 100).create_index()
    write_index(table, index, items=[scene.item])
    return index


def with_shares(index: str, column: str, shares: list[float | None]) -> pa.Table:
    table = read_index(index)
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(place), pa.array(shares, pa.float32()))


@pytest.mark.parametrize("as_table", [False, True])
def test_chips_that_are_left_out_are_counted_by_the_limit_they_fail(local, tmp_path, as_table):
    shares = [0.5] * 30 + [None] * 20 + [0.01] * 250
    table = with_shares(local.index, "nodata_percentage", shares)
    index: object = table
    if not as_table:
        index = str(tmp_path / "index")
        write_index(table, index, items=[record.item for record in read_records(local.index)])
    imagery = Imagery(index, PLATFORM, data=local.data, bands=("red",), max_nodata=0.1)
    statistics = index_statistics(imagery, Storage(), max_chips=200)
    sample = statistics.sample
    assert (statistics.chips, sample.there) == (200, 300)
    assert sample.left_out == {"max_nodata": 30, "nodata_unmeasured": 20, "max_chips": 50}
    assert sample.limits == {"max_nodata": 0.1, "max_cloud": None, "unmeasured": "drop"}


def test_the_command_says_what_it_left_out_and_assumed(local, cubes, run_local):
    of_index = run_local("--index", local.index, "--bands", "red", "--max-chips", "7")
    of_cubes = run_local("--cubes", cubes, "--platform", PLATFORM, "--max-cubes", "1")
    assert (of_index[0], of_cubes[0]) == (0, 0)
    assert f"7 of 300 chips of {local.index} measured" in of_index[2]
    assert "left out: 293 not drawn (--max-chips)" in of_index[2]
    assert "chips are taken with any nodata and any cloud\n" in of_index[2]
    assert of_index[2].count("stacchip prechip takes chips with at most 5% nodata") == 1
    assert "stacchip prechip" not in of_cubes[2]
    assert "128 chips measured, in 1 of 3 cubes at" in of_cubes[2]
    assert "were cut with at most 5% nodata and any cloud" in of_cubes[2]


def test_cubes_without_a_record_say_that_their_limits_are_not_known(cubes, run_local):
    code, _, err = run_local("--cubes", cubes, "--platform", "naip")
    assert (code, "were chosen are not recorded" in err) == (0, True)


def test_parts_keep_what_was_left_out(cubes, run_local, tmp_path):
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    code, _, err = run_local("--merge", str(tmp_path))
    assert code == 0
    assert "300 chips measured, in 3 of 3 cubes" in err


def test_an_infinite_pixel_is_counted_apart(tmp_path, run_local):
    pixels = np.random.default_rng(0).normal(-12, 3, (600, 700)).astype(np.float32)
    pixels[3, 5], pixels[7, 70] = -np.inf, np.inf
    index = make_radar(tmp_path, pixels)
    imagery = Imagery(index, "unknown", bands=("red",), max_nodata=None)
    statistics = index_statistics(imagery, Storage(), dtype="float32")
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    (band,) = statistics.bands
    assert band.nonfinite == NonFinite(positive=1, negative=1)
    assert (band.moments.minimum, band.moments.maximum) == (finite.min(), finite.max())
    assert band.moments.count == finite.size
    assert band.moments.std == pytest.approx(finite.std(), rel=1e-9)
    code, out, err = run_local("--index", index, "--bands", "red")
    assert code == 0
    assert yaml.safe_load(out)["unknown"]["bands"]["nonfinite"] == {"red": 2}
    assert "red: valid pixels left out because they are not finite: 1 inf, 1 -inf" in err


def test_values_too_large_for_a_mean_are_told_with_their_extremes(tmp_path, run_local):
    scene = make_scene(tmp_path / "scene")
    write_band(scene.path("red"), 10, (600, 700), dtype="float64", nodata=None, predictor=1)
    pixels = np.random.default_rng(0).normal(-12, 3, (600, 700))
    pixels[:3] = -1.7976931348623157e308
    with rasterio.open(scene.path("red"), "r+") as file:
        file.write(pixels, 1)
    index, parts = str(tmp_path / "index"), str(tmp_path / "parts")
    write_index(NoStatsChipIndexer(scene.item, 100).create_index(), index, items=[scene.item])
    for job in range(2):
        options = ["--bands", "red", "--jobs", "2", "--job", str(job), "--output", parts]
        code, _, err = run_local("--index", index, *options)
        assert code == 0, err
    code, out, err = run_local("--merge", parts, "--percentiles", "0,50,100")
    assert code == 0, err
    bands = yaml.safe_load(out)["unknown"]["bands"]
    assert (bands["mean"], bands["std"], bands["count"]) == (
        {"red": None},
        {"red": None},
        {"red": 420_000},
    )
    assert bands["min"] == {"red": -1.7976931348623157e308}
    assert -13 < bands["percentiles"]["red"][50] < -11
    assert "red: values from -1.798e+308 to" in " ".join(err.split())


def test_pixels_that_the_type_cannot_hold_are_refused(tmp_path):
    pixels = np.arange(420_000, dtype=np.float32).reshape(600, 700) % 60_000
    pixels[0, :5] = -9999  # nodata need not fit
    index = make_radar(tmp_path, pixels)
    imagery = Imagery(index, "unknown", bands=("red",), max_nodata=None)
    statistics = index_statistics(imagery, Storage(), dtype="uint16")
    assert statistics.bands[0].moments.count == 420_000 - 5
    with rasterio.open(tmp_path / "scene" / "red.tif", "r+") as file:
        file.write(pixels - 3, 1)
    with pytest.raises(UsageError, match="not of type uint16, such as -"):
        index_statistics(imagery, Storage(), dtype="uint16")


def test_a_band_without_a_finite_pixel_has_no_numbers(tmp_path, run_local):
    index = make_radar(tmp_path, np.full((600, 700), -np.inf, np.float32))
    code, out, err = run_local("--index", index, "--bands", "red", "--percentiles", "0,50,100")
    assert code == 0
    bands = yaml.safe_load(out)["unknown"]["bands"]
    assert (bands["mean"], bands["min"]) == ({"red": None}, {"red": None})
    assert bands["percentiles"] == {"red": {0: None, 50: None, 100: None}}
    assert "red: no pixel can be used, so its numbers are null" in err


@pytest.mark.parametrize("there", [(), ("notes.txt", "more/cube_0.npz")])
def test_a_place_without_cubes_is_an_error_that_says_what_is_there(tmp_path, run_local, there):
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(NothingFound):
        list_platforms(Storage(), index=None, cubes=str(tmp_path))
    code, out, err = run_local("--cubes", str(tmp_path))
    assert (code, out) == (1, "")
    assert ("it holds more, notes.txt" if there else "nothing is there") in err


def test_nothing_may_be_there_if_that_is_allowed(tmp_path, run_local):
    output = tmp_path / "metadata.yaml"
    options = ("--cubes", str(tmp_path), "--allow-empty", "-o", str(output))
    for more in ((), ("--platform", "naip")):
        code, out, err = run_local(*options, *more)
        assert (code, out) == (0, "")
        assert "There are no cubes at" in err
    assert not output.exists()


def test_an_index_without_chips_is_an_error(local, tmp_path, run_local):
    write_index(read_index(local.index)[:0], str(tmp_path / "none"), items=[])
    code, out, err = run_local("--index", str(tmp_path / "none"))
    assert (code, out) == (1, "")
    assert "has no chips" in err


# --- parts of many jobs


@pytest.fixture(scope="module")
def cubes(local, tmp_path_factory) -> str:
    """Three cubes of the world (128, 128 and 44 chips), and one of NAIP with two chips."""
    root = tmp_path_factory.mktemp("cubes")
    Prechip(Imagery(local.index, PLATFORM, bands=("blue", "red")), str(root)).run(0)
    folder = root / "mode_v1_chipper_v2" / "naip"
    folder.mkdir()
    np.savez(folder / "cube_0.npz", pixels=np.full((2, 4, 8, 8), 7, np.float32))
    return str(root)


def run_jobs(cubes: str, output: object, jobs: int, **options) -> None:
    for job in range(jobs):
        stats(cubes=cubes, job=job, jobs=jobs, output=str(output), **options)


def merge(folder: object) -> dict[str, int]:
    """Chips by platform."""
    merged = StatisticsFolder(str(folder), Storage()).merge()
    return {each.platform.platform: each.chips for each in merged}


def test_jobs_without_cubes_leave_empty_parts(cubes, run_local, tmp_path):
    options = ["--cubes", cubes, "-o", str(tmp_path), "--jobs", "5"]
    code, out, err = run_local(*options, "--job", "0")  # of five, the first has no cube of three
    assert code == 0, err
    assert out.count(": 0 chips") == 2
    for job in range(1, 5):
        stats(cubes=cubes, job=job, jobs=5, output=str(tmp_path))
    assert merge(tmp_path) == {"naip": 2, PLATFORM: 300}


def test_jobs_without_chips_leave_empty_parts(local, expected, tmp_path):
    options = {"index": local.index, "bands": "red", "max_chips": 2, "output": str(tmp_path)}
    for job in range(3):
        stats(job=job, jobs=3, **options)
    (merged,) = StatisticsFolder(str(tmp_path), Storage()).merge()
    imagery = Imagery(local.index, PLATFORM, bands=("red",), max_nodata=None)
    whole = index_statistics(imagery, Storage(), max_chips=2)
    assert make_report([merged]) == make_report([whole])
    assert merged.chips == 2


def test_an_empty_part_has_no_type_that_others_must_have(local):
    platform = get_platform("naip")
    full = PlatformStatistics(platform, "uint16")
    full.add(np.ones((1, 4, 2, 2), np.uint16))
    for order in (1, -1):
        parts = [PlatformStatistics(platform, "uint8"), full][::order]
        (merged,) = merge_statistics(parts)
        assert (merged.chips, merged.bands[0].moments.count) == (1, 4)
    (empty,) = merge_statistics([PlatformStatistics(platform, "uint8")] * 2)
    assert empty.chips == 0


def test_missing_parts_are_not_passed_over(cubes, run_local, tmp_path):
    run_jobs(cubes, tmp_path / "all", 3)
    some = tmp_path / "some"
    some.mkdir()
    for path in (tmp_path / "all").glob("*_1.npz"):
        shutil.copy(path, some)
    with pytest.raises(UsageError, match=r"has 1 of 3 parts of .*'naip': .* jobs 0, 2 are missing"):
        merge(some)
    code, _, err = run_local("--merge", str(some), "-o", str(tmp_path / "metadata.yaml"))
    assert (code, err.count("\n")) == (2, 1), err
    assert not (tmp_path / "metadata.yaml").exists()


def test_a_platform_that_no_job_came_to_is_missed(cubes, tmp_path):
    run_jobs(cubes, tmp_path, 2)
    for path in tmp_path.glob("*sentinel*"):
        path.unlink()
    with pytest.raises(
        UsageError, match=rf"has 0 of 2 parts of .*'{PLATFORM}': .* jobs 0, 1 are missing"
    ):
        merge(tmp_path)


def test_platforms_that_were_measured_by_runs_of_their_own_merge(cubes, tmp_path):
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    run_jobs(cubes, tmp_path, 3, platform="naip")
    assert merge(tmp_path) == {"naip": 2, PLATFORM: 300}


def test_of_many_missing_parts_some_are_named(tmp_path):
    folder = StatisticsFolder(str(tmp_path), Storage())
    folder.write(PlatformStatistics(get_platform("naip"), "uint8"), Part(3, 100))
    with pytest.raises(UsageError, match=r"jobs 0, 1, 2, 4, 5, 6, 7, 8, 9, 10 and 89 more are"):
        merge(tmp_path)


def test_parts_of_an_earlier_run_are_not_counted(cubes, tmp_path):
    run_jobs(cubes, tmp_path, 3, platform=PLATFORM)
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    with pytest.raises(UsageError, match=r"_2\.npz are parts .*: jobs is 2 in one and 3 in the"):
        merge(tmp_path)
    (tmp_path / f"statistics_{PLATFORM}_2.npz").unlink()
    assert merge(tmp_path) == {PLATFORM: 300}


def test_a_part_that_is_there_twice_is_refused(cubes, tmp_path):
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    again = tmp_path / "kept"
    again.mkdir()
    shutil.copy(tmp_path / f"statistics_{PLATFORM}_0.npz", again)
    with pytest.raises(UsageError, match="both of job 0 of 2"):
        merge(tmp_path)


@pytest.mark.parametrize(
    ("named", "options"), [("max_cubes", {"max_cubes": 2}), ("dtype", {"dtype": "float32"})]
)
def test_parts_of_cubes_that_were_measured_otherwise_are_refused(cubes, tmp_path, named, options):
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    stats(cubes=cubes, platform=PLATFORM, job=1, jobs=2, output=str(tmp_path), **options)
    with pytest.raises(UsageError, match=f"different runs: {named} is"):
        merge(tmp_path)


def test_parts_of_an_index_and_of_cubes_are_refused(local, cubes, tmp_path):
    run_jobs(cubes, tmp_path, 2, platform=PLATFORM)
    stats(index=local.index, bands="blue,red", job=1, jobs=2, output=str(tmp_path))
    with pytest.raises(UsageError, match="different runs"):
        merge(tmp_path)


def test_parts_of_cubes_that_were_still_being_made_are_refused(cubes, tmp_path):
    root = tmp_path / "cubes"
    shutil.copytree(cubes, root)
    (last,) = root.glob(f"*/{PLATFORM}/cube_2.npz")
    last.rename(tmp_path / "later.npz")
    stats(cubes=str(root), job=0, jobs=2, output=str(tmp_path / "parts"))
    (tmp_path / "later.npz").rename(last)
    stats(cubes=str(root), job=1, jobs=2, output=str(tmp_path / "parts"))
    with pytest.raises(UsageError, match="different runs: cube_numbers is"):
        merge(tmp_path / "parts")


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("max_nodata", {"max_nodata": 0.5}),
        ("bands", {"bands": "blue"}),
        ("max_chips", {"max_chips": 9}),
        ("seed", {"seed": 1}),
        ("chips", {"index": "other"}),
    ],
)
def test_parts_of_other_chips_are_refused(local, tmp_path, named, options):
    index = str(tmp_path / "index")
    shutil.copytree(local.index, index)
    common = {"index": index, "bands": "red", "output": str(tmp_path / "parts")}
    stats(job=0, jobs=2, **common)
    if "index" in options:
        shutil.rmtree(index)
        shutil.copytree(Path(local.data).parent / "index-0", index)
        options = {}
    stats(job=1, jobs=2, **common | options)
    with pytest.raises(UsageError, match=f"different runs: {named} is"):
        merge(tmp_path / "parts")


def test_parts_that_tell_no_job_are_refused(tmp_path):
    part = PlatformStatistics(get_platform("naip"), "uint8").to_bytes()
    (tmp_path / "statistics_naip_0.npz").write_bytes(part)
    with pytest.raises(UsageError, match=r"_0\.npz does not say which job it is of"):
        merge(tmp_path)


def test_a_file_that_is_no_cube_is_named(local, tmp_path):
    folder = tmp_path / "mode_v1_chipper_v2" / PLATFORM
    folder.mkdir(parents=True)
    (folder / "cube_0.npz").write_bytes(b"nothing")
    with pytest.raises(IndexFormatError, match=r"cube_0\.npz"):
        cube_statistics(str(tmp_path), PLATFORM, Storage())


def test_real_radar_leaves_nan_out(shared_data):
    """OPERA's files declare NaN as nodata; rasterio says which pixels count."""
    import rasterio

    paths = sorted((shared_data / "sentinel1").glob("*.tif"))
    if not paths:
        pytest.skip("no radar in the shared data")
    from stacchip.statistics import new_statistics

    merged, values = new_statistics("float32"), []
    for path in paths:
        with rasterio.open(path) as dataset:
            band = dataset.read(1)
            if band.dtype != np.float32:
                continue
            usable = ~np.isnan(band)
        merged.add(band[usable])
        values.append(band[usable].astype(np.float64))
    whole = np.concatenate(values)
    assert merged.moments.mean == pytest.approx(whole.mean(), rel=1e-9)
    assert merged.moments.std == pytest.approx(whole.std(), rel=1e-9)
