"""What a run is told besides its source's choices."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stacchip.collect.catalogue import OnlineCatalogue
from stacchip.items.archive import Archive
from stacchip.items.pace import pace_of
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from stacchip.collect.recipe import BucketAccess, Recipe

AssetMode = Literal["copy", "link"]

# a file of 2 GB at 4 MB/s takes 8 minutes, and a catalogue under load may say Retry-After for long
DEADLINE_S = 1_800.0


@dataclass(frozen=True)
class Settings:
    """What a run is told; picklable, so that workers elsewhere run as told.

    Attributes:
        root: Where to: `s3://bucket`, a prefix in it, or a local folder.
        assets: `"copy"` brings the files into the archive (or converts them); `"link"` indexes
            them where they lie.
        workers: How many rows, or items of one row, are worked on at a time.
        catalogue: Asked in place of the source's own.
        endpoint: URL of the S3 service of `root`; by default that of the environment, else AWS's.
        source_endpoint: URL of the S3 service that is read from, in place of the buckets' own.
        requests_per_second: To the catalogue, of each process; `None` for no limit.
        write_again: What is there already is made anew.
        store_copies: A store that has both source and archive copies by itself, where it will.
    """

    root: str
    assets: AssetMode = "copy"
    workers: int = 4
    catalogue: str | None = None
    endpoint: str | None = None
    source_endpoint: str | None = None
    requests_per_second: float | None = None
    write_again: bool = False
    store_copies: bool = True

    @property
    def archive(self) -> Archive:
        """The archive that is written to."""
        return Archive(self.root.rstrip("/"))

    def open_storage(self, recipe: Recipe) -> Storage:
        """The stores that are read from and written to, each as it wants to be asked."""
        source = StorageOptions(deadline_s=DEADLINE_S, endpoint=self.source_endpoint)
        target = StorageOptions(deadline_s=DEADLINE_S, endpoint=self.endpoint)
        overrides = {bucket.prefix: self._bucket_options(bucket) for bucket in recipe.buckets}
        overrides[f"{self.root.rstrip('/')}/"] = target
        return Storage(options=source, overrides=overrides)

    def _bucket_options(self, bucket: BucketAccess) -> StorageOptions:
        options = StorageOptions(
            deadline_s=DEADLINE_S,
            endpoint=self.source_endpoint,
            region=bucket.region,
            requester_pays=bucket.requester_pays,
        )
        # at its home a public bucket is asked without keys; a mirror of it is asked with ours
        at_home = options.with_environment().endpoint is None
        return dataclasses.replace(options, skip_signature=bucket.anonymous and at_home)

    def open_catalogue(self, recipe: Recipe, storage: Storage) -> OnlineCatalogue:
        """The catalogue that is asked."""
        href = self.catalogue or recipe.catalogue
        return OnlineCatalogue(
            href,
            storage=storage,
            options=StorageOptions(deadline_s=DEADLINE_S),
            pace=pace_of(href, self.requests_per_second),
        )
