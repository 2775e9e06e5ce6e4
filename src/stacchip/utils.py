"""Functions of the original stacchip, under their names.

`Chipper(bucket=..., platform=..., item_id=...)` does both steps at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stacchip.chipper.bucket import DEFAULT_CHIP_SIZE, Bucket
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["load_indexer_local", "load_indexer_s3"]


def load_indexer_s3(
    bucket: str,
    platform: str | pa.StringScalar,
    item_id: str | pa.StringScalar,
    *,
    storage: Storage | None = None,
) -> NoStatsChipIndexer:
    """The indexer of an item in a bucket, for `Chipper(indexer)`.

    Args:
        bucket: The bucket's name or address.
        platform: The item's platform; a `pyarrow` scalar will do.
        item_id: The item's id; a `pyarrow` scalar will do.
        storage: Credentials, endpoint, retries.

    Returns:
        An indexer whose assets lie in the bucket, with the chip size of the item's stored index, or
        256 where there is none.

    Raises:
        ObjectNotFound: The item is not there.
    """
    storage = storage or Storage()
    platform, item_id = _text(platform), _text(item_id)
    place = Bucket.named(bucket)
    item = place.read_item(platform, item_id, storage)
    table = place.read_index(platform, item_id, storage)
    size = DEFAULT_CHIP_SIZE
    if table is not None and table.num_rows:
        size = table["chip_size"][0].as_py()
    return NoStatsChipIndexer(item, size, storage=storage)


def load_indexer_local(
    mountpath: str | os.PathLike[str],
    platform: str | pa.StringScalar,
    item_id: str | pa.StringScalar,
) -> NoStatsChipIndexer:
    """The indexer of an item in a local folder in the form of a bucket; see `load_indexer_s3`."""
    return load_indexer_s3(os.path.join(os.fspath(mountpath), ""), platform, item_id)  # noqa: PTH118 - the separator tells a folder from a bucket's name


def _text(value: Any) -> str:
    """A name, also where it is a `pyarrow` scalar out of a table."""
    return value if isinstance(value, str) else str(value.as_py())
