"""From an index to cubes, by the command in a process of its own and by the library."""

from __future__ import annotations

import hashlib
import io
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import pytest
import zarr

from cubes.cube_world import DATES, ITEMS, PER_ITEM, PLATFORM, World, item_chips, make_world
from cubes.dying import HEAD, PARTS
from servers.nginx import Nginx
from servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS
from stacchip.cli import run as run_stacchip
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import PlanSettings
from stacchip.cubes.plan_file import PlanFile, write_plan_file
from stacchip.cubes.prechip import Prechip
from stacchip.cubes.sinks import CubeFolder, find_cubes
from stacchip.errors import (
    AssetChanged,
    AssetNotFound,
    ChipNotFound,
    IndexFormatError,
    InvalidMetadata,
    UsageError,
)
from stacchip.storage import Storage

COMMAND = "from stacchip.cli.scripts import prechip; prechip()"
CHIPS = ITEMS * PER_ITEM  # 300: two cubes of 128 and one of 44
FOLDER = f"mode_v1_chipper_v2/{PLATFORM}"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    """The archive in a local folder."""
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """All chips by number."""
    return np.concatenate([item_chips(number) for number in range(ITEMS)])


def run_of(world: World, target: Path, **options) -> Prechip:
    settings = {
        name: options.pop(name)
        for name in ("seed", "cube_size", "cubes_per_job", "last_cube")
        if name in options
    }
    imagery = Imagery(world.index, PLATFORM, data=world.data)
    return Prechip(imagery, str(target), PlanSettings(**settings), **options)


def run_all(run: Prechip) -> int:
    """Run every job, and return the number of cubes written."""
    plan = run.plan()
    return sum(run.run(job, plan).cubes for job in range(plan.jobs))


def read_cubes(target: Path) -> dict[int, dict[str, np.ndarray]]:
    cubes = {}
    for path in (target / FOLDER).glob("cube_*.npz"):
        with np.load(path) as file:
            cubes[int(path.stem.removeprefix("cube_"))] = {name: file[name] for name in file.files}
    return cubes


def digests(target: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((target / FOLDER).glob("*"))
    }


def check_cube(world: World, cube: dict[str, np.ndarray], expected: np.ndarray) -> list[int]:
    """Check pixels, place and time of every chip of a cube, and return the chips' numbers."""
    pixels = cube["pixels"]
    assert pixels.dtype == np.float32
    numbers = world.chip_numbers(pixels)
    np.testing.assert_array_equal(pixels, expected[numbers])
    rows = {
        DATES_OF[row["item_id"]] * PER_ITEM + row["chip_index_y"] * 10 + row["chip_index_x"]: row
        for row in world.table.to_pylist()
    }
    for place, number in enumerate(numbers):
        box, when = rows[number]["bbox"], DATES[number // PER_ITEM]
        lon = math.radians((box["xmin"] + box["xmax"]) / 2)
        lat = math.radians((box["ymin"] + box["ymax"]) / 2)
        week, hour = when.isocalendar().week * math.tau / 52, when.hour * math.tau / 24
        angles = {"lon_norm": lon, "lat_norm": lat, "week_norm": week, "hour_norm": hour}
        for name, angle in angles.items():
            encoded = (math.sin(angle), math.cos(angle))
            np.testing.assert_allclose(cube[name][place], encoded, atol=1e-6, err_msg=name)
    return numbers.tolist()


DATES_OF = {f"S2A_31UFS_2023{number}_0_L2A": number for number in range(ITEMS)}


# -- the command as a process, against a real store ------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with SeaweedFS(tmp_path_factory.mktemp("weed"), buckets=("data", "cubes")) as server:
        yield server


@pytest.fixture(scope="module")
def remote(store, tmp_path_factory) -> World:
    """The archive in a bucket."""
    return make_world(
        "s3://data", tmp_path_factory.mktemp("remote"), Storage(options=store.options)
    )


def environment(store: SeaweedFS, world: World, **more: str) -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "PYTHONPATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {
        **kept,
        **store.environment,
        "STACCHIP_DATA_BUCKET": "data",
        "STACCHIP_INDEXPATH": world.index,
        "STACCHIP_CHIP_BUCKET": "cubes",
        "STACCHIP_PLATFORM": PLATFORM,
        "STACCHIP_CUBES_PER_JOB": "2",
        "STACCHIP_POOL_SIZE": "2",
        "STACCHIP_MAX_NODATA": "0.5",
        **more,
    }


