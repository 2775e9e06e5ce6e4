"""Statistics over an index and over cubes, by the command run as a process and by its parts."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from processors.cube_world import ITEMS, PLATFORM, World, item_chips, make_world
from servers.seaweedfs import SeaweedFS
from stacchip.datasets.platforms import get_platform
from stacchip.datasets.statistics import make_report
from stacchip.errors import ChipNotFound, IndexFormatError
from stacchip.processors.cube_plan import PlanSettings
from stacchip.processors.prechip import Imagery, Prechip
from stacchip.processors.stats import (
    cube_statistics,
    index_statistics,
    list_platforms,
    merge_statistics,
)
from stacchip.storage import Storage
from stacchip.stream import Shard

COMMAND = "from stacchip.processors.stats_command import main; main()"
BANDS = get_platform(PLATFORM).names
PERCENTS = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """All values of each band that are not nodata, as float64."""
    chips = np.concatenate([item_chips(number) for number in range(ITEMS)])
    bands = {name: chips[:, number].ravel() for number, name in enumerate(BANDS)}
    return {name: values[values != 0].astype(np.float64) for name, values in bands.items()}


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
    run = Prechip(Imagery(world.index, PLATFORM, data="data"), "cubes", storage=storage)
    run.run(0)
    return world


def run_command(
    store: SeaweedFS, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMAND, *options],
        env={**kept, **store.environment, "STACCHIP_POOL_SIZE": "2", **variables},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def run_local(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMAND, *options],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


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


def test_of_cubes_in_several_forms_one_is_chosen(local, tmp_path):
    imagery = Imagery(local.index, PLATFORM, bands=("red",))
    for form in ("npz", "zarr"):
        Prechip(imagery, str(tmp_path), form=form).run(0)
    options = ["--cubes", str(tmp_path), "--percentiles", "50"]
    refused = run_local(*options)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "npz and zarr" in refused.stderr
    for form in ("npz", "npz-uncompressed", "zarr"):
        done = run_local(*options, "--format", form)
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout)[PLATFORM]["band_order"] == ["red"]
    assert run_local(*options, "--format", "hdf5").returncode == 2


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
    with pytest.raises(ChipNotFound, match="fewer jobs"):
        index_statistics(Imagery(local.index, PLATFORM), Storage(), shard=Shard(0, 1000))


def test_a_file_that_is_no_cube_is_named(local, tmp_path):
    folder = tmp_path / "mode_v1_chipper_v2" / PLATFORM
    folder.mkdir(parents=True)
    (folder / "cube_0.npz").write_bytes(b"nothing")
    with pytest.raises(IndexFormatError, match=r"cube_0\.npz"):
        cube_statistics(str(tmp_path), PLATFORM, Storage())


def test_real_radar_leaves_nan_out(shared_data):
    """OPERA's NaN is declared in its files: what counts is what rasterio says is there."""
    import rasterio

    paths = sorted((shared_data / "sentinel1").glob("*.tif"))
    if not paths:
        pytest.skip("no radar in the shared data")
    from stacchip.datasets.statistics import new_statistics

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
