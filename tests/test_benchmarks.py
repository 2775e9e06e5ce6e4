"""The benchmarks' own tools: with a wrong server or a misread goal, any claim could be shown."""

import json
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

# the benchmarks are no part of the package: they lie beside it
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contender import Contender, ContenderError
from benchmarks.latency_server import serve
from benchmarks.measuring import Benchmark, Row, at_least, at_most
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
