"""`stacchip add`, `remove` and `compact`: changing an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.errors import NothingFound, UsageError
from stacchip.index import append_to_index, compact_index, remove
from stacchip.runtime.counts import format_count
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from stacchip.index import Appended, Merged

app = CommandLine()
_MANY_PARTS = 32  # of the 128 files, or 64 on macOS, that a reader keeps open


@app.command(epilog=console.examples("stacchip add all-chips june/index july/index"))
@options.with_storage("endpoint", "region", "skip_signature", "requester_pays")
def add(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    new: Annotated[
        list[str],
        typer.Argument(help="What to add: folders of indexes, or parquet files."),
    ],
    *,
    drop_duplicates: Annotated[
        bool,
        typer.Option("--drop-duplicates", help="Leave out chips that the index has already."),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Items that the index has already are removed, and added anew."
        ),
    ] = False,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """Add chips to an index. Its files stay as they are, and new ones go beside them."""
    if drop_duplicates and replace:
        raise UsageError("Pass --drop-duplicates or --replace: not both.")
    with (
        nothing_may_be_found(allowed=allow_empty),
        console.progress("Adding", None, "files") as advance,
    ):
        added = append_to_index(
            index,
            new,
            duplicates="drop" if drop_duplicates else "replace" if replace else "error",
            storage=storage,
            progress=advance.step,
        )
        if not added.chips and not added.dropped:
            raise NothingFound(
                f"There is nothing to add: {', '.join(map(redact, new))} "
                f"{'has' if len(new) == 1 else 'have'} no chips."
            )
    console.say(_describe(added, index))


def _describe_rows(made: Appended | Merged) -> str:
    return f"{format_count(made.chips, 'chip')} of {format_count(made.items, 'item')}"


def _describe(added: Appended, index: str) -> str:
    sources = f" ({', '.join(added.platforms)})" if added.platforms else ""
    dropped = f", {added.dropped:,} that are there already left out" if added.dropped else ""
    following = "compact" if added.parts >= _MANY_PARTS else "info"
    replaced = f", in place of {added.replaced:,}" if added.replaced else ""
    return (
        f"{_describe_rows(added)}{sources} added to {redact(index)}"
        f"{replaced}{dropped}\nNext: {console.command(following, index)}"
    )


@app.command("remove", epilog=console.examples("stacchip remove index --platform naip"))
@options.with_storage("endpoint", "region")
def remove_from(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    *,
    platform: Annotated[str | None, typer.Option(help="Source whose chips to remove.")] = None,
    item: Annotated[str | None, typer.Option(help="Id of the item whose chips to remove.")] = None,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """Remove a source or item from an index. Its chips are marked, and compact deletes them."""
    if platform is None and item is None:
        raise UsageError("Say what to remove: --platform, --item, or both.")
    with nothing_may_be_found(allowed=allow_empty):
        removed = remove(index, platform=platform, item_id=item, storage=storage)
        console.say(f"{format_count(removed, 'chip')} removed from {redact(index)}")


@app.command(epilog=console.examples("stacchip compact all-chips"))
@options.with_storage("endpoint", "region")
def compact(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    *,
    storage: Storage,
) -> None:
    """Bring an index that grew into order. It is written again, without what was removed."""
    with console.progress("Compacting", None, "files") as advance:
        merged = compact_index(index, storage=storage, progress=advance.step)
    if merged is None:
        console.say(f"{redact(index)} has not grown, and nothing was removed: it stays as it is")
        return
    console.say(
        f"{_describe_rows(merged)} ({', '.join(merged.platforms)}) "
        f"in {redact(index)}\nNext: {console.command('info', index)}"
    )
