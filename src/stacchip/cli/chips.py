"""Commands on chips: cut one, look at many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.compute as pc
import typer

from stacchip import console
from stacchip.chipper import Chipper
from stacchip.cli import options
from stacchip.cli.pictures import choose_chips, count_by_platform, draw_sheet, make_picture
from stacchip.errors import ChipNotFound, UsageError
from stacchip.index import read_index
from stacchip.preview import draw_chip
from stacchip.raster.cog import write_cog

app = typer.Typer()

_SUFFIXES = (".png", ".tif", ".tiff", ".npy")


@app.command(epilog="Example:\n\nstacchip chip index S2A_29SMC_20240503_0_L2A-12-30 -o chip.tif")
def chip(
    index: Annotated[str, typer.Argument(help="Folder or parquet file of the index.")],
    chipid: Annotated[str, typer.Argument(help="The chip's id, as in the index.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .png (true colour), .tif or .npy (all bands).")
    ],
    assets: Annotated[
        str | None, typer.Option(help="Assets to cut, in order: red,green,blue.")
    ] = None,
    chip_size: Annotated[
        int | None, typer.Option(help="Where the index has several chip sizes.")
    ] = None,
    platform: options.Platform = None,
    endpoint: options.Endpoint = None,
    region: options.Region = None,
    skip_signature: options.SkipSignature = False,
    requester_pays: options.RequesterPays = False,
) -> None:
    """Cut one chip out of the original files."""
    suffix = output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{output} must end in one of {', '.join(_SUFFIXES)}.")
    storage = options.make_storage(
        endpoint, region, skip_signature=skip_signature, requester_pays=requester_pays
    )
    rows = read_index(index, where=pc.field("chipid") == chipid, storage=storage)
    chipper = Chipper(rows, assets=assets.split(",") if assets else None, storage=storage)
    if not rows.num_rows:
        raise ChipNotFound(
            f"{index} has no chip {chipid!r}. See what it has: stacchip info {index}"
        )
    row = chipper.rows.find(chipid=chipid, chip_size=chip_size, platform=platform)
    if suffix == ".png":
        draw_chip(make_picture(chipper, row)).save(output)
        console.say(f"{output}: {chipid} in true colour")
        return
    cut = chipper.cut_row(row)
    if suffix == ".npy":
        np.save(output, cut.array)
    else:
        write_cog(output, cut.array, cut.geobox)
    console.say(f"{output}: {chipid}, {cut.array.shape} {cut.array.dtype}: {', '.join(cut.bands)}")


@app.command(
    epilog="Example:\n\nstacchip preview index -o sheet.png --max-cloud 0.1 --max-nodata 0 -n 24"
)
def preview(
    index: Annotated[str, typer.Argument(help="Folder or parquet file of the index.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png.")],
    max_cloud: options.MaxCloud = None,
    max_nodata: options.MaxNodata = None,
    platform: options.Platform = None,
    number: Annotated[int, typer.Option("-n", min=1, max=1000, help="At most so many chips.")] = 24,
    seed: Annotated[int, typer.Option(help="Which chips are drawn.")] = 0,
    endpoint: options.Endpoint = None,
    region: options.Region = None,
    skip_signature: options.SkipSignature = False,
    requester_pays: options.RequesterPays = False,
) -> None:
    """Draw a contact sheet of chips in true colour, with their shares of cloud and nodata."""
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output} must end in .png.")
    storage = options.make_storage(
        endpoint, region, skip_signature=skip_signature, requester_pays=requester_pays
    )
    table = read_index(
        index, max_cloud=max_cloud, max_nodata=max_nodata, platform=platform, storage=storage
    )
    if not table.num_rows:
        raise ChipNotFound(f"No chip of {index} is within these limits; see: stacchip info {index}")
    chosen = choose_chips(table, number, seed)
    draw_sheet(chosen, output, storage, title=f"{index}: {count_by_platform(table)} chips")
    console.say(f"{output}: {chosen.num_rows} of {table.num_rows:,} chips")