def run_command(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMAND, *options],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.servers
def test_array_jobs_give_every_chip_once_by_their_environment_alone(store, remote, expected):
    for job in ("1", "0", "2"):
        done = run_command(environment(store, remote, AWS_BATCH_JOB_ARRAY_INDEX=job))
        assert done.returncode == 0, done.stderr
    assert "nothing to do, there are 2 jobs" in done.stdout
    storage = Storage(options=store.options)
    hrefs = [entry.href for entry in storage.list("s3://cubes/")]
    assert sorted(hrefs) == sorted(
        f"s3://cubes/{FOLDER}/{name}"
        for name in ("_cubes.json", "cube_0.npz", "cube_1.npz", "cube_2.npz")
    )
    seen: list[int] = []
    for number, count in ((0, 128), (1, 128), (2, 44)):
        data = storage.read(f"s3://cubes/{FOLDER}/cube_{number}.npz")
        with np.load(io.BytesIO(data)) as file:
            cube = {name: file[name] for name in file.files}
        assert cube["pixels"].shape == (count, 10, 32, 32)
        seen += check_cube(remote, cube, expected)
    assert sorted(seen) == list(range(CHIPS))


@pytest.mark.servers
def test_a_job_that_is_killed_and_run_again_leaves_what_one_that_ran_through_does(store, remote):
    storage = Storage(options=store.options)
    options = {"STACCHIP_CUBE_SIZE": "8", "STACCHIP_CUBES_PER_JOB": "40"}
    through = environment(store, remote, STACCHIP_CHIP_BUCKET="cubes/through", **options)
    through["STACCHIP_CHIP_BUCKET"] = "s3://cubes/through"
    begin = time.monotonic()
    assert run_command(through).returncode == 0
    whole = time.monotonic() - begin
    killed = {**through, "STACCHIP_CHIP_BUCKET": "s3://cubes/killed"}
    dice = random.Random(4)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", COMMAND], env=killed)
        time.sleep(dice.uniform(0.3, 0.95) * whole)
        process.kill()
        process.wait()
    before = {each.href: storage.stat(each.href) for each in storage.list("s3://cubes/killed/")}
    done = run_command(killed)
    assert done.returncode == 0, done.stderr
    for href, identity in before.items():
        assert identity == storage.stat(href), f"{href} was written again"

    def content(root: str) -> dict[str, bytes]:
        return {
            entry.href.removeprefix(root): storage.read(entry.href) for entry in storage.list(root)
        }

    assert content("s3://cubes/killed/") == content("s3://cubes/through/")


@pytest.mark.servers
@pytest.mark.parametrize("form", ["npz-uncompressed", "webdataset"])
def test_a_job_killed_in_an_upload_and_run_again_leaves_no_part_behind(
    store, remote, expected, tmp_path, form
):
    """A cube of 300 chips has 12 MB and is uploaded in two parts, slowly by a slow store."""
    place, other = f"killed-in-upload-{form}", "of-another-job.npz"
    options = {
        "STACCHIP_CHIP_BUCKET": f"s3://cubes/{place}",
        "STACCHIP_CUBE_SIZE": "300",
        "STACCHIP_CUBE_FORMAT": form,
    }
    storage = Storage(options=store.options)
    s3 = boto3.client(
        "s3", endpoint_url=store.endpoint, region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
    )  # fmt: skip

    def unfinished() -> set[str]:
        uploads = s3.list_multipart_uploads(Bucket="cubes").get("Uploads", [])
        return {upload["Key"] for upload in uploads if upload["Key"].startswith(place)}

    with Nginx(tmp_path, upstream=store.endpoint) as proxy:
        slow = {**environment(store, remote, **options), "AWS_ENDPOINT_URL": proxy.url}
        proxy.set(delay_s=0.2)
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", COMMAND], env=slow)
        while not (left := unfinished()):
            assert process.poll() is None, "it ended without an upload in parts"
            time.sleep(0.02)
        process.kill()
        process.wait()
    assert left == unfinished(), "it was killed too late"
    s3.create_multipart_upload(Bucket="cubes", Key=f"{place}/{FOLDER}/{other}")
    with pytest.raises(ChipNotFound):
        find_cubes(CubeFolder(f"s3://cubes/{place}", PLATFORM), storage)
    done = run_command(environment(store, remote, **options))
    assert done.returncode == 0, done.stderr
    assert unfinished() == {f"{place}/{FOLDER}/{other}"}
    cubes = find_cubes(CubeFolder(f"s3://cubes/{place}", PLATFORM), storage)
    assert cubes.numbers == (0,)
    numbers = check_cube(remote, cubes.reader.read(0), expected)
    assert sorted(numbers) == list(range(CHIPS))


