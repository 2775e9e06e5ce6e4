"""Settings of a run that do not depend on the source."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stacchip.collect.catalogue import OnlineCatalogue
from stacchip.index.stored import require_form
from stacchip.items.api.pace import pace_of
from stacchip.items.archive import Archive
from stacchip.storage import Limits, Storage, StorageOptions, local_path
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from stacchip.collect.recipe import BucketAccess, Recipe
    from stacchip.index.stored import GeometryForm

AssetMode = Literal["copy", "link"]

# a file of 2 GB takes 8 minutes at 4 MB/s, and a busy catalogue may ask for long waits
DEADLINE_S = 1_800.0


@dataclass(frozen=True)
class Settings:
    """Settings of a run; picklable, so that workers on other machines have the same.

    Attributes:
        root: Where the archive is: `s3://bucket`, a prefix in it, or a local folder, which is made
            absolute: a worker may have another working folder.
        assets: `"copy"` copies or converts files into the archive; `"link"` indexes them where
            they are.
        workers: Number of rows, or of items of a single row, to work on at once.
        catalogue: A catalogue to search in place of the source's own; a folder is made absolute.
        endpoint: URL of the S3 service of `root`; by default that of the environment, else AWS's.
        source_endpoint: URL of the S3 service to read from, in place of the buckets' own.
        requests_per_second: Limit of each process's requests to the catalogue; `None` for no limit.
        write_again: True to write again what is already there.
        geometry: Whether indexes store footprints, as for `stacchip.index.write_index`.
        store_copies: True to let a store that holds both source and archive copy by itself, if it
            can.
        limits: The most that one file or item may make us hold.
        allow_local: True to let items of a remote catalogue name files and addresses of this
            machine.
    """

    root: str
    assets: AssetMode = "copy"
    workers: int = 4
    catalogue: str | None = None
    endpoint: str | None = None
    source_endpoint: str | None = None
    requests_per_second: float | None = None
    write_again: bool = False
    geometry: GeometryForm = "wkb"
    store_copies: bool = True
    limits: Limits = DEFAULT_LIMITS
    allow_local: bool = False

    def __post_init__(self) -> None:
        require_form(self.geometry)
        object.__setattr__(self, "root", _absolute(self.root))
        if self.catalogue is not None:
            object.__setattr__(self, "catalogue", _absolute(self.catalogue))

    @property
    def archive(self) -> Archive:
        """The archive that is written to."""
        return Archive(self.root.rstrip("/"))

    def open_storage(self, recipe: Recipe) -> Storage:
        """Return storage with the options of the source's and the archive's buckets."""
        source = dataclasses.replace(self._options, endpoint=self.source_endpoint)
        target = dataclasses.replace(self._options, endpoint=self.endpoint)
        overrides = {bucket.prefix: self._bucket_options(bucket) for bucket in recipe.buckets}
        overrides[f"{self.root.rstrip('/')}/"] = target
        return Storage(options=source, overrides=overrides)

    @property
    def _options(self) -> StorageOptions:
        """What holds for every place."""
        return StorageOptions(
            deadline_s=DEADLINE_S, limits=self.limits, allow_local=self.allow_local
        )

    def _bucket_options(self, bucket: BucketAccess) -> StorageOptions:
        options = dataclasses.replace(
            self._options,
            endpoint=self.source_endpoint,
            region=bucket.region,
            requester_pays=bucket.requester_pays,
        )
        # a public bucket needs no keys at AWS; a mirror of it elsewhere may be private
        at_home = options.with_environment().endpoint is None
        return dataclasses.replace(options, skip_signature=bucket.anonymous and at_home)

    def open_catalogue(self, recipe: Recipe, storage: Storage) -> OnlineCatalogue:
        """Return the catalogue to search."""
        href = self.catalogue or recipe.catalogue
        return OnlineCatalogue(
            href,
            storage=storage,
            options=self._options,
            pace=pace_of(href, self.requests_per_second),
        )


def _absolute(href: str) -> str:
    """Return the absolute path of a local folder, and any other address unchanged."""
    path = local_path(href)
    return href if path is None else os.path.abspath(path)  # noqa: PTH100 - "..", too
