"""The original's Sentinel-2 processor, run as in its container: by environment variables.

The only change is the address of its catalogue, a constant of its module. Its client's `copy` and
its indexer are wrapped to record their seconds.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")

import time
import warnings

from benchmarks.contender import answer
from stacchip.processors import (  # type: ignore[attr-defined] # the original's
    sentinel_2_processor as original,
)

# pgstac sorts, but does not say so
warnings.filterwarnings("ignore", message="Server does not conform to SORT")

_new_resource = original.boto3.resource
_Indexer = original.Sentinel2Indexer


def collect(catalogue: str, bucket: str, sample: str, row: int) -> dict[str, Any]:
    """Collect one row of a sample layer into a bucket; return the seconds of each step."""
    os.environ |= {
        "AWS_BATCH_JOB_ARRAY_INDEX": str(row),
        "STACCHIP_MGRS_SOURCE": sample,
        "STACCHIP_BUCKET": bucket,
    }
    copying_s: list[float] = []
    indexing_s: list[float] = []

    def new_resource(*arguments: Any, **options: Any) -> Any:
        resource = _new_resource(*arguments, **options)
        client = resource.meta.client
        client.copy = _timed(client.copy, copying_s)
        return resource

    class Indexer(_Indexer):  # type: ignore[misc,valid-type] # a class of the original
        create_index = _timed(_Indexer.create_index, indexing_s)

    original.STAC_API = catalogue
    original.boto3.resource = new_resource
    original.Sentinel2Indexer = Indexer
    begin = time.perf_counter()
    original.process()
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "copying_s": copying_s, "indexing_s": indexing_s}


def _timed(work: Any, seconds: list[float]) -> Any:
    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = work(*arguments, **options)
        seconds.append(time.perf_counter() - begin)
        return result

    return timed


if __name__ == "__main__":
    answer({"collect": collect})