@pytest.mark.servers
def test_a_plan_in_a_bucket_is_read_job_by_job(store):
    storage = Storage(options=store.options)
    write_plan_file("s3://cubes/some/_cubes.plan", HEAD, iter(PARTS), storage)
    file = PlanFile.read("s3://cubes/some/_cubes.plan", storage)
    before = storage.requests
    assert file.rows(1, len(PARTS[1]), storage).tolist() == PARTS[1].tolist()
    assert storage.requests == before + 1
    with pytest.raises(AssetChanged):
        write_plan_file("s3://cubes/some/_cubes.plan", {**HEAD, "seed": 2}, PARTS, storage)
    seen = storage.stat("s3://cubes/some/_cubes.plan")
    write_plan_file("s3://cubes/some/_cubes.plan", HEAD, PARTS[::-1], storage, expect=seen)
    with pytest.raises(AssetChanged):
        write_plan_file("s3://cubes/some/_cubes.plan", HEAD, PARTS, storage, expect=seen)
    with pytest.raises(IndexFormatError, match="replaced while it was read"):
        file.rows(1, len(PARTS[1]), storage)
    storage.delete("s3://cubes/some/_cubes.plan")


@pytest.mark.servers
def test_what_is_wrong_is_one_line_and_an_exit_code(store, remote):
    missing = run_command(environment(store, remote, STACCHIP_BANDS="blue,thermal",
                                      STACCHIP_CHIP_BUCKET="s3://cubes/none"))  # fmt: skip
    assert missing.returncode == 1
    (*_, line) = missing.stderr.splitlines()
    assert "'thermal'" in line
    assert "S2A_31UFS_2023" in line
    assert "Traceback" not in missing.stderr
    assert not list(Storage(options=store.options).list(f"s3://cubes/none/{FOLDER}/cube_0.npz"))
    misused = run_command(environment(store, remote, STACCHIP_CUBE_FORMAT="hdf5"))
    assert (misused.returncode, misused.stderr.count("\n")) == (2, 1)
    unset = environment(store, remote)
    del unset["STACCHIP_INDEXPATH"]
    assert run_command(unset).returncode == 2
    denied = environment(store, remote, AWS_SECRET_ACCESS_KEY="wrong-secret-of-mine")
    refused = run_command(denied)
    assert refused.returncode == 2, "AWS Batch tries it again in vain if it is another code"
    assert "wrong-secret-of-mine" not in refused.stderr + refused.stdout


# -- the plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cube_size", [1, 7, 100, 128, 300, 1000])
def test_every_chip_is_in_one_cube_whatever_their_sizes(local, tmp_path, cube_size):
    plan = run_of(local, tmp_path, cube_size=cube_size, cubes_per_job=3).plan()
    rows = {}
    for job in range(plan.jobs):
        rows |= plan.rows(job)
    assert sorted(rows) == list(range(math.ceil(CHIPS / cube_size)))
    assert [len(rows[number]) for number in range(len(rows) - 1)] == [cube_size] * (len(rows) - 1)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(CHIPS))
    assert plan.rows(plan.jobs) == {}


def test_the_permutation_is_the_seeds(local, tmp_path):
    def sequence(seed: int) -> list[int]:
        plan = run_of(local, tmp_path, seed=seed, cubes_per_job=2).plan()
        return np.concatenate([*plan.rows(0).values(), *plan.rows(1).values()]).tolist()

    assert sequence(1) == sequence(1)
    assert sequence(1) != sequence(2)


def test_cubes_mix_scenes(local, tmp_path):
    plan = run_of(local, tmp_path, cube_size=30, cubes_per_job=10).plan()
    for rows in plan.rows(0).values():
        assert len(set(plan.table["item_id"].take(rows).to_pylist())) == ITEMS


def test_a_short_last_cube_is_kept_or_dropped_by_choice(local, tmp_path):
    assert run_all(run_of(local, tmp_path / "keep")) == 3
    assert run_all(run_of(local, tmp_path / "drop", last_cube="drop")) == 2
    assert sorted(read_cubes(tmp_path / "drop")) == [0, 1]
    with pytest.raises(UsageError, match="not 'pad'"):
        run_of(local, tmp_path, last_cube="pad")


def test_chips_beyond_the_limits_are_in_no_cube(local, tmp_path):
    imagery = Imagery(local.index, PLATFORM, chip_size=64)
    with pytest.raises(ChipNotFound, match="limits"):
        Prechip(imagery, str(tmp_path)).plan()


# -- cubes -----------------------------------------------------------------------------------------


