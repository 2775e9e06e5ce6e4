"""Runs over many rows: clusters, deaths, bad rows, slow catalogues, dry runs and links."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import dask
import numpy as np
import pytest
import rasterio
from distributed import Client

from collect.worlds import linz_world, naip_world, sentinel_2_world
from servers.nginx import Nginx
from servers.outside import everywhere
from servers.pgstac import free_port
from stacchip.chipper import Chipper
from stacchip.collect.run import local_cluster
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.writable import PROBE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SURVEYS = [f"otago/survey-{number}_2020_0.3m/rgb/2193" for number in range(6)]


@pytest.fixture
def surveys(outside, shared_data, tmp_path):
    """Load six surveys of three sheets each, and return the list of them."""
    for survey in SURVEYS:
        folder = tmp_path / survey.split("/")[1]
        folder.mkdir()
        outside.load(linz_world(shared_data, folder, survey, sheets=3))
    path = tmp_path / "surveys.txt"
    path.write_text("# six surveys\n" + "\n".join(SURVEYS) + "\n")
    return path


def collect_linz(outside, surveys, bucket, *options, **kwargs):
    return outside.run(
        "collect", "linz", "--sample", str(surveys), "--bucket", bucket, *options,
        STACCHIP_CATALOGUE="s3://nz-imagery/", **kwargs,
    )  # fmt: skip


def items_of(outside, root):
    return sorted(
        entry.href.split("/")[-2]
        for entry in outside.storage.list(f"{root}/")
        if entry.href.endswith("/stac_item.json")
    )


def indexes_of(outside, root):
    return sum(
        bool(re.search(r"/index_[^/]+\.parquet$", entry.href))
        for entry in outside.storage.list(f"{root}/index/")
    )


@pytest.fixture
def cluster(outside, tmp_path):
    """Run a scheduler and two workers as processes; yield the address and the workers."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = {
        **outside.environment(),
        "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # docs/dask.md
    }
    log = (tmp_path / "cluster.log").open("w")
    common = {"env": environment, "stdout": log, "stderr": log}
    dask = [sys.executable, "-W", "ignore", "-m"]
    processes = [
        subprocess.Popen(
            [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
             "--no-dashboard"], **common,
        )
    ]  # fmt: skip
    processes += [
        subprocess.Popen(
            [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
             "--no-dashboard", "--host", "127.0.0.1", "--local-directory", str(tmp_path / name)],
            **common,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    with Client(address, timeout=30) as client:
        client.wait_for_workers(2, timeout=30)
    yield address, processes[1:]
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
            process.wait(20)
    log.close()


def test_rows_run_on_worker_processes_of_this_machine(outside, surveys):
    done = collect_linz(
        outside, surveys, "s3://archive/dask-local", "--dask", "local", "--workers", "2"
    )
    assert "6 rows, 18 items" in done.stdout
    assert len(items_of(outside, "s3://archive/dask-local")) == 18
    assert indexes_of(outside, "s3://archive/dask-local") == 18


def test_workers_of_this_machine_do_not_profile():
    name = "distributed.worker.profile.enabled"
    with local_cluster(1) as cluster, Client(cluster) as client:
        assert client.submit(dask.config.get, name, pure=False).result(timeout=30) is False
        dying = client.submit(os.kill, client.submit(os.getpid).result(), signal.SIGKILL)
        dying.cancel()
        again = client.submit(dask.config.get, name, pure=False)
        assert again.result(timeout=60) is False, "not even one that was started again"
    assert dask.config.get("distributed.worker.profile.enabled") is True, (
        "the setting is for our workers only"
    )


def test_a_worker_that_dies_costs_its_rows_retry_only(outside, surveys, cluster):
    address, workers = cluster
    outside.proxy.set(delay_s=0.02)
    process = subprocess.Popen(
        outside.command(
            "collect", "linz", "--sample", str(surveys), "--bucket", "s3://archive/dask-killed",
            "--dask", address,
        ),
        env=outside.environment(STACCHIP_CATALOGUE="s3://nz-imagery/"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while outside.proxy.count("PUT", "/archive/dask-killed/") < 5:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    workers[0].kill()
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "6 rows, 18 items" in text
    assert "0 rows failed" in text
    assert len(items_of(outside, "s3://archive/dask-killed")) == 18
    begun = sum(
        request.method == "GET" and request.path.endswith("/collection.json")
        for request in outside.proxy.requests()
    )
    assert begun in {6, 7}, "one row was begun again, at most"


@pytest.mark.parametrize(
    "dask", [(), ("--dask", "local", "--workers", "2")], ids=["threads", "dask"]
)
def test_a_bad_row_does_not_end_the_run(outside, surveys, dask):
    broken = f"nz-imagery/{SURVEYS[2]}/BX24_500_025022.tiff"
    whole = outside.storage.read(f"s3://{broken}")
    outside.storage.write(f"s3://{broken}", whole[: len(whole) // 3])
    bucket = f"s3://archive/bad-row{len(dask)}"
    try:
        done = collect_linz(outside, surveys, bucket, *dask, check=False)
    finally:
        outside.storage.write(f"s3://{broken}", whole)
    assert done.returncode == 1
    assert "6 rows, 17 items" in done.stdout
    assert "1 rows failed" in done.stdout
    first, failure, again = done.stderr.strip().splitlines()
    assert first == f"Writing to {bucket}"
    assert failure.startswith(f"row 2 ({SURVEYS[2]}) failed: ")
    assert again.endswith("--rows 2")
    assert "survey-2_2020_0.3m_BX24_500_025022" in done.stderr
    assert len(items_of(outside, bucket)) == 17
    told = re.findall(r"^  row \d: (\S+): 1 files .* and 2 chips", done.stdout, re.MULTILINE)
    assert len(set(told)) == (0 if dask else 17), "Dask's workers report on rows only"
    again = collect_linz(outside, surveys, bucket)
    assert "6 rows, 18 items, 1 files" in again.stdout, "only what was missing is made"


def test_rows_are_selected_and_one_can_be_run_alone(outside, surveys):
    done = collect_linz(outside, surveys, "s3://archive/selected", "--rows", "4:6")
    assert "2 rows, 6 items" in done.stdout
    assert {name.split("_")[0] for name in items_of(outside, "s3://archive/selected")} == {
        "survey-4", "survey-5",
    }  # fmt: skip


def test_a_store_that_answers_503_slows_a_run_and_does_not_fail_it(outside, surveys):
    outside.proxy.set(fail_rate=0.15, fail_status=503, retry_after_s=1)
    done = collect_linz(outside, surveys, "s3://archive/slow", "--rows", "0:3", "--workers", "3")
    assert "3 rows, 9 items" in done.stdout
    assert outside.proxy.count(status=503) > 5
    assert len(items_of(outside, "s3://archive/slow")) == 9


def test_a_store_that_drops_connections_does_not_fail_a_run(outside, surveys):
    outside.proxy.set(fail_rate=0.1, fail_status=444)
    done = collect_linz(outside, surveys, "s3://archive/dropped", "--rows", "0:3", "--workers", "3")
    assert "3 rows, 9 items" in done.stdout
    assert outside.proxy.count(status=444) > 3


def sentinel_2_dry_run(outside, shared_data, *options, **environment):
    outside.load(sentinel_2_world(shared_data))
    layer = outside.sample(
        "dry", name=["30UXB", "29RKH"], geometry=everywhere((-11.9, 24.4, -10.9, 25.2), 2)
    )
    return outside.run(
        "sentinel_2", "--rows", "1", "--sample", str(layer), "--dry-run", *options, **environment
    )


def test_a_dry_run_tells_the_bytes_and_writes_nothing(outside, shared_data):
    done = sentinel_2_dry_run(outside, shared_data, STACCHIP_BUCKET="s3://archive/dry")
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("1\t")]
    assert len(lines) == 88
    assert all(line[3].startswith("s3://sentinel-cogs/") for line in lines)
    assert not [line for line in lines if line[4] == "size unknown"]
    assert "nothing written" in done.stdout
    assert not list(outside.storage.list("s3://archive/dry/"))
    assert outside.proxy.count("GET", "/sentinel-cogs/") == 0
    assert outside.proxy.count("PUT") == 0


def test_a_catalogue_under_load_is_waited_for(outside, shared_data):
    with Nginx(
        outside.folder, upstream=outside.api.url, seed=3, fail_rate=0.3, fail_status=429,
        retry_after_s=1,
    ) as busy:  # fmt: skip
        done = sentinel_2_dry_run(
            outside, shared_data, STACCHIP_BUCKET="s3://archive/dry", STACCHIP_CATALOGUE=busy.url
        )
        assert busy.count(status=429) > 2
    assert done.stdout.count("s3://sentinel-cogs/") == 88


def test_a_catalogue_is_asked_no_faster_than_wanted(outside, shared_data):
    with Nginx(outside.folder, upstream=outside.api.url) as counting:
        sentinel_2_dry_run(
            outside, shared_data, "--rate", "5", STACCHIP_BUCKET="s3://archive/dry",
            STACCHIP_CATALOGUE=counting.url,
        )  # fmt: skip
        times = sorted(request.time for request in counting.requests())
    assert len(times) == 10, "the landing page, as pystac-client asks, and eight searches"
    busiest = max(sum(start <= other < start + 1 for other in times) for start in times)
    assert busiest <= 6, "five in a second, and one on its edge"
    assert times[-1] - times[0] >= (len(times) - 1) / 5 - 0.1


def test_linked_imagery_is_indexed_where_it_lies(outside, shared_data):
    world = naip_world(shared_data)
    outside.load(world)
    layer = outside.sample("linked", n=[0], geometry=everywhere(tuple(world.items[0]["bbox"]), 1))
    outside.run(
        "naip", "--files", "link", "--rows", "0",
        STACCHIP_SAMPLE_SOURCE=str(layer), STACCHIP_BUCKET="s3://archive/linked",
    )  # fmt: skip
    root = "s3://archive/linked"
    content = outside.content(root)
    assert not [name for name in content if name.endswith(".tif")]
    item_id = world.expected[1]
    record = json.loads(content[f"/naip/{item_id}/stac_item.json"])
    href = record["assets"]["image"]["href"]
    assert href.startswith("s3://naip-analytic/nd/2012/100cm/rgbir_cog/47099/63/")
    storage = Storage(
        options=outside.store.options,
        overrides={
            "s3://naip-analytic/": StorageOptions(
                **{**vars(outside.store.options), "requester_pays": True,
                   "endpoint": outside.proxy.url}
            )
        },
    )  # fmt: skip
    chip = Chipper(f"{root}/index/naip/{item_id}", storage=storage)[0][2]
    assert chip["image"].shape == (4, 256, 256)


def test_a_second_run_reads_nothing_from_the_source(outside, surveys):
    collect_linz(outside, surveys, "s3://archive/again", "--rows", "0")
    outside.proxy.forget()
    done = collect_linz(outside, surveys, "s3://archive/again", "--rows", "0")
    assert "3 of them there already; 0 files" in done.stdout
    requests = outside.proxy.requests()
    sources = [r for r in requests if r.path.startswith("/nz-imagery/") and r.method == "GET"]
    assert not [r for r in sources if r.path.endswith(".tiff")]
    assert [r.path.rpartition("/")[2] for r in requests if r.method == "PUT"] == [PROBE]


def test_other_choices_make_the_archive_anew(outside, surveys):
    collect_linz(outside, surveys, "s3://archive/choices", "--rows", "0")
    collect_linz(outside, surveys, "s3://archive/choices", "--rows", "0", "--resolution", "0.6",
                 "--chip-size", "128")  # fmt: skip
    content = outside.content("s3://archive/choices")
    records = [json.loads(content[name]) for name in content if name.endswith("stac_item.json")]
    assert len(records) == 3
    for record in records:
        assert record["properties"]["proj:transform"][0] == pytest.approx(0.6)
        assert record["properties"]["stacchip:choices"]["chip_size"] == 128


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rows", "99"), "rows 0 to 5"),
        (("--rows", "0", "--max-cloud", "5%"), "has no --max-cloud"),
        (("--rows", "0", "--files", "move"), "copy or link"),
        (("--rows", "0", "--years", "often"), "FIRST:LAST"),
    ],
)
def test_misuse_is_one_clear_line_and_exit_code_2(outside, surveys, options, words):
    done = collect_linz(outside, surveys, "s3://archive/misuse", *options, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_workers_that_cannot_write_are_one_line_and_exit_code_2(outside, surveys, tmp_path):
    (tmp_path / "file").touch()
    done = collect_linz(
        outside, surveys, str(tmp_path / "file/archive"), "--dask", "local", "--workers", "1",
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    place, refusal = done.stderr.splitlines()
    assert place.startswith("Writing to ")
    assert f"{tmp_path / 'file'} is a file" in refusal


def test_a_job_without_a_row_is_misused(outside):
    done = outside.run("modis", check=False, STACCHIP_BUCKET="s3://archive/misuse")
    assert done.returncode == 2
    assert "AWS_BATCH_JOB_ARRAY_INDEX" in done.stderr


def test_a_local_folder_takes_an_archive_too(outside, surveys, tmp_path):
    collect_linz(outside, surveys, str(tmp_path / "archive"), "--rows", "0")
    assert len(list((tmp_path / "archive/linz").glob("*/stac_item.json"))) == 3
    assert not [
        path for path in (tmp_path / "archive").iterdir() if path.name not in {"linz", "index"}
    ]


@pytest.mark.parametrize("dask", [(), ("--dask", "local")], ids=["threads", "dask"])
def test_a_relative_folder_is_filled_and_moved(outside, surveys, tmp_path, dask):
    done = subprocess.run(
        outside.command(
            "collect", "linz", "--sample", str(surveys), "--bucket", "./archive", "--rows", "0,3:5",
            *dask,
        ),
        env=outside.environment(STACCHIP_CATALOGUE="s3://nz-imagery/"),
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "archive").rename(tmp_path / "moved")
    folders = sorted((tmp_path / "moved/linz").iterdir())
    assert len(folders) == 9
    for folder in folders:
        chip = Chipper(tmp_path / "moved/index/linz" / folder.name).cut_row(0)
        with rasterio.open(next(folder.glob("*.tiff"))) as dataset:
            window = rasterio.windows.Window(chip.x * 256, chip.y * 256, 256, 256)
            np.testing.assert_array_equal(chip.array, dataset.read(window=window))
