"""`stacchip index` and `merge`: making indexes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.commands.index_output import is_partial, print_indexed, require_chips
from stacchip.cli.commands.index_search import Search
from stacchip.cli.output import require_index
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.errors import UsageError
from stacchip.index import merge_indexes
from stacchip.indexer import index_items
from stacchip.runtime.counts import format_count
from stacchip.runtime.percent import format_percent
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stacchip.index import GeometryForm

app = CommandLine()


@app.command(
    epilog=console.examples(
        "stacchip index scene.json -o index",
        "stacchip index --api https://earth-search.aws.element84.com/v1 "
        "--collection sentinel-2-l2a --bbox -9.2,38.6,-9.0,38.8 --datetime 2024-05 "
        "--max-items 4 -o index --skip-signature",
    )
)
@options.with_storage()
def index(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            help="Items: paths or URLs of items, collections of items, stac-geoparquet."
        ),
    ] = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder (or .parquet file) of the index.")
    ],
    api: Annotated[str | None, typer.Option(help="URL of a STAC API to search for items.")] = None,
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="Collection to search; repeatable.")
    ] = None,
    bbox: Annotated[
        str | None, typer.Option(help="Area to search: xmin,ymin,xmax,ymax in degrees.")
    ] = None,
    datetime: Annotated[
        str | None, typer.Option(help="Date or period to search: 2024-05, 2024-05-01/2024-06-15.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(help='Query on properties, as JSON: \'{"eo:cloud_cover": {"lt": 20}}\'.'),
    ] = None,
    max_items: Annotated[
        int | None, typer.Option(min=1, help="Index at most this many items.")
    ] = None,
    chip_size: Annotated[int, typer.Option(min=1, help="Edge of a chip in pixels.")] = 256,
    max_nodata: Annotated[
        float,
        options.share_option("--max-nodata", what="Leave out chips with a larger share of nodata"),
    ] = 0.5,
    pad: Annotated[
        bool,
        typer.Option(
            "--pad",
            help="Keep chips that reach beyond a scene's edge, padded with nodata.",
        ),
    ] = False,
    stats: Annotated[
        bool,
        typer.Option(help="Measure cloud and nodata, or read no pixels and call both unmeasured."),
    ] = True,
    headers: Annotated[
        bool,
        typer.Option(
            help="Read the files' headers: they decide where the chips lie, and are kept, which "
            "saves requests when chips are read."
        ),
    ] = True,
    open_files: Annotated[
        bool,
        typer.Option(
            "--open-files",
            help="Let files that have no such header (JPEG 2000), or all with --no-headers, decide "
            "where the chips lie, too.",
        ),
    ] = False,
    skip_errors: Annotated[
        bool, typer.Option("--skip-errors", help="Leave out items that fail, and report them.")
    ] = False,
    geometry: options.Geometry = "wkb",
    replace: options.Replace = False,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """Index the chips of STAC items."""
    if bool(items) == bool(api):
        raise UsageError("Name items, or search a STAC API with --api: not both.")
    require_index(output, storage, replace=replace)
    found: Iterable[Any] = items or []
    explain: Callable[[], str] = partial(_explain_no_items, items or [])
    if api:
        search = Search(api, collection, bbox, datetime, query, max_items)
        found, explain = search.items(), search.explain_nothing
    with console.progress("Indexing", total=None) as advance:
        made = index_items(
            found,
            output,
            chip_size=chip_size,
            max_nodata=max_nodata,
            edge="pad" if pad else "drop",
            stats=stats,
            headers=headers,
            open_files=open_files,
            geometry=cast("GeometryForm", geometry),
            errors="skip" if skip_errors else "raise",
            progress=advance,
            storage=storage,
        )
    limits = f"chips of {chip_size} pixels with at most {format_percent(max_nodata)} nodata"
    with nothing_may_be_found(allowed=allow_empty):
        print_indexed(made, output, limits)
        require_chips(made, output, limits, explain)
    if is_partial(made):
        raise typer.Exit(1)


def _explain_no_items(sources: list[str]) -> str:
    verb = "hold" if len(sources) > 1 else "holds"
    return f"{', '.join(map(redact, sources))} {verb} no item."


@app.command(epilog=console.examples("stacchip merge sentinel-2/index landsat/index -o index"))
@options.with_storage("endpoint", "region", "skip_signature", "requester_pays")
def merge(
    indexes: Annotated[
        list[str],
        typer.Argument(help="Folders of indexes, with all their subfolders, or parquet files."),
    ],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the merged index.")],
    drop_duplicates: Annotated[
        bool,
        typer.Option("--drop-duplicates", help="Keep the first of chips that occur twice."),
    ] = False,
    geometry: options.Geometry = "wkb",
    replace: options.Replace = False,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """Merge indexes into one. Their sources and chip sizes may differ."""
    require_index(output, storage, replace=replace)
    with (
        nothing_may_be_found(allowed=allow_empty),
        console.progress("Merging", None, "files") as advance,
    ):
        merged = merge_indexes(
            indexes,
            output,
            duplicates="drop" if drop_duplicates else "error",
            geometry=cast("GeometryForm", geometry),
            allow_empty=allow_empty,
            storage=storage,
            progress=advance.step,
        )
    if not merged.chips:
        console.note(f"The indexes have no chips, and neither has the one at {redact(output)}.")
        return
    chips, items = format_count(merged.chips, "chip"), format_count(merged.items, "item")
    dropped = f", {format_count(merged.dropped, 'duplicate')} dropped" if merged.dropped else ""
    console.say(
        f"{chips} of {items} ({', '.join(merged.platforms)}) "
        f"in {redact(output)}{dropped}\nNext: {console.command('info', output)}"
    )
