"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from stacchip.storage import Storage, StorageOptions

Index = Annotated[str, typer.Argument(help="Folder or parquet file of the index.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace the index that is there.")]
MaxCloud = Annotated[
    float | None,
    typer.Option("--max-cloud", min=0, max=1, help="Largest share of cloud in a chip, 0..1."),
]
MaxNodata = Annotated[
    float | None,
    typer.Option("--max-nodata", min=0, max=1, help="Largest share of nodata in a chip, 0..1."),
]
Platform = Annotated[
    str | None, typer.Option("--platform", help="Only chips of this source, such as 'naip'.")
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", help="URL of an S3-compatible store.", rich_help_panel="Storage"),
]
Region = Annotated[
    str | None, typer.Option("--region", help="Region of S3 buckets.", rich_help_panel="Storage")
]
SkipSignature = Annotated[
    bool,
    typer.Option(
        "--skip-signature",
        help="Read public buckets without credentials.",
        rich_help_panel="Storage",
    ),
]
RequesterPays = Annotated[
    bool,
    typer.Option(
        "--requester-pays", help="Agree to pay for requests to S3.", rich_help_panel="Storage"
    ),
]


def make_storage(
    endpoint: str | None = None,
    region: str | None = None,
    *,
    skip_signature: bool = False,
    requester_pays: bool = False,
) -> Storage:
    """Storage by what the command line says; what it leaves open comes from `AWS_*` variables."""
    return Storage(
        options=StorageOptions(
            endpoint=endpoint,
            region=region,
            skip_signature=skip_signature or None,
            requester_pays=requester_pays or None,
        )
    )
