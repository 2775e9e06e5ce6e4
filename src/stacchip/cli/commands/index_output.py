"""What `stacchip index` prints: what was left out and why, and what is in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.cli.terminal import console
from stacchip.errors import NothingFound
from stacchip.runtime.counts import format_count
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stacchip.indexer import GridDifference, Indexed


_MOST_LINES = 20


def print_indexed(made: Indexed, output: str, limits: str) -> None:
    """Print the result of `index_items`.

    Args:
        made: The result.
        output: Where the index is.
        limits: Which chips were asked for.
    """
    _print_notes(made)
    if not made.items:
        if is_partial(made):
            console.note(f"No index was written to {redact(output)}.")
        return
    chips, items = format_count(made.chips, "chip"), format_count(made.items, "item")
    console.say(f"{chips} of {items} in {redact(output)}")
    hints = [console.command("info", output)]
    if made.chips:
        hints.append(console.command("preview", output, "-o", "sheet.png"))
    console.say(f"Next: {', or '.join(hints)}")
    console.note(f"It has {limits} (--chip-size, --max-nodata).")


def is_partial(made: Indexed) -> bool:
    """Return True if anything failed, so that the index lacks it."""
    return bool(made.skipped or made.failure)


def require_chips(made: Indexed, output: str, limits: str, explain: Callable[[], str]) -> None:
    """Check that there was something to index.

    Args:
        made: The result of `index_items`.
        output: Where the index is.
        limits: Which chips were asked for.
        explain: Returns why there was no item.

    Raises:
        NothingFound: There was no item, or no item has a chip.
    """
    if made.chips or is_partial(made):  # what failed is reported, and may have been all there was
        return
    if not made.items:
        raise NothingFound(f"No index was written to {redact(output)}. {explain()}")
    raise NothingFound(
        f"No chip of {format_count(made.items, 'item')} is left; you asked for {limits}. The "
        f"reasons are above. The index at {redact(output)} lists the items only."
    )


def _print_notes(made: Indexed) -> None:
    """Print what a person would miss in the index, or not expect."""
    for name, error in made.skipped:
        console.note(f"left out {name}: {error}")
    if made.failure is not None:
        console.note(
            f"The items ended early: {made.failure} "
            "The index lacks what would have come after that."
        )
    if made.repeats:
        console.note(f"Dropped {format_count(made.repeats, 'item')} that came again.")
    if made.without_header:
        console.note(
            f"{format_count(len(made.without_header), 'file')} cannot be read now. Reading is "
            "tried again when a chip is cut:"
        )
        _print_some(str(error) for error in made.without_header)
    if made.differences:
        lines = _describe_differences(made.differences)
        console.note(
            f"Files of {format_count(len(lines), 'item')} lie elsewhere than their metadata says. "
            "The files are believed:"
        )
        _print_some(lines)
    if made.without_chips:
        console.note(f"No chip of {format_count(len(made.without_chips), 'item')}:")
        _print_some(_count_reasons(made.without_chips))


def _print_some(texts: Iterable[str]) -> None:
    """Print the first of many lines, and how many others there are."""
    lines = list(texts)
    for line in lines[:_MOST_LINES]:
        console.note(f"  {line}")
    if len(lines) > _MOST_LINES:
        console.note(f"  and {len(lines) - _MOST_LINES:,} more")


def _describe_differences(differences: Iterable[GridDifference]) -> list[str]:
    """Return a line for each item: its first file that differs, with both values."""
    by_item: dict[str, list[GridDifference]] = {}
    for difference in differences:
        by_item.setdefault(difference.item_id, []).append(difference)
    return [
        f"{item_id}, {first.asset}: the item says {first.in_item}; the file says {first.in_file}"
        f"{f' ({len(others):,} more files differ)' if others else ''}"
        for item_id, (first, *others) in by_item.items()
    ]


def _count_reasons(without_chips: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each reason, the most frequent first, with the items that it concerns."""
    items: dict[str, list[str]] = {}
    for name, reason in without_chips:
        items.setdefault(reason, []).append(name)
    ordered = sorted(items.items(), key=lambda each: -len(each[1]))
    return [
        f"{', '.join(names[:3])}{f' and {len(names) - 3:,} more' * (len(names) > 3)}: {reason}"
        for reason, names in ordered
    ]
