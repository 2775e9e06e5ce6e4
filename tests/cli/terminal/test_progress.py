"""Progress as a bar, as lines and as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from stacchip.cli import run
from stacchip.cli.terminal import console, progress
from stacchip.errors import UsageError


@pytest.fixture
def chosen():
    """Choose a style for the test."""
    tokens = []
    yield lambda name: tokens.append(progress.style.set(name))
    for token in reversed(tokens):
        progress.style.reset(token)


def test_progress_outside_a_terminal_is_a_line_for_each_tenth(capsys):
    with console.progress("Indexing", 40) as advance:
        for number in range(40):
            advance(f"item {number}")
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("Indexing: 4/40 items, ")
    assert err[0].endswith(": item 3")
    assert len(err) == 10


def test_a_line_tells_of_bytes_and_other_counts(capsys):
    with console.progress("Collecting", 2, "rows") as advance:
        advance(amount=0, size_bytes=2_000_000, items=3)
        advance("20HNJ", size_bytes=500_000, items=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Collecting: 1/2 rows, 4 items, 2.5 MB, ")
    assert line.endswith(": 20HNJ")


def test_without_a_total_lines_become_rarer(capsys):
    with console.progress("Indexing", None) as advance:
        for _ in range(100):
            advance()
    done = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert done == ["10", "20", "40", "80"]


def test_a_task_of_nothing_has_progress_too(capsys):
    with console.progress("Cutting", 0, "cubes") as advance:
        advance(amount=0)
    assert capsys.readouterr().err.startswith("Cutting: 0 cubes")


def test_steps_of_several_units_are_lines_too(capsys):
    with console.progress("Measuring", 100, "chips") as advance:
        for _ in range(7):
            advance(amount=16)
    done = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert done == ["16/100", "32/100", "48/100", "64/100", "80/100", "96/100", "112/100"]


def test_a_step_of_nothing_at_the_end_is_no_line(capsys):
    with console.progress("Cutting", 2, "cubes") as advance:
        advance()
        advance()
        advance(amount=0)
    done = [line.split()[1].strip(",") for line in capsys.readouterr().err.splitlines()]
    assert done == ["1/2", "2/2"]


def test_stages_outside_a_terminal_are_a_line_each(capsys):
    with console.stages("Drawing") as report:
        for done in range(5):
            report("hills", done, 5)
        report("rivers", 0, 5)
    assert capsys.readouterr().err.splitlines() == ["Drawing: hills", "Drawing: rivers"]


def test_json_lines_tell_how_far_a_task_is(chosen, capsys):
    chosen("json")
    with console.progress("Collecting", 4, "rows") as advance:
        for _ in range(2):
            advance("20HNJ", size_bytes=100, items=3)
    first, *_, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["done"] == 0
    assert last["event"] == "progress"
    assert (last["task"], last["done"], last["total"], last["unit"]) == ("Collecting", 2, 4, "rows")
    assert (last["bytes"], last["items"], last["last"]) == (200, 6, "20HNJ")
    assert last["rate"] > 0
    assert last["eta_s"] >= 0
    assert datetime.fromisoformat(last["time"]).utcoffset().total_seconds() == 0


def test_json_lines_are_few_however_many_steps_there_are(chosen, capsys):
    chosen("json")
    with console.progress("Indexing", None) as advance:
        for _ in range(1000):
            advance("item")
    assert len(capsys.readouterr().err.splitlines()) < 5


def test_json_lines_end_with_the_state_at_a_failure(chosen, capsys):
    chosen("json")
    with contextlib.suppress(ValueError), console.progress("Indexing", 9) as advance:
        advance("item")
        raise ValueError
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["done"] == 1


def test_steps_of_many_threads_are_all_counted_and_no_line_tears(chosen, capsys):
    chosen("lines")
    with console.progress("Indexing", 1000) as advance, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: advance(f"item {n}"), range(1000)))
    err = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in err] == [
        f"Indexing: {n}/1000 items" for n in range(100, 1001, 100)
    ]


def test_none_shows_nothing(chosen, capsys):
    chosen("none")
    with console.progress("Indexing", 1) as advance, console.stages("Drawing") as report:
        advance("item")
        report("hills", 1, 1)
    assert capsys.readouterr() == ("", "")


def test_a_bar_needs_a_terminal(chosen):
    chosen("bar")
    with pytest.raises(UsageError, match="take lines or json"), console.progress("Indexing", 1):
        pass


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_bar_fits_into_its_terminal_and_names_the_count(width):
    meter = progress.Meter("Collecting", 1200, "rows")
    meter(last="s3://a-bucket/a/long/address/of/an/item", size_bytes=3_000_000_000, items=12)
    text = progress.draw_line(meter, width)
    assert len(text) < width
    assert text.startswith("Collecting ")
    assert "1/1200 rows" in text
    assert ("3 GB" in text) == (width >= 60)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_below_what_is_printed_meanwhile(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", screen := Screen())
    with console.progress("Indexing", 2) as advance:
        advance("one")
        console.note("a note")
        console.say("a result")
        advance("two")
    assert "2/2 items" in screen.getvalue()
    assert "a note\n" in screen.getvalue()
    assert capsys.readouterr().out == "a result\n", "what is piped is not drawn"


@pytest.mark.parametrize("command", ["merge", "headers", "prechip", "stats"])
def test_commands_show_their_progress(command, demo, tmp_path, capsys):
    index = tmp_path / "index"
    shutil.copytree(demo / "index", index)
    words = {
        "merge": ["merge", str(index), "-o", str(tmp_path / "merged")],
        "headers": ["headers", str(index), "--refresh"],
        "prechip": ["prechip", "--index", str(index), "--platform", "naip", "--target",
                    str(tmp_path / "cubes"), "--cube-size", "8"],
        "stats": ["stats", "--index", str(index), "--platform", "naip", "--max-chips", "8"],
    }[command]  # fmt: skip
    assert run([*words, "--progress", "json"]) == 0
    err = capsys.readouterr().err.splitlines()
    last = [json.loads(line) for line in err if line.startswith("{")][-1]
    assert last["done"] == last["total"] > 0


def test_a_narrow_line_can_be_drawn_at_any_moment():
    meter = progress.Meter("Cutting", 400, "chips")
    for _ in range(300):
        meter(items=1)  # the speed differs each time that it is asked for
        for width in (12, 27, 40):
            assert len(progress.draw_line(meter, width)) < width
