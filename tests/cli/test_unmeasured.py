"""Shares that were not measured, as commands show and filter them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from index.tables import make_grid, make_item
from stacchip.cli import run
from stacchip.index import build_table, concat_indexes, read_index, write_index

SHARES = {
    "sentinel-2-l2a": {"cloud": 0.25, "nodata": 0.0},
    "sentinel-1-rtc": {"nodata": 0.1},
    "a-drone": {"nodata": 0.3},
    "radarsat": {},
}


@pytest.fixture
def index(tmp_path: Path) -> str:
    """An index of 12 chips of each source, as their indexers measure them."""
    taken = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
    tables = [
        build_table(make_item(name), make_grid(), platform=name, datetime=taken, shares=shares)
        for name, shares in SHARES.items()
    ]
    write_index(concat_indexes(tables), tmp_path / "index")
    return str(tmp_path / "index")


def summary_of(source: str, text: str) -> dict[str, str]:
    """What `stacchip info` says of a source, by name."""
    (block,) = (part for part in text.split("source: ") if part.startswith(f"{source}\n"))
    return dict(line.strip().split(": ", 1) for line in block.splitlines()[1:])


def test_info_says_what_was_not_measured_and_what_does_not_apply(index: str, capsys):
    assert run(["info", index]) == 0
    text = capsys.readouterr().out
    cloud, nodata = (f"chips by {share}, tenths from 0 to 1" for share in ("cloud", "nodata"))
    told = {name: summary_of(name, text) for name in SHARES}
    assert told["sentinel-2-l2a"][cloud] == "0 0 12 0 0 0 0 0 0 0"
    assert told["sentinel-1-rtc"][cloud] == "does not apply"
    assert told["sentinel-1-rtc"][nodata] == "0 12 0 0 0 0 0 0 0 0"
    assert told["a-drone"][cloud] == "not measured"
    assert told["radarsat"][cloud] == told["radarsat"][nodata] == "not measured"


def test_info_counts_what_was_measured_and_says_how_many_were_not(index: str, capsys):
    rows = read_index(index, platform="sentinel-2-l2a").to_pylist()
    some = read_index(index, platform="sentinel-2-l2a").from_pylist(
        [row | {"cloud_cover_percentage": None} if n < 5 else row for n, row in enumerate(rows)],
        schema=read_index(index).schema,
    )
    write_index(some, index + "-2")
    assert run(["info", index + "-2"]) == 0
    assert "cloud, tenths from 0 to 1: 0 0 7 0 0 0 0 0 0 0 (5 not measured)" in (
        capsys.readouterr().out
    )


def test_a_command_that_filters_says_how_many_chips_were_not_measured(
    index: str, tmp_path: Path, capsys
):
    sheet = str(tmp_path / "sheet.png")
    command = ["preview", index, "-o", sheet, "--platform", "a-drone", "--max-cloud", "0.5"]
    assert run(command) == 1
    first, error = capsys.readouterr().err.splitlines()
    assert "not measured: 12." in first
    assert "--unmeasured keep" in first
    assert "within these limits" in error


@pytest.mark.parametrize("command", ["preview", "prechip", "stats"])
def test_every_command_that_filters_can_keep_them(index: str, command: str, tmp_path: Path, capsys):
    outputs = {
        "preview": ["preview", index, "-o", str(tmp_path / "sheet.png")],
        "prechip": ["prechip", "--index", index, "--target", f"{tmp_path}/cubes", "--plan"],
        "stats": ["stats", "--index", index],
    }
    limited = [
        *outputs[command], "--platform", "a-drone", "--max-nodata", "1", "--max-cloud", "0.5",
        *(() if command == "preview" else ("--bands", "red")),
    ]  # fmt: skip
    assert run(limited) == 1
    assert "within these limits" in capsys.readouterr().err
    run([*limited, "--unmeasured", "keep"])  # which then finds that the chips have no files
    assert "within these limits" not in capsys.readouterr().err
    assert run([*limited, "--unmeasured", "perhaps"]) == 2
    assert 'unmeasured is "drop" or "keep"' in capsys.readouterr().err
