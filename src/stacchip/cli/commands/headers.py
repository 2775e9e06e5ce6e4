"""`stacchip headers`: the headers of files that an index keeps, added or read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.errors import NothingFound
from stacchip.index import add_headers, scan_records
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from stacchip.errors import StacchipError

app = CommandLine()


@app.command(
    epilog=console.examples(
        "stacchip headers index", "stacchip headers index --refresh --assets red,nir"
    )
)
@options.with_storage()
def headers(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    *,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Read all headers again, because files have changed or were replaced."
        ),
    ] = False,
    assets: Annotated[
        str | None, typer.Option(help="Only the files of these assets: red,green,blue.")
    ] = None,
    skip_errors: Annotated[
        bool, typer.Option("--skip-errors", help="Leave out files that fail, and report them.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """Read headers of the files of an index.

    They say where the pixels lie, and which version of a file was indexed. With them, the first
    pixels of a chip take one round trip.
    """
    shown = redact(index)
    failed: list[StacchipError] = []
    with console.progress("Reading", None, "files") as advance:
        read = add_headers(
            index,
            options.parse_names(assets),
            refresh=refresh,
            storage=storage,
            on_error=failed.append if skip_errors else None,
            progress=advance.step,
        )
    for error in failed:
        console.note(f"left out: {error}")
    if not read and not failed:
        if next(scan_records(index, storage=storage), None) is None:
            with nothing_may_be_found(allowed=allow_empty):
                raise NothingFound(f"{shown} has no items, and so no files to read headers of.")
            return
        console.say(f"{shown} has the headers of all its files")
        console.say(f"To read them again: {console.command('headers', index, '--refresh')}")
        return
    left_out = f", {len(failed):,} files left out" if failed else ""
    console.say(f"{read:,} headers read for {shown}{left_out}")
    if refresh and read:
        console.note(
            "The grids and the shares of cloud and nodata are as before. If pixels have changed, "
            "index their items again."
        )
    if failed:
        raise typer.Exit(1)
