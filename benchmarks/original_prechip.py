"""The original's prechip, run as in its container: by environment variables, S3 to S3.

The only change is the size of a cube, a constant of its module.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")

import time

import boto3

from benchmarks.contender import answer
from stacchip.processors import prechip as original


def prechip(index_path: str, cube_size: int) -> dict[str, Any]:
    """Write one cube to a bucket of its own."""
    os.environ |= {
        "AWS_BATCH_JOB_ARRAY_INDEX": "0",
        "STACCHIP_DATA_BUCKET": "data",
        "STACCHIP_CHIP_BUCKET": "cubes-of-original",
        "STACCHIP_INDEXPATH": index_path,
        "STACCHIP_PLATFORM": "sentinel-2-l2a",
        "STACCHIP_CUBES_PER_JOB": "1",
        "STACCHIP_POOL_SIZE": "2",
        # without this variable the filter uses a column that was not read
        "STACCHIP_MAX_NODATA": "0",
    }
    original.CUBESIZE = cube_size
    client = boto3.client("s3")
    client.create_bucket(Bucket="cubes-of-original")
    begin = time.perf_counter()
    original.process()
    seconds = time.perf_counter() - begin
    key = f"{original.VERSION}/sentinel-2-l2a/cube_0.npz"
    size = client.head_object(Bucket="cubes-of-original", Key=key)["ContentLength"]
    return {"seconds": seconds, "chips": cube_size, "mb": size / 1e6}


if __name__ == "__main__":
    answer({"prechip": prechip})
