"""Options that choose chips of an index: the filters of `stacchip.index.read_index`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from stacchip.cli import options
from stacchip.cli.added_options import add_options
from stacchip.cli.index_views.chosen import Chosen
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.index import Filters, Unmeasured

__all__ = ["JobBbox", "JobDatetime", "JobItems", "JobSplits", "parse_bbox", "with_filters"]


def _items(envvar: str | None = None) -> Any:
    return typer.Option("--item", envvar=envvar, help="Only chips of this item; repeatable.")


def _period(envvar: str | None = None) -> Any:
    return typer.Option(
        "--datetime", envvar=envvar,
        help="Only chips of this period: 2023-05, 2023-05-01/2023-08-31, 2023-05-01/..",
    )  # fmt: skip


def _bbox(envvar: str | None = None) -> Any:
    return typer.Option(
        "--bbox", envvar=envvar,
        help="Only chips whose footprints meet xmin,ymin,xmax,ymax in degrees.",
    )  # fmt: skip


def _split(envvar: str | None = None) -> Any:
    return typer.Option(
        "--split", envvar=envvar, help="Only chips of this split, such as train; repeatable."
    )


JobItems = Annotated[list[str] | None, _items("STACCHIP_ITEMS")]
JobDatetime = Annotated[str | None, _period("STACCHIP_DATETIME")]
JobBbox = Annotated[str | None, _bbox("STACCHIP_BBOX")]
JobSplits = Annotated[list[str] | None, _split("STACCHIP_SPLIT")]

_FILTERS: dict[str, tuple[Any, Any]] = {
    "platform": (options.Platform, None),
    "item": (Annotated[list[str] | None, _items()], None),
    "chip_size": (options.ChipSize, None),
    "datetime": (Annotated[str | None, _period()], None),
    "bbox": (Annotated[str | None, _bbox()], None),
    "split": (Annotated[list[str] | None, _split()], None),
    "max_cloud": (options.MaxCloud, None),
    "max_nodata": (options.MaxNodata, None),
    "unmeasured": (options.KeepUnmeasured, "drop"),
}


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the filters of an index to a command, which takes them as its argument `chosen`."""
    return add_options("chosen", _FILTERS, _choose)(command)


def _choose(
    *,
    platform: str | None,
    item: list[str] | None,
    chip_size: int | None,
    datetime: str | None,
    bbox: str | None,
    split: list[str] | None,
    max_cloud: float | None,
    max_nodata: float | None,
    unmeasured: str,
) -> Chosen:
    kept = cast("Unmeasured", unmeasured)
    asked = {
        "--platform": platform, "--item": item or None, "--chip-size": chip_size,
        "--datetime": datetime, "--bbox": bbox, "--split": split or None,
        "--max-cloud": max_cloud, "--max-nodata": max_nodata,
    }  # fmt: skip
    filters: Filters = {
        "platform": platform, "item_id": item or None, "chip_size": chip_size,
        "datetime": datetime, "bbox": parse_bbox(bbox), "split": split or None,
        "max_cloud": max_cloud, "max_nodata": max_nodata, "unmeasured": kept,
    }  # fmt: skip
    return Chosen(asked, filters, kept)


def parse_bbox(text: str | None) -> tuple[float, ...] | None:
    """Return the sides of a box, or None if the option was not given.

    Raises:
        UsageError: They are not four numbers.

    Example:
        >>> parse_bbox("-9.2,38.6,-9,38.8")
        (-9.2, 38.6, -9.0, 38.8)
    """
    if text is None:
        return None
    try:
        sides = tuple(float(part) for part in text.split(","))
    except ValueError:
        sides = ()
    if len(sides) != 4:
        raise UsageError(f"--bbox is xmin,ymin,xmax,ymax in degrees, not {text!r}.")
    return sides
