"""Functions of the original stacchip, under their original names.

They load the indexer of an item, for `Chipper(indexer)`. New code needs only one step:
`Chipper(bucket=..., platform=..., item_id=...)`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stacchip.index.read import read_item_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items.archive import DEFAULT_CHIP_SIZE, Archive
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
    """Return the indexer of an item in a bucket, for `Chipper(indexer)`.

    Args:
        bucket: The bucket's name or address; see `stacchip.items.Archive.named`.
        platform: The item's platform; a `pyarrow` scalar will do.
        item_id: The item's id; a `pyarrow` scalar will do.
        storage: Credentials, endpoint, retries.

    Returns:
        An indexer whose assets are in the bucket. Its chip size is that of the item's stored index,
        or 256 if there is none.

    Raises:
        ObjectNotFound: The item is not in the bucket.
    """
    return _load_indexer(Archive.named(bucket), platform, item_id, storage or Storage())


def load_indexer_local(
    mountpath: str | os.PathLike[str],
    platform: str | pa.StringScalar,
    item_id: str | pa.StringScalar,
) -> NoStatsChipIndexer:
    """Return the indexer of an item in a local folder that is laid out like a bucket.

    Arguments, result and errors are those of `load_indexer_s3`, except that `mountpath` is always a
    path.
    """
    return _load_indexer(Archive(os.fspath(mountpath)), platform, item_id, Storage())


def _load_indexer(
    archive: Archive, platform: Any, item_id: Any, storage: Storage
) -> NoStatsChipIndexer:
    platform, item_id = _text(platform), _text(item_id)
    item = archive.read_item(platform, item_id, storage)
    table = read_item_index(archive, platform, item_id, storage)
    size = DEFAULT_CHIP_SIZE
    if table is not None and table.num_rows:
        size = table["chip_size"][0].as_py()
    return NoStatsChipIndexer(item, size, storage=storage)


def _text(value: Any) -> str:
    """Return a name as text, even if it is a `pyarrow` scalar from a table."""
    return value if isinstance(value, str) else str(value.as_py())