def test_a_complete_cube_is_not_made_again_and_a_broken_one_is(local, tmp_path):
    run = run_of(local, tmp_path, cube_size=50, cubes_per_job=4)
    assert run_all(run) == 6
    first = digests(tmp_path)
    folder = tmp_path / FOLDER
    (folder / "cube_1.npz").unlink()
    (folder / "cube_4.npz").write_bytes((folder / "cube_4.npz").read_bytes()[:5000])
    report = run.run(0)
    assert (report.cubes, report.cubes_there, report.chips) == (1, 3, 50)
    assert run.run(1).cubes == 1
    assert digests(tmp_path) == first
    plan = run.plan()
    begun = run.storage.bytes_read
    assert run.run(0, plan).cubes == 0
    assert run.storage.bytes_read - begun < 10_000, "pixels were read for nothing"


@pytest.mark.parametrize("change", [{"seed": 1}, {"cubes_per_job": 5}, {"cube_size": 60}])
def test_cubes_of_another_permutation_are_not_mixed_in(local, tmp_path, change):
    options = {"cube_size": 50, "cubes_per_job": 4}
    run_of(local, tmp_path, **options).run(0)
    before = digests(tmp_path)
    with pytest.raises(UsageError, match=f"{next(iter(change))} was"):
        run_of(local, tmp_path, **options | change).run(1)
    assert digests(tmp_path) == before


def test_uncompressed_cubes_have_the_same_pixels(local, tmp_path):
    run_all(run_of(local, tmp_path / "a"))
    run_all(run_of(local, tmp_path / "b", form="npz-uncompressed"))
    packed, plain = read_cubes(tmp_path / "a"), read_cubes(tmp_path / "b")
    for number in packed:
        np.testing.assert_array_equal(packed[number]["pixels"], plain[number]["pixels"])


def test_zarr_has_the_pixels_of_the_npz_cubes(local, tmp_path):
    run_all(run_of(local, tmp_path))
    run = run_of(local, tmp_path, form="zarr")
    assert run_all(run) == 3
    assert run_all(run) == 0
    group = zarr.open_group(tmp_path / FOLDER / "cubes.zarr", mode="r")
    cubes = read_cubes(tmp_path)
    for name in ("pixels", "lon_norm", "hour_norm"):
        whole = np.concatenate([cubes[number][name] for number in range(3)])
        np.testing.assert_array_equal(group[name][:], whole)


def test_webdataset_shards_are_resumed_too(local, tmp_path):
    run = run_of(local, tmp_path, form="webdataset")
    assert run_all(run) == 3
    (tmp_path / FOLDER / "cube_1.tar").unlink()
    assert run_all(run) == 1


def test_a_missing_band_names_item_and_asset(local, tmp_path):
    imagery = Imagery(local.index, PLATFORM, bands=("red", "nir:2"))
    with pytest.raises(AssetNotFound, match="has 1 bands, and no band 2") as caught:
        Prechip(imagery, str(tmp_path)).run(0)
    assert caught.value.asset == "nir"
    assert caught.value.item_id in DATES_OF
    assert not list((tmp_path / FOLDER).glob("cube*"))


def test_a_broken_file_fails_the_job_and_the_cubes_before_it_stay(local, tmp_path):
    path = Path(local.data) / PLATFORM / "S2A_31UFS_20231_0_L2A" / "nir08.tif"
    whole = path.read_bytes()
    # the size stays the same, so that the header in the index is trusted
    path.write_bytes(whole[:2000] + bytes(len(whole) - 2000))
    try:
        with pytest.raises(OSError, match=r"S2A_31UFS_20231_0_L2A.*nir08"):
            run_all(run_of(local, tmp_path, cube_size=10, cubes_per_job=40))
    finally:
        path.write_bytes(whole)
    assert run_all(run_of(local, tmp_path, cube_size=10, cubes_per_job=40)) > 0
    assert len(read_cubes(tmp_path)) == 30


@pytest.mark.parametrize("platform", ["../naip", "a/b", ""])
def test_a_platforms_name_cannot_leave_its_folder(local, tmp_path, platform):
    with pytest.raises(InvalidMetadata):
        Prechip(Imagery(local.index, platform, bands=("a",)), str(tmp_path))


def test_the_command_says_which_chips_it_takes_and_leaves_out(local, tmp_path, capsys):
    asked = ["prechip", "--index", local.index, "--platform", PLATFORM, "--target", str(tmp_path)]
    assert run_stacchip([*asked, "--plan", "--last-cube", "drop", "--max-nodata", "100%"]) == 0
    said = capsys.readouterr().err
    taken = f"{PLATFORM}: 256 of 300 chips are taken, with at most 100% nodata and any cloud"
    assert taken in said
    assert f"{PLATFORM}: left out: 44 of a short last cube (--last-cube keep takes them)" in said
