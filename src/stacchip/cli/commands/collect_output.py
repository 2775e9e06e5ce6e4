"""What `collect` prints: a line for each item and row as it ends, a plan, and a summary."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stacchip.cli.commands.collect_options import option_name
from stacchip.cli.terminal import console, progress
from stacchip.cli.terminal.progress import Meter, format_size
from stacchip.collect.recipe import Choices
from stacchip.collect.report import ItemReport, RowReport, RunReport, describe_error
from stacchip.errors import StacchipError
from stacchip.runtime.percent import format_percent
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stacchip.collect.job import Job
    from stacchip.collect.sample import Row


@contextmanager
def show_progress(rows: int) -> Iterator[Meter]:
    """Show how far a run is, in the style of `--progress`; the rows' own lines do in a log."""
    is_log = progress.style.get() == "auto" and not console.err.is_terminal
    if is_log:
        yield Meter("Collecting", rows, "rows")
        return
    with console.progress("Collecting", rows, "rows") as meter:
        yield meter


def print_item(row: Row, item: ItemReport) -> None:
    """Print what became of an item; one that was there already counts in its row's line."""
    if item.chips is None:
        return
    console.say(
        f"  row {row.number}: {item.item_id}: {item.files_written} files "
        f"({format_size(item.bytes_written)}) in {item.files_s:.1f} s and {item.chips} chips in "
        f"{item.index_s:.1f} s"
    )


def print_row(row: RowReport) -> None:
    """Print what became of a row, with its notes; its errors follow at the end of the run."""
    written = sum(item.files_written for item in row.items)
    size = sum(item.bytes_written for item in row.items)
    chips = sum(item.chips or 0 for item in row.items)
    files_s = sum(item.files_s for item in row.items)
    index_s = sum(item.index_s for item in row.items)
    failed = f"; {len(row.errors)} failed" if row.errors else ""
    console.say(
        f"{row.title}: {len(row.items)} items, {row.there} of them there already; "
        f"{written} files ({format_size(size)}) in {files_s:.1f} s and {chips} chips in "
        f"{index_s:.1f} s of work{failed}"  # the items' times, several at once, added up
    )
    for note in row.notes:
        console.say(f"  {note}")


def print_summary(job: Job, report: RunReport) -> None:
    """Print what a run made, left out and assumed."""
    lacking = f"; {report.notes} notes of what the catalogue lacks" if report.notes else ""
    console.say(
        f"{len(report.rows)} rows, {report.items} items, {report.files_written} files "
        f"({format_size(report.bytes_written)}) written, {report.chips} chips indexed, "
        f"{report.there} items there already{lacking}; {len(report.failed)} rows failed"
    )
    mode = "copied" if job.settings.assets == "copy" else "linked where they are"
    mode = "converted" if mode == "copied" and job.recipe.converts else mode
    console.say(f"in {redact(job.settings.archive.href)}: files {mode}; {describe_choices(job)}")


def describe_choices(job: Job) -> str:
    """Return the choices of a run, its own and the source's, as options.

    Example:
        >>> from stacchip.collect.job import Job
        >>> from stacchip.collect.recipes import get_recipe
        >>> from stacchip.collect.settings import Settings
        >>> recipe = get_recipe("sentinel-2")
        >>> describe_choices(Job(recipe, recipe.choices, Settings("s3://bucket")))[:47]
        '--seed 0 --chip-size 256 --years 2018:2023 --ye'
    """
    words = []
    for choice in dataclasses.fields(Choices):
        value = getattr(job.choices, choice.name)
        if value is None or choice.name not in job.recipe.choice_names:
            continue
        text = str(value)
        if choice.name in {"max_cloud", "max_nodata", "share"}:
            text = format_percent(value if choice.name == "share" else value / 100)
        elif choice.name in {"years", "bands"}:
            text = (":" if choice.name == "years" else ",").join(map(str, value))
        words += [option_name(choice.name), text]
    return " ".join(words)


def print_plan(job: Job, rows: Sequence[Row]) -> tuple[int, bool]:
    """Print what a run would copy, as lines of tab-separated fields.

    Returns:
        The number of items that are there or would be, and True if every row could be planned.
    """
    failed = total = unknown = found = 0
    for row in rows:
        try:
            plan = job.plan_row(row)
        except StacchipError as error:
            console.note(f"{row.title} failed: {describe_error(error)}")
            failed += 1
            continue
        found += plan.there + len(plan.files)
        for file in plan.files:
            size = "size unknown" if file.size_bytes is None else format_size(file.size_bytes)
            console.say(f"{row.number}\t{file.item_id}\t{file.asset}\t{file.href}\t{size}")
            total += file.size_bytes or 0
            unknown += file.size_bytes is None
        for note in plan.notes:
            console.say(f"{row.number}\t{note}")
    done = "copied or converted to" if job.settings.assets == "copy" else "linked from"
    target = redact(job.settings.archive.href)
    console.say(
        f"{len(rows)} rows: files of {format_size(total)}, and {unknown} of unknown size, would be "
        f"{done} {target}; nothing written"
    )
    return found, failed == 0
