"""stacchip's Sentinel-2 processor, run as by `stacchip collect sentinel-2`, and the store alone.

The environment (`AWS_*`) says where the store is.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import geopandas  # noqa: F401 - the time of imports counts for neither contender
import pystac_client  # noqa: F401 - as above
from botocore.config import Config

from benchmarks.contender import Task, answer
from stacchip.collect.job import Job
from stacchip.collect.recipes.registry import get_recipe
from stacchip.collect.run import collect as collect_rows
from stacchip.collect.sample import read_layer, select_rows
from stacchip.collect.settings import Settings


def collect(
    catalogue: str, bucket: str, sample: str, row: int, years: tuple[int, int], workers: int
) -> dict[str, Any]:
    """Collect one row of a sample layer into a bucket; return each item's reported seconds."""
    begin = time.perf_counter()
    recipe = get_recipe("sentinel-2")
    choices = recipe.with_choices({"years": tuple(years), "year_count": 2})
    settings = Settings(root=f"s3://{bucket}", workers=workers, catalogue=catalogue)
    rows = select_rows(read_layer(sample), str(row))
    report = collect_rows(Job(recipe, choices, settings), rows)
    seconds = time.perf_counter() - begin
    if report.failed:
        raise RuntimeError("; ".join(report.failed[0].errors))
    items = report.rows[0].items
    return {
        "seconds": seconds,
        "copying_s": [item.files_s for item in items],
        "indexing_s": [item.index_s for item in items],
        "files_written": report.files_written,
        "chips": [item.chips for item in items],
    }


def copy_by_store(bucket: str, copies: list[tuple[str, str]], at_once: int) -> dict[str, Any]:
    """Let the store copy objects of `sentinel-cogs` to another bucket, as `(key, new key)`."""
    client = boto3.client("s3", config=Config(max_pool_connections=at_once))

    def copy(pair: tuple[str, str]) -> None:
        source = {"Bucket": "sentinel-cogs", "Key": pair[0]}
        client.copy_object(Bucket=bucket, Key=pair[1], CopySource=source)

    with ThreadPoolExecutor(at_once) as pool:
        begin = time.perf_counter()
        list(pool.map(copy, copies))
        return {"seconds": time.perf_counter() - begin}


TASKS: dict[str, Task] = {"collect": collect, "copy_by_store": copy_by_store}

if __name__ == "__main__":
    answer(TASKS)
