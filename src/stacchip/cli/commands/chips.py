"""`stacchip chip` and `stacchip preview`: one chip as a file, many chips as a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import pyarrow.compute as pc
import typer

from stacchip.chipper import Chipper
from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.filters import with_filters
from stacchip.cli.index_views.absent_chips import no_chip, nothing_found
from stacchip.cli.index_views.chosen import Chosen  # noqa: TC001 - typer reads it
from stacchip.cli.index_views.listing import list_chips, print_lines
from stacchip.cli.index_views.pictures import count_by_platform, draw_sheet, make_picture
from stacchip.cli.output import require_file
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.errors import ChipNotFound, UsageError
from stacchip.index import SCHEMA, read_index
from stacchip.index.draws import read_evenly
from stacchip.preview import draw_chip
from stacchip.raster.gdal.cog import write_cog
from stacchip.raster.marking import mark_invalid
from stacchip.runtime.whole_file import whole_file
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper import Chip
    from stacchip.chipper.index_rows import Rows
    from stacchip.sources import Harmonize

app = CommandLine()

_LONGEST_NAME = 40
_SUFFIXES = (".png", ".tif", ".tiff", ".npy")


@app.command(
    epilog=console.examples("stacchip chip index S2A_29SMC_20240503_0_L2A-12-30 -o chip.tif")
)
@options.with_storage()
def chip(
    index: options.Index,
    chipid: Annotated[str, typer.Argument(help="The chip's id, as in the index.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File to write: .png (true colour), .tif or .npy (all bands)."
        ),
    ],
    assets: Annotated[
        str | None, typer.Option(help="Assets to cut, in order: red,green,blue.")
    ] = None,
    chip_size: options.ChipSize = None,
    platform: options.Platform = None,
    harmonize: options.Harmonize = None,
    storage: Storage,
) -> None:
    """Cut one chip out of the original files.

    Pixels that are not valid are transparent in a .png, nodata or masked in a .tif, and False in
    the .valid.npy beside a .npy.
    """
    suffix = output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{output} must end in one of {', '.join(_SUFFIXES)}.")
    require_file(output)
    rows = _find_chip(index, chipid, storage)
    chipper = Chipper(
        rows,
        assets=options.parse_names(assets),
        harmonize=cast("Harmonize | None", harmonize),
        storage=storage,
    )
    if not rows.num_rows:
        raise no_chip(index, chipid, storage)
    try:
        row = chipper.rows.find(chipid=chipid, chip_size=chip_size, platform=platform)
    except ChipNotFound as error:
        raise ChipNotFound(
            f"{redact(index)} has no chip {chipid!r} with {_as_options(platform, chip_size)}; "
            f"it has one with {_variants(chipper.rows)}."
        ) from error
    if suffix == ".png":
        picture = make_picture(chipper, row)
        with whole_file(output) as part:
            draw_chip(picture).save(part, "PNG")
        console.say(f"{output}: {chipid}: {picture.shown or 'true colour'}")
        return
    save = _save_arrays if suffix == ".npy" else _save_geotiff
    console.say(save(chipper, row, output))


def _find_chip(index: str, chipid: str, storage: Storage) -> pa.Table:
    """Return the rows of a chip's id; by its item first, which is found without a look at chips."""
    where = pc.field("chipid") == chipid
    item_id = chipid.rsplit("-", 2)[0]
    rows = read_index(index, item_id=item_id, where=where, storage=storage, explains_nothing=True)
    return rows if rows.num_rows else read_index(index, where=where, storage=storage)


def _save_arrays(chipper: Chipper, row: int, output: Path) -> str:
    """Write a chip's pixels, and beside them which are valid; return what was written."""
    cut = chipper.cut_row(row)
    beside = output.with_suffix(f".valid{output.suffix}")
    with whole_file(output) as pixels:
        _save_array(pixels, cut.array)
        with whole_file(beside) as valid:  # both are there, or neither
            _save_array(valid, cut.valid)
    return f"{output}: {_describe(cut, cut.array.dtype)}; {beside}: where they are valid"


def _save_array(path: Path, array: NDArray[Any]) -> None:
    content = io.BytesIO()  # np.save into a file does not say why it fails
    np.save(content, array)
    path.write_bytes(content.getvalue())


def _save_geotiff(chipper: Chipper, row: int, output: Path) -> str:
    """Write a chip with a mark of its invalid pixels; return what was written."""
    cut = chipper.cut_row(row)
    nodata = [placed.nodata for placed in chipper.open(row).placements.values()]
    marked = mark_invalid(cut.array, cut.valid, nodata)
    write_cog(output, marked.pixels, cut.geobox, marked.nodata, names=cut.bands, mask=marked.mask)
    mark = "no nodata" if marked.nodata is None else f"nodata {marked.nodata}"
    mark = mark if marked.mask is None else "a mask of valid pixels"
    return f"{output}: {_describe(cut, marked.pixels.dtype)}; {mark}"


def _describe(cut: Chip, dtype: object) -> str:
    return f"{cut.chipid}, {cut.array.shape} {dtype}: {', '.join(cut.bands)}"


def _variants(rows: Rows) -> str:
    keys = [rows.key(row) for row in range(len(rows))]
    there = {_as_options(key.platform, key.chip_size) for key in keys}
    return ", and one with ".join(sorted(there))


def _as_options(platform: str | None, chip_size: int | None) -> str:
    """Return the options that distinguish chips of one id."""
    named = {"--platform": platform, "--chip-size": chip_size}
    return " ".join(f"{name} {value}" for name, value in named.items() if value is not None)


@app.command(
    epilog=console.examples(
        "stacchip preview index -o sheet.png --max-cloud 0.1 --max-nodata 0 -n 24"
    )
)
@options.with_storage()
@with_filters
def preview(
    index: options.Index,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png file to write.")],
    number: Annotated[
        int, typer.Option("-n", min=1, max=1000, help="Show at most this many chips.")
    ] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the choice of chips.")] = 0,
    listed: Annotated[
        bool, typer.Option("--list", help="Print the ids of the chips shown, in their order.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    chosen: Chosen,
    storage: Storage,
) -> None:
    """Draw a contact sheet of chips. It shows them in true colour, with cloud, nodata and id.

    The choice is even over sources, and within each over its items. A chip that cannot be cut
    leaves a hole with the reason in it.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output} must end in .png.")
    require_file(output)
    columns = [name for name in SCHEMA.names if name != "geometry"]  # half of an index
    shown, counts = read_evenly(index, number, seed, storage, chosen.filters, columns=columns)
    if not shown.num_rows:
        with nothing_may_be_found(allowed=allow_empty):
            raise nothing_found(index, chosen, storage)
        return
    title = f"{_short_name(index)}: {count_by_platform(counts)} chips"
    drawn = draw_sheet(shown, output, storage, title=title)
    console.say(f"{output}: {shown.num_rows} of {counts.total():,} chips")
    for reason, count in drawn.reasons.items():
        console.note(f"{count} of {shown.num_rows} chips could not be cut: {reason}")
    if listed:
        print_lines(list_chips([shown]))


def _short_name(index: str) -> str:
    """Return an index's address for a title: only the end of a long one."""
    whole = redact(index).rstrip("/")
    return whole if len(whole) <= _LONGEST_NAME else f"…/{whole.rpartition('/')[2]}"
