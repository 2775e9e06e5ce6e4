"""The benchmarks' own tools: with a wrong server or a misread goal, any claim could be shown."""

import http.client
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

# the benchmarks are no part of the package: they lie beside it
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contender import REPOSITORY, Contender, ContenderError
from benchmarks.latency_relay import relay
from benchmarks.latency_server import serve
from benchmarks.measuring import Benchmark, Row, Samples, at_least, at_most
from benchmarks.processor import FLOOR, ORIGINAL, OURS, make_rows
from benchmarks.random_chips import choose_chips
from benchmarks.results import make_result, render_chart, render_markdown

CONTENT = bytes(range(256)) * 40
MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gb": 8.0,
    "python": "3.11",
    "gdal": "3.10",
    "packages": {"numpy": "2"},
    "load_average_1min": 0.1,
}


@pytest.fixture
def url(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.bin").write_bytes(CONTENT)
    with serve(tmp_path / "folder", 0.030) as address:
        yield address


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as response:
        return response.status, response.headers, response.read()


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, 10240), ("bytes=-7", 10233, 10240)],
)
def test_server_sends_the_range_that_was_asked_for(url, asked, first, stop):
    status, headers, body = fetch(f"{url}/file.bin", Range=asked)
    assert status == 206
    assert body == CONTENT[first:stop]
    assert headers["Content-Range"] == f"bytes {first}-{stop - 1}/{len(CONTENT)}"
    assert headers["ETag"]


def test_server_waits_before_it_answers_and_counts(url):
    begin = time.perf_counter()
    status, _, body = fetch(f"{url}/file.bin")
    assert time.perf_counter() - begin >= 0.030
    assert (status, body) == (200, CONTENT)
    stats = json.loads(fetch(f"{url}/__stats")[2])
    assert stats == {"requests": 1, "bytes": len(CONTENT)}


def test_server_serves_nothing_outside_its_folder(url, tmp_path):
    (tmp_path / "secret").write_text("secret")
    for path in ("/missing", "/../secret", "/%2e%2e/secret"):
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            fetch(url + path)
        refused.value.close()


def test_a_goal_knows_its_direction():
    assert at_least(15).is_met(15.1)
    assert not at_least(15).is_met(14.9)
    assert at_most(600).is_met(599)
    assert not at_most(600).is_met(601)


def test_a_missed_goal_is_said_in_the_table():
    benchmark = Benchmark("b", "Title & more", "How.", ("It differs.",), lambda _: [])
    rows = [
        Row("stacchip", 20.0, "ms", goal=at_most(10), range=(19.0, 22.0), bar=True),
        Row("original", 400.0, "ms", bar=True),
    ]
    result = make_result(benchmark, rows, {"left_out": {"rasteret": "no"}, "machine": MACHINE})
    result = json.loads(json.dumps(result))
    page = render_markdown({"b": result})
    assert "| stacchip | 20 ms | 19 to 22 | at most 10: NOT met |" in page
    assert "Not like for like: It differs." in page
    assert "Left out: rasteret: no" in page
    chart = ET.fromstring(render_chart({"b": result}))
    widths = [float(bar.get("width")) for bar in chart.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[2] / widths[1] == pytest.approx(20)


def test_random_chips_share_no_block():
    chips = choose_chips()
    blocks = {(x // 8, y // 8) for x, y in chips}
    assert len(blocks) == len(chips) == 25


def test_a_failing_contender_tells_its_traceback():
    contender = Contender("benchmarks.floor")
    try:
        with pytest.raises(ContenderError, match="KeyError"):
            contender.ask("no such task")
    finally:
        contender.close()


def test_relay_delays_every_request_and_changes_nothing(tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    with serve(tmp_path, 0.0) as server, relay(server, 0.030) as relayed:
        connection = http.client.HTTPConnection(relayed.url.removeprefix("http://"))
        for number in range(1, 4):
            begin = time.perf_counter()
            connection.request("GET", "/file.bin")
            assert connection.getresponse().read() == CONTENT
            assert time.perf_counter() - begin >= 0.030
            assert relayed.count().requests == number
        connection.close()
        assert relayed.count().to_client > 3 * len(CONTENT)


@pytest.mark.servers
def test_relay_delays_again_what_a_client_holds_back_for_an_answer(seaweed):
    # boto3 sends a body after `100 Continue`: far away that is two ways to the server
    boto3 = pytest.importorskip("boto3")
    with relay(seaweed.endpoint, 0.030) as relayed:
        client = boto3.client(
            "s3",
            endpoint_url=relayed.url,
            region_name="us-east-1",
            aws_access_key_id=seaweed.options.access_key_id,
            aws_secret_access_key=seaweed.options.secret_access_key,
        )
        begin = time.perf_counter()
        client.put_object(Bucket="private", Key="relayed", Body=CONTENT)
        assert time.perf_counter() - begin >= 0.060
        # the signature was for the relay's address, and held
        assert client.get_object(Bucket="private", Key="relayed")["Body"].read() == CONTENT
        counts = relayed.count()
        client.close()
    assert counts.requests == 3
    assert min(counts.to_server, counts.to_client) > len(CONTENT)


def test_relay_ends_what_its_server_ends(tmp_path):
    with serve(tmp_path, 0.0) as server, relay(server, 0.0) as relayed:
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            fetch(f"{relayed.url}/missing", Connection="close")
        refused.value.close()


def run_benchmarks(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_every_benchmark_is_listed():
    names = [line.split()[0] for line in run_benchmarks("--list").splitlines()]
    assert {"index", "random-chip", "merge", "prechip", "processor"} <= set(names)


@pytest.mark.parametrize("columns", [40, 200])
def test_a_benchmark_without_its_servers_is_left_out_and_says_why(tmp_path, columns):
    nowhere = str(tmp_path / "nowhere")
    said = run_benchmarks(
        "processor", "--dry-run", STACCHIP_PGSTAC_VENV=nowhere, COLUMNS=str(columns)
    )
    said = " ".join(said.split())  # however the terminal folds it
    assert "left out: all of it: no pgstac here" in said
    assert "make servers" in said


def test_both_processors_draw_the_years_that_have_items():
    outside = pytest.importorskip("benchmarks.outside")
    random.seed(outside.ROW)  # as the original does
    assert sorted(random.sample(range(2018, 2024), 2)) == list(outside.YEARS)


@pytest.mark.parametrize(("floor_s", "said"), [(30.0, "binds"), (10.0, "does not bind")])
def test_the_store_binds_where_copying_alone_takes_over_a_fifth_of_the_original(floor_s, said):
    parts = dict.fromkeys(("fetched_bytes", "requests", "store_cpu_s", "again_s"), 1.0)
    samples = {
        OURS: Samples(({"seconds": 40.0, "copying_s": 30.0, "indexing_s": 2.0, **parts},)),
        FLOOR: Samples(({"seconds": floor_s, **parts},)),
        ORIGINAL: Samples(({"seconds": 100.0, "copying_s": 80.0, "indexing_s": 16.0, **parts},)),
    }
    rows = {row.name: row for row in make_rows(samples)}
    ratio = rows["times as fast as the original"]
    assert ratio.value == 2.5
    assert not ratio.goal.is_met(ratio.value)
    assert rows["floor, times as fast as the original"].note.endswith(said)
    assert rows["indexing, times as fast as the original"].value == 8
    del samples[ORIGINAL]
    assert not any("times as fast" in row.name for row in make_rows(samples))
