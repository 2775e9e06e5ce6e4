"""`stacchip demo`: a sample archive, its index, and a picture of its chips."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from stacchip.chipper import Chipper
from stacchip.cli.index_views.pictures import choose_chips, count_by_platform, draw_sheet
from stacchip.cli.output import require_folder
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.demo import write_archive
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.index.draws import count_rows
from stacchip.index.headers import gather_headers
from stacchip.indexer import Indexer
from stacchip.storage import Storage

app = CommandLine()

_MAX_CLOUD, _MAX_NODATA = 0.1, 0.0
_CLEAREST = ("-o", "sheet.png", "--max-cloud", "0.05", "-n", "12")


@app.command(epilog=console.examples("stacchip demo demo"))
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where to write; replaces what an earlier demo left there.")
    ],
    *,
    seed: Annotated[int, typer.Option(min=0, help="Number of the landscape to draw.")] = 0,
    small: Annotated[bool, typer.Option("--small", help="Draw a tenth of the area.")] = False,
) -> None:
    """Try everything on a generated archive. Writes it, indexes it, and draws clear chips."""
    began = time.monotonic()
    require_folder(folder)
    storage = Storage()
    archive, indexes, index = folder / "archive", folder / "indexes", folder / "index"
    items = _write_archive(archive, seed, small=small)
    with console.progress("Indexing", len(items)) as advance:
        for path in items:
            indexer = Indexer(str(path), storage=storage)
            write_index(
                indexer.create_index(),
                indexes / indexer.item.id,
                headers=gather_headers([indexer.item], storage=storage),
            )
            advance(repr(indexer))
    merged = merge_indexes(indexes, index)
    every = read_index(index)
    clear = read_index(index, max_cloud=_MAX_CLOUD, max_nodata=_MAX_NODATA)
    sheet = folder / "chips.png"
    title = "Chips of a generated landscape, cut from the original files"
    draw_sheet(choose_chips(every, 30, seed=7), sheet, storage, title=title)
    chipid = clear["chipid"][0].as_py()
    x, y, chip = Chipper(clear)[0]
    bands = ", ".join(chip)
    console.say(
        f"\n"
        f"imagery   {archive} (generated, not observed): {len(items)} scenes\n"
        f"index     {index}: {merged.chips:,} chips: {count_by_platform(count_rows([every]))}\n"
        f"clear     {clear.num_rows:,} chips with at most {_MAX_CLOUD:.0%} cloud and no nodata\n"
        f"one chip  ({x}, {y}) of {clear['item_id'][0].as_py()}: {bands}\n"
        f"picture   {sheet}\n"
        f"took      {time.monotonic() - began:.0f} s\n"
        f"\n"
        f"Next:\n"
        f"  {console.command('info', index)}\n"
        f"  {console.command('chip', index, chipid, '-o', 'chip.png')}\n"
        f"  {console.command('preview', index, *_CLEAREST)}"
    )


def _write_archive(archive: Path, seed: int, *, small: bool) -> list[Path]:
    """Write the sample archive and show the progress; return the paths of its items."""
    with console.stages("Drawing") as report:
        return write_archive(archive, seed=seed, small=small, progress=report)
