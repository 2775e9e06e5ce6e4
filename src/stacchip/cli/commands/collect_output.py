"""What `collect` prints: a line for each item and row as it ends, a plan, and a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.cli import console
from stacchip.collect.report import ItemReport, RowReport, RunReport, describe_error
from stacchip.errors import StacchipError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.collect.job import Job
    from stacchip.collect.sample import Row


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
    """Print what became of a row, with its notes and errors."""
    written = sum(item.files_written for item in row.items)
    size = sum(item.bytes_written for item in row.items)
    chips = sum(item.chips or 0 for item in row.items)
    there = sum(item.chips is None for item in row.items)
    files_s = sum(item.files_s for item in row.items)
    index_s = sum(item.index_s for item in row.items)
    console.say(
        f"row {row.number} ({row.name}): {len(row.items)} items, {there} of them there already; "
        f"{written} files ({format_size(size)}) in {files_s:.1f} s and {chips} chips in "
        f"{index_s:.1f} s"
    )
    for note in row.notes:
        console.say(f"  {note}")
    for error in row.errors:
        console.say(f"  failed: {error}")


def print_summary(report: RunReport) -> None:
    """Print what became of a run, and its errors on standard error."""
    console.say(
        f"{len(report.rows)} rows, {report.items} items, {report.files_written} files "
        f"({format_size(report.bytes_written)}) written; {len(report.failed)} rows failed"
    )
    for row in report.failed:
        for error in row.errors:
            console.note(f"row {row.number} ({row.name}) failed: {error}")


def print_plan(job: Job, rows: Sequence[Row]) -> bool:
    """Print what a run would copy, as lines of tab-separated fields.

    Returns:
        True if every row could be planned.
    """
    failed = total = unknown = 0
    for row in rows:
        try:
            files, notes = job.plan(row)
        except StacchipError as error:
            console.note(f"row {row.number} ({row.name}) failed: {describe_error(error)}")
            failed += 1
            continue
        for file in files:
            size = "size unknown" if file.size_bytes is None else format_size(file.size_bytes)
            console.say(f"{row.number}\t{file.item_id}\t{file.asset}\t{file.href}\t{size}")
            total += file.size_bytes or 0
            unknown += file.size_bytes is None
        for note in notes:
            console.say(f"{row.number}\t{note}")
    done = "copied or converted" if job.settings.assets == "copy" else "linked where they are"
    console.say(
        f"{len(rows)} rows: files of {format_size(total)}, and {unknown} of unknown size, would be "
        f"{done}; nothing written"
    )
    return failed == 0


def format_size(size_bytes: float) -> str:
    """Return a size for people to read.

    Example:
        >>> format_size(999), format_size(1_500_000)
        ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.4g} TB"
