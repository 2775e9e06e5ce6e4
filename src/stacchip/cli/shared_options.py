"""Options that several commands have: the same name, variable and meaning in each."""

from __future__ import annotations

from typing import Annotated

import typer

from stacchip.errors import UsageError

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", envvar="STACCHIP_DATA_BUCKET",
        help="Where the imagery lies, if not where the items say: a bucket's name, an address, or "
        "a folder with a slash.",
    ),
]  # fmt: skip
ChipMaxNodataOption = Annotated[
    float | None,
    typer.Option(
        "--max-nodata", min=0, max=1, envvar="STACCHIP_MAX_NODATA", help="Share of a chip, 0..1."
    ),
]
ChipMaxCloudOption = Annotated[
    float | None,
    typer.Option(
        "--max-cloud", min=0, max=1, envvar="STACCHIP_MAX_CLOUD", help="Share of a chip, 0..1."
    ),
]
BandsOption = Annotated[
    str | None,
    typer.Option("--bands", envvar="STACCHIP_BANDS", help="Bands or asset keys: red,green,..."),
]
ChipSizeOption = Annotated[
    int | None,
    typer.Option(
        "--chip-size", min=1, envvar="STACCHIP_CHIP_SIZE", help="Where there are several."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, envvar="STACCHIP_SEED")]
MemoryOption = Annotated[
    int,
    typer.Option(
        "--memory", min=64, envvar="STACCHIP_MEMORY_MB",
        help="Megabytes of decoded blocks; cubes come on top.",
    ),
]  # fmt: skip


def parse_names(names: str | None) -> tuple[str, ...] | None:
    """Names out of an option, parted by commas; None where it was not given.

    Raises:
        UsageError: It names nothing.

    Example:
        >>> parse_names("red, nir")
        ('red', 'nir')
    """
    if names is None:
        return None
    found = tuple(name.strip() for name in names.split(",") if name.strip())
    if not found:
        raise UsageError(f"Names are parted by commas: red,green; not {names!r}.")
    return found
