"""The results of runs: kept as JSON, shown on the terminal, in Markdown and as a bar chart.

A run of some benchmarks replaces their results and keeps those of the others. Each result says when
it was measured and on which machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.contender import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchmarks.measuring import Benchmark, Row

FOLDER = REPOSITORY / "docs" / "benchmarks"
JSON_PATH = FOLDER / "results.json"
TABLE_PATH = FOLDER / "README.md"
CHART_PATH = FOLDER / "results.svg"

COMMAND = "make bench"


def make_result(benchmark: Benchmark, rows: list[Row], context: dict[str, Any]) -> dict[str, Any]:
    """Make the record of one benchmark's result, of JSON values only.

    Args:
        benchmark: The benchmark.
        rows: Its rows.
        context: The machine, and the contenders that were left out.
    """
    return {
        "title": benchmark.title,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": benchmark.method,
        "not_like_for_like": list(benchmark.unlike),
        "rows": [_row_record(row) for row in rows],
        **context,
    }


def _row_record(row: Row) -> dict[str, Any]:
    record = {key: value for key, value in asdict(row).items() if value or key in ("value", "unit")}
    if row.goal is not None:
        record["goal"] = str(row.goal)
        record["met"] = row.goal.is_met(row.value)
    return record


def print_result(console: Console, result: dict[str, Any]) -> None:
    """Show one result on the terminal."""
    table = Table(title=result["title"], title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("range", justify="right", style="dim")
    table.add_column("goal")
    for row in result["rows"]:
        table.add_row(row["name"], _value(row), _range(row), _goal(row))
    console.print(table)
    for row in result["rows"]:
        if "note" in row:
            console.print(f"  {row['name']}: {row['note']}", style="dim", highlight=False)
    for name, reason in result["left_out"].items():
        console.print(f"  left out: {name}: {reason}", style="dim", highlight=False)


def save(results: dict[str, dict[str, Any]], order: Sequence[str]) -> None:
    """Add results to those of earlier runs, and write the page and the chart again.

    Args:
        results: The results of this run, by name of the benchmark.
        order: All names, in the order of the page; results under other names are dropped.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept: dict[str, dict[str, Any]] = {}
    if JSON_PATH.exists():
        kept = json.loads(JSON_PATH.read_text())
    kept |= results
    kept = {name: kept[name] for name in order if name in kept}
    JSON_PATH.write_text(json.dumps(kept, indent=2, sort_keys=False) + "\n")
    TABLE_PATH.write_text(render_markdown(kept))
    CHART_PATH.write_text(render_chart(kept))


def _value(row: dict[str, Any]) -> str:
    return f"{_number(row['value'])} {row['unit']}".rstrip()


def _number(value: float) -> str:
    """Format with three significant digits, never with an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _range(row: dict[str, Any]) -> str:
    if "range" not in row:
        return ""
    low, high = row["range"]
    return f"{_number(low)} to {_number(high)}"


def _goal(row: dict[str, Any]) -> str:
    if "goal" not in row:
        return ""
    return f"{row['goal']}: {'met' if row['met'] else 'NOT met'}"


def render_markdown(results: dict[str, dict[str, Any]]) -> str:
    """Make the page of `docs/benchmarks`: a table, the method and the caveats of each benchmark."""
    lines = [
        "# Benchmarks",
        "",
        f"Run `{COMMAND}` to measure all of this again, or the command under a heading for one",
        "benchmark: the run writes this page, and `results.json` with the same numbers. Values are",
        "medians; the range is from the smallest to the largest sample. All contenders of a table",
        "took turns in one run.",
        "",
        "![Bar chart of the measured times](results.svg)",
    ]
    for name, result in results.items():
        lines += [
            "",
            f"## {result['title']}",
            "",
            f"`.venv/bin/python -m benchmarks.run {name}`",
            "",
        ]
        lines += ["| | value | range | goal |", "|---|---:|---:|---|"]
        lines += [
            f"| {row['name']} | {_value(row)} | {_range(row)} | {_goal(row)} |"
            for row in result["rows"]
        ]
        lines += ["", f"Method: {result['method']}"]
        lines += ["", *_markdown_notes(result)]
    return "\n".join(lines) + "\n"


def _markdown_notes(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    notes = [f"{row['name']}: {row['note']}" for row in result["rows"] if "note" in row]
    notes += [f"Not like for like: {sentence}" for sentence in result["not_like_for_like"]]
    notes += [f"Left out: {name}: {reason}" for name, reason in result["left_out"].items()]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    notes.append(
        f"Measured {result['measured_at'][:10]} on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; load average before the run {machine['load_average_1min']}; "
        f"Python {machine['python']}, GDAL {machine['gdal']}, {packages}."
    )
    return [f"- {note}" for note in notes]


_WIDTH, _LABEL, _BAR_HEIGHT, _GAP = 760, 210, 16, 6
_COLOURS = {"stacchip": "#1b7f5c", "floor": "#9aa5a0"}
_OTHER_COLOUR = "#c08a3e"


def render_chart(results: dict[str, dict[str, Any]]) -> str:
    """Draw the rows marked as bars, one group per benchmark, each on a scale of its own."""
    body: list[str] = []
    y = 14
    for result in results.values():
        bars = [row for row in result["rows"] if row.get("bar")]
        if not bars:
            continue
        body.append(f'<text x="8" y="{y + 10}" font-weight="bold">{escape(result["title"])}</text>')
        y += 22
        longest = max(row["value"] for row in bars)
        for row in bars:
            body += _bar(row, y, longest)
            y += _BAR_HEIGHT + _GAP
        y += 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="12" fill="#222">'
    )
    background = f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, background, *body, "</svg>"]) + "\n"


def _bar(row: dict[str, Any], y: int, longest: float) -> list[str]:
    width = max(1.0, (_WIDTH - _LABEL - 130) * row["value"] / longest)
    colour = next(
        (colour for name, colour in _COLOURS.items() if row["name"].startswith(name)), _OTHER_COLOUR
    )
    text_y = y + _BAR_HEIGHT - 4
    return [
        f'<text x="{_LABEL - 8}" y="{text_y}" text-anchor="end">{escape(row["name"])}</text>',
        f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR_HEIGHT}" fill="{colour}"/>',
        f'<text x="{_LABEL + width + 6:.1f}" y="{text_y}">{_value(row)}</text>',
    ]
