"""What a terminal is sent: text, whatever ids and messages of others hold."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from rich.table import Table
from rich.text import Text

from stacchip.cli import run
from stacchip.cli.terminal.lines import _Console, note, plain, say

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "a\x1b]0;owned\x07b",
    "a\x1b[2Jb",
    "a\rb",
    "a\x08\x08b",
    "a\x9b2Jb",
    "a\u202egpj.b",
    "a\u2066b\u2069",
    "a\u2028b",
    "a\ud800b",
)
CODES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_show_codes_and_do_not_send_them(text, capsys):
    say(text)
    note(text)
    shown = capsys.readouterr()
    assert shown.out == shown.err == f"{plain(text)}\n"
    assert not CODES.search(shown.out)
    assert "\\" in shown.out


@pytest.mark.parametrize("text", ["é中文𝄞", "a\tb", "a\nb", "", "10 % of 5 µm"])
def test_text_is_shown_unchanged(text, capsys):
    say(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_letter_that_an_encoding_lacks_ends_no_command(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    say("é")
    assert stream.buffer.getvalue() == b"\\xe9\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_and_bars_send_their_own_codes_only(text):
    file = io.StringIO()
    console = _Console(file=file, width=60)
    table = Table()
    table.add_column("id")
    table.add_row(text.replace("\ud800", ""))
    table.add_row(Text(text))
    console.print(table)
    assert not CODES.search(file.getvalue())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_command_sends_the_codes_of_an_item(text: str, tmp_path: Path, capsys):
    record = {
        "type": "Feature", "stac_version": "1.0.0", "id": text, "geometry": None, "links": [],
        "collection": text,
        "properties": {"datetime": "2020-01-01T00:00:00Z", "platform": text},
        "assets": {text: {"href": f"/nowhere/{text}.tif", "type": "image/tiff"}},
    }  # fmt: skip
    path = tmp_path / "items.json"
    path.write_text(json.dumps([record, {**record, "id": "b"}, {**record, "id": "b", "links": 5}]))
    for more in ([], ["--skip-errors"], ["--skip-errors", "--no-stats", "--open-files", "-v"]):
        assert run(["index", str(path), "-o", str(tmp_path / "index"), *more]) == 1
    shown = capsys.readouterr()
    assert "index" in shown.err
    assert not CODES.search(shown.out + shown.err)
