"""`stacchip list` and `stacchip info`: ids and counts for people and for other programs."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from scenes import make_scene
from stacchip.cli import run
from stacchip.cli.index_views.listing import lay_out, print_lines
from stacchip.cli.index_views.summary import summarise
from stacchip.index import SCHEMA, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer


@pytest.fixture
def index(tmp_path: Path) -> str:
    """Write an index of 24 chips: of items one and two, with shares, and of three, without."""
    tables = []
    for number, name in enumerate(("one", "two", "three")):
        item = make_scene(tmp_path / name, name).item
        item.collection_id = "sentinel-1-rtc" if name == "three" else "drone"
        rows = NoStatsChipIndexer(item, chip_size=200).create_index().to_pylist()
        for place, row in enumerate(rows):
            row["cloud_cover_percentage"] = None if number == 2 else 0.125 * place
            row["nodata_percentage"] = float("nan") if number == 2 else 0.25 * number
        tables.append(pa.Table.from_pylist(rows, schema=SCHEMA))
    folder = str(tmp_path / "index")
    write_index(pa.concat_tables(tables), folder)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[str]:
    assert run([*arguments]) == code
    return capsys.readouterr().out.splitlines()


def test_items_are_listed_with_counts_and_means(index: str, capsys):
    assert printed(capsys, "list", index) == [
        "one\tdrone\t2024-05-01\t9\t0.5\t0",
        "two\tdrone\t2024-05-01\t9\t0.5\t0.25",
        "three\tsentinel-1-rtc\t2024-05-01\t9\t\t",
    ]
    first, *_, last = (json.loads(line) for line in printed(capsys, "list", index, "--json"))
    assert first == {
        "item": "one", "platform": "drone", "date": "2024-05-01", "chips": 9,
        "cloud": 0.5, "nodata": 0.0, "chip_sizes": [200],
    }  # fmt: skip
    assert (last["cloud"], last["nodata"]) == (None, None)


def test_chips_are_listed_within_limits(index: str, capsys):
    limits = ["--item", "one", "--item", "two", "--max-cloud", "0.25"]
    listed = printed(capsys, "list", index, "--chips", *limits)
    assert [line.split("\t")[0] for line in listed] == [
        "one-0-0", "one-1-0", "one-2-0", "two-0-0", "two-1-0", "two-2-0",
    ]  # fmt: skip
    assert listed[1] == "one-1-0\tdrone\t2024-05-01\t0.125\t0"
    assert len(printed(capsys, "list", index, "--chips")) == read_index(index).num_rows
    (line,) = printed(capsys, "list", index, "--chips", "--json", "--limit", "1")
    assert json.loads(line) == {
        "chip": "one-0-0", "platform": "drone", "date": "2024-05-01", "cloud": 0.0, "nodata": 0.0,
        "item": "one", "x": 0, "y": 0, "chip_size": 200,
    }  # fmt: skip
    assert printed(capsys, "list", index, "--max-cloud", "0.25")[0].split("\t")[3] == "3"
    kept = printed(capsys, "list", index, "--max-nodata", "0", "--unmeasured", "keep")
    assert [line.split("\t")[0] for line in kept] == ["one", "three"]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--platform", "drone"], ["one", "two"]),
        (["--item", "three", "--item", "one"], ["one", "three"]),
        (["--chip-size", "200", "--datetime", "2024-05"], ["one", "two", "three"]),
        (["--bbox", "-180,0,180,90", "--max-nodata", "20%"], ["one"]),
    ],
)
def test_chips_are_chosen_alike_by_what_looks_at_an_index(index: str, filters, ids, capsys):
    listed = printed(capsys, "list", index, *filters)
    assert [line.split("\t")[0] for line in listed] == ids
    summary = json.loads("\n".join(printed(capsys, "info", index, "--json", *filters)))
    assert (summary["chips"], summary["items"]) == (9 * len(ids), len(ids))


@pytest.mark.parametrize("command", ["list", "info"])
@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (["--datetime", "2020"], "Of its 27 chips, --datetime 2020 leaves 0"),
        (["--bbox", "0,0,1,1"], "--bbox 0,0,1,1 leaves 0"),
        (["--chip-size", "256", "--item", "one"], "--item one leaves 9, --chip-size 256 leaves 0"),
    ],
)
def test_filters_that_leave_nothing_say_what_each_leaves(index, command, filters, said, capsys):
    assert run([command, index, *filters]) == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert run([command, index, *filters, "--allow-empty"]) == 0


@pytest.mark.parametrize(
    ("filters", "said"),
    [(["--bbox", "1,2,3"], "xmin,ymin,xmax,ymax"), (["--datetime", "May"], "May")],
)
def test_filters_that_cannot_be_understood_are_refused(index: str, filters, said, capsys):
    assert run(["info", index, *filters]) == 2
    assert said in capsys.readouterr().err


def test_a_limit_reads_no_more_than_it_needs(capsys):
    def lines():
        for number in range(10**12):
            yield {"chip": f"a-{number}-0", "platform": "a", "cloud": None, "nodata": None}

    endless = lines()
    assert print_lines(islice(endless, 2500)) == 2500
    assert next(endless)["chip"] == "a-2500-0"


def test_nothing_to_list_is_a_failure_unless_it_is_allowed(index: str, tmp_path: Path, capsys):
    assert run(["list", index, "--platform", "drone", "--item", "three"]) == 1
    said = capsys.readouterr().err
    assert "Of its 27 chips, --platform drone leaves 18, --item three leaves 9" in said
    assert run(["list", index, "--platform", "drones"]) == 1
    said = capsys.readouterr().err
    assert "--platform drones leaves 0. It has --platform drone (18), " in said
    assert len(said.splitlines()) == 1, "one fact is one message"
    assert run(["list", index, "--platform", "nobody", "--allow-empty"]) == 0
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    capsys.readouterr()
    assert run(["list", empty]) == 1
    assert "has no chips" in capsys.readouterr().err


def test_the_summary_is_one_json_document(index: str, tmp_path: Path, capsys):
    document = json.loads("".join(printed(capsys, "info", index, "--json")))
    assert (document["chips"], document["items"], document["chip_sizes"]) == (27, 3, [200])
    assert document["dates"] == ["2024-05-01", "2024-05-01"]
    west, south, east, north = document["bbox"]
    assert -10 < west < east < -8
    assert 37 < south < north < 39
    drone, radar = document["sources"]["drone"], document["sources"]["sentinel-1-rtc"]
    assert drone["cloud"] == {"chips_by_tenth": [2, 2, 2, 2, 0, 2, 2, 2, 2, 2], "not_measured": 0}
    assert radar["cloud"] == {"chips_by_tenth": None, "not_measured": 9}
    assert radar["nodata"]["chips_by_tenth"] is None
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    document = json.loads("".join(printed(capsys, "info", empty, "--json")))
    assert (document["chips"], document["bbox"], document["sources"]) == (0, None, {})


def test_an_unknown_chip_is_answered_with_near_ones(index: str, tmp_path: Path, capsys):
    def said(chipid: str) -> str:
        assert run(["chip", index, chipid, "-o", str(tmp_path / "chip.tif")]) == 1
        return capsys.readouterr().err

    beyond = said("two-9-1")
    assert "has no chip 'two-9-1'" in beyond
    assert "nearest: two-2-1, two-2-0, two-2-2" in beyond
    assert "list" in beyond
    assert "--item two" in beyond
    assert "close to it: three" in said("thre-0-0")
    assert "That is the id of an item" in said("three")


ITEMS = [
    {
        "item": "LC09_L2SP_DEMO_20240926_02_T1", "platform": "landsat-c2l2-sr",
        "date": "2024-09-26", "chips": 1234, "cloud": 0.1093, "nodata": 0.001,
    },
    {
        "item": "S1A", "platform": "sentinel-1-rtc", "date": "2024-04-16", "chips": 1,
        "cloud": None, "nodata": None,
    },
]  # fmt: skip


def test_a_wide_terminal_shows_a_table():
    assert lay_out(ITEMS, 200, with_header=True) == [
        (
            "item                           platform         date        chips           cloud  "
            "      nodata"
        ),
        (
            "LC09_L2SP_DEMO_20240926_02_T1  landsat-c2l2-sr  2024-09-26  1,234             11%  "
            "        < 1%"
        ),
        (
            "S1A                            sentinel-1-rtc   2024-04-16      1  does not apply  "
            "not measured"
        ),
    ]
    assert len(lay_out(ITEMS, 200, with_header=False)) == 2


def test_a_narrow_terminal_shows_whole_ids_on_lines_of_their_own():
    assert lay_out(ITEMS, 60, with_header=True) == [
        "LC09_L2SP_DEMO_20240926_02_T1",
        "  landsat-c2l2-sr  2024-09-26  1,234 chips  cloud 11%",
        "  nodata < 1%",
        "S1A",
        "  sentinel-1-rtc  2024-04-16  1 chip  cloud does not apply",
        "  nodata not measured",
    ]


def test_a_narrow_summary_counts_each_source_and_all(index: str):
    said = summarise([read_index(index)]).narrow()
    blocks = [block.split() for block in said.split("\n\n")]
    assert [block[:5] for block in blocks] == [
        ["drone", "chips", "18", "items", "2"],
        ["sentinel-1-rtc", "chips", "9", "items", "1"],
        ["all", "chips", "27", "items", "3"],
    ]
    assert max(map(len, said.splitlines())) <= 60


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"])
def test_who_wants_colours_gets_the_same_lines(index: str, capsys, monkeypatch, variable):
    """CI sets them, and a pipe still goes to a program."""
    plain = printed(capsys, "list", index)
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert printed(capsys, "list", index) == plain
    assert run(["index", str(Path(index).parent / "one" / "item.json"), "-o", f"{index}-2"]) == 0
    assert "\x1b" not in "".join(capsys.readouterr())
