"""Write `before/`: imagery, indexes, pickles and states, as one commit of stacchip writes them.

That commit is b593e74, the last one before the modules moved to other folders. Its files must stay
readable, so do not run this script with a later commit: it documents how the fixtures were made,
and imports modules where that commit has them. To repeat the run, copy `tests/compatibility` into a
worktree of that commit, and run:

```
PYTHONPATH=src:tests python tests/compatibility/write_fixtures.py
```

The pickles also hold objects of other libraries. They were made with Python 3.11.7, numpy 2.4.6,
pyarrow 26.0.1, odc-geo 0.5.3, affine 3.0.1 (affine 2.4.0 opens them too), pyproj 3.7.2,
shapely 2.2.0, pystac 1.15.2 and torch 2.13.0; the files with datasketches 5.2.0 and zarr 3.1.6.

All paths are relative to `before/`, so the fixtures work in any copy of it that is the working
directory. Three things cannot be pickled, and are left out: a `ZarrSink` holds a module, and a
`QuantileSketch`, as well as a `PlatformStatistics` of floats, holds an object of datasketches.
"""

from __future__ import annotations

import functools
import io
import json
import operator
import os
import pickle
import shutil
import tarfile
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pystac
import shapely
from odc.geo.geobox import GeoBox

from compatibility.answers import answer
from servers.range_server import RangeServer
from stacchip import errors, index, indexer, sources, stream
from stacchip.chipper import Chipper
from stacchip.chipper.bucket import Bucket
from stacchip.chipper.headers import gather_headers
from stacchip.datasets import sinks, statistics
from stacchip.datasets.platforms import Band, PlatformBands, get_platform
from stacchip.index import ItemRecord, RecordedGrid, Selection, merge_indexes, read_records
from stacchip.indexer import GridDifference, Indexer, NoDataMaskChipIndexer, NoStatsChipIndexer
from stacchip.items import load_items, read_assets
from stacchip.preview import ChipPicture, Stretch
from stacchip.processors.choice import Choice, months
from stacchip.processors.collect import RunReport
from stacchip.processors.cube_plan import CubePlan, JobShard, PlanSettings
from stacchip.processors.job import ItemReport, Job, PlannedFile, RowReport
from stacchip.processors.layout import Layout
from stacchip.processors.pace import Pace
from stacchip.processors.placement import FilesOfItem, Placer
from stacchip.processors.prechip import Imagery, Prechip, PrechipReport
from stacchip.processors.recipe import Choices
from stacchip.processors.recipes import get_recipe
from stacchip.processors.rows import Row
from stacchip.processors.settings import Settings
from stacchip.processors.stats import StatisticsFolder, index_statistics
from stacchip.processors.stored_item import Placed, WrittenGrid
from stacchip.processors.transfer import Original
from stacchip.raster import Window, WindowRequest, open_reader, read_header
from stacchip.raster.cache import BlockCache, Caches, DiskCache
from stacchip.raster.cog import write_cog
from stacchip.raster.gdal.convert import Conversion
from stacchip.storage import Blob, Entry, Identity, Storage, StorageOptions
from stacchip.stream import ChipStream, Explanation, Shard, Skipped, StreamReport, measure_mixing

HERE = Path(__file__).parent
SENTINEL, NAIP = "sentinel-2-l2a", "naip"
SCENE = "S2A_31UFS_20230105_0_L2A"
QUAD = "m_4207045_ne_19_060_20210912"
CHIP = 32
PROTOCOLS = (4, 5)
PICKLED_SINKS = ("npz", "npz-uncompressed", "webdataset")
REMOTE = "https://stacchip.invalid"  # a host that cannot exist (RFC 2606)
WEB_INDEX = "http://$STACCHIP_BEFORE/indexes/folder"  # `os.path.expandvars` makes it an address
FACES = (
    *("chipper", "datasets.sinks", "datasets.statistics", "demo", "errors", "index", "indexer"),
    *("items", "preview", "raster", "sources", "storage", "stream", "utils"),
)
DOCUMENTED = (
    *(("chipper.headers", "gather_headers"), ("chipper.headers", "add_headers")),
    *(("raster.cache", "BlockCache"), ("raster.cache", "DiskCache"), ("raster.cache", "Caches")),
    *(("raster.cog", "write_cog"), ("datasets.platforms", "get_platform")),
    *(("processors.stats", "index_statistics"), ("processors.stats", "merge_statistics")),
    *(("processors.stats", "cube_statistics"), ("processors.prechip", "Prechip")),
)
"""Names that pages and docstrings import from modules other than the packages in `FACES`."""

# --- imagery


def band_pixels() -> dict[str, np.ndarray]:
    """Return each asset's pixels (band, y, x): all distinct if the type has enough values."""
    y, x = np.mgrid[0:128, 0:128]
    red = (1 + y * 128 + x).astype(np.uint16)
    nir = (20_000 + y[:64, :64] * 64 + x[:64, :64]).astype(np.uint16)
    nir[:8, :8] = 0  # nodata
    scl = (4 + (y[:64, :64] // 5 + x[:64, :64] // 7) % 3).astype(np.uint8)
    scl[20:40, 10:60] = 9
    scl[:8, :8] = 0
    y, x = np.mgrid[0:64, 0:96]
    image = np.stack([x + 1, y + 1, (7 * x + 13 * y) % 251, 255 - x]).astype(np.uint8)
    return {"red": red[None], "nir": nir[None], "scl": scl[None], "image": image}


def expected_pixels() -> dict[str, np.ndarray]:
    """Return each chip's pixels by chipid and asset, cut from the arrays with numpy alone."""
    pixels = band_pixels()
    cut = {}
    for item_id, keys, (rows, cols) in (
        (SCENE, ("red", "nir", "scl"), (4, 4)), (QUAD, ("image",), (2, 3))
    ):  # fmt: skip
        for key in keys:
            fine = pixels[key]
            if key in ("nir", "scl"):
                fine = fine.repeat(2, axis=1).repeat(2, axis=2)
            for y in range(rows):
                for x in range(cols):
                    part = fine[:, y * CHIP : (y + 1) * CHIP, x * CHIP : (x + 1) * CHIP]
                    cut[f"{item_id}-{x}-{y}:{key}"] = part
    return cut


def write_archive() -> None:
    """Write two items of two sources in the layout of a bucket; hrefs are `./name.tif`."""
    pixels = band_pixels()
    for platform, item_id, code, corner, gsds in (
        (SENTINEL, SCENE, "EPSG:32631", (600_000, 5_700_000), {"red": 10, "nir": 20, "scl": 20}),
        (NAIP, QUAD, "EPSG:26919", (300_000.5, 4_650_000), {"image": 0.6}),
    ):  # fmt: skip
        folder = Path("archive", platform, item_id)
        folder.mkdir(parents=True)
        item = pystac.Item(
            item_id, {"type": "Point", "coordinates": [4.4, 51.4]}, [4.4, 51.4, 4.4, 51.4],
            datetime(2023, 1, 5, 10, 40, 31, tzinfo=UTC),
            {"proj:code": code, "eo:cloud_cover": 12.5}, collection=platform,
        )  # fmt: skip
        for key, gsd in gsds.items():
            shape = pixels[key].shape[1:]
            left, top = corner
            box = (left, top - shape[0] * gsd, left + shape[1] * gsd, top)
            geobox = GeoBox.from_bbox(box, code, shape=shape)
            nodata = None if platform == NAIP else 0
            overviews = "nearest" if key == "scl" else "average"
            colours = ("red", "green", "blue", "undefined") if key == "image" else None
            write_cog(
                folder / f"{key}.tif", pixels[key], geobox, nodata,
                block=64, overviews=overviews, colours=colours,
            )  # fmt: skip
            grid = {"proj:shape": list(shape), "proj:transform": list(geobox.affine)[:6]}
            asset = pystac.Asset(f"./{key}.tif", roles=["data"], extra_fields=grid)
            item.add_asset(key, asset)
        record = item.to_dict(include_self_link=False, transform_hrefs=False)
        (folder / "stac_item.json").write_text(json.dumps(record, indent=1))


def item_record(platform: str, item_id: str, root: str = "archive") -> dict[str, Any]:
    """Return an item whose hrefs lie below a root, by default relative to the working directory."""
    record = json.loads(Path("archive", platform, item_id, "stac_item.json").read_text())
    for asset in record["assets"].values():
        asset["href"] = f"{root}/{platform}/{item_id}/{asset['href'][2:]}"
    return record


# --- indexes


def write_indexes(items: list[dict[str, Any]]) -> None:
    """Write an index in every form that it has on disk."""
    tables = [Indexer(item, CHIP).create_index() for item in items]
    # a header that is to fit any copy of its file identifies it by size alone
    headers = {
        item.item_id: {key: header.moved() for key, header in by_key.items()}
        for item, by_key in gather_headers(items).items()
    }
    both = index.concat_indexes(tables)
    index.write_index(both, "indexes/folder", headers=headers)
    index.write_index(both, "indexes/single.parquet")
    pq.write_table(tables[0], "indexes/plain.parquet")
    index.write_index(
        NoStatsChipIndexer(items[0], CHIP, reference="nir").create_index(), "indexes/coarse"
    )
    for table, (platform, item_id) in zip(tables, ((SENTINEL, SCENE), (NAIP, QUAD)), strict=True):
        place = Layout("archive").index_folder(platform, item_id)
        name = Layout("archive").index_name(item_id)
        own = {item_id: headers[item_id]}
        index.write_index(table, place, headers=own, name=name)
    merge_indexes(["archive/index", "indexes/single.parquet"], "indexes/merged", duplicates="drop")


def write_remote(root: Path) -> None:
    """Write an index of files behind a web server, with headers, and a disk cache of all blocks.

    Chips can then be cut without a request to the server.
    """
    with RangeServer(root) as server:
        storage = Storage(sign=lambda href: href.replace(REMOTE, server.url().rstrip("/")))
        items = [
            item_record(platform, item_id, f"{REMOTE}/archive")
            for platform, item_id in ((SENTINEL, SCENE), (NAIP, QUAD))
        ]
        table = index.concat_indexes(
            [NoStatsChipIndexer(item, CHIP).create_index() for item in items]
        )
        headers = gather_headers(items, storage=storage)
        index.write_index(table, "indexes/remote", headers=headers)
        caches = Caches(encoded=DiskCache("cache", 1 << 20))
        for _ in Chipper("indexes/remote", storage=storage, caches=caches):
            pass


# --- cubes and statistics


def write_products() -> dict[str, Prechip]:
    """Write cubes of each form, and the parts that statistics jobs leave."""
    imagery = Imagery("indexes/folder", NAIP, bands=("red", "nir"), max_nodata=None)
    settings = PlanSettings(seed=3, cube_size=4, cubes_per_job=1, mixing_bytes=64 << 20)
    runs = {
        form: Prechip(imagery, f"./cubes/{form}", settings, form)
        for form in ("npz", "npz-uncompressed", "webdataset", "zarr")
    }
    for form, run in runs.items():
        plan = run.plan()
        for job in range(plan.jobs) if form in ("npz", "zarr") else [1]:
            run.run(job, plan)
    storage = Storage()
    imagery = Imagery("indexes/folder", SENTINEL, bands=("red", "nir"), max_nodata=None)
    reports = {}
    for dtype in ("uint16", "float32"):
        folder = StatisticsFolder(f"statistics/{dtype}", storage)
        for job in range(2):
            part = index_statistics(imagery, storage, shard=Shard(job, 2), dtype=dtype)
            folder.write(part, statistics.Part(job, 2, (SENTINEL,)))
        reports[dtype] = statistics.make_report(folder.merge())[SENTINEL]
    Path("statistics/reports.json").write_text(json.dumps(reports, indent=1))
    return runs


# --- pickles


def indexers(items: list[dict[str, Any]]) -> dict[str, Any]:
    scene, quad = items
    mask = np.zeros((64, 96), bool)
    mask[:40, :30] = True
    landsat = sources.LANDSAT
    made = {
        "Indexer": Indexer(quad, CHIP),
        "Sentinel2Indexer": Indexer(scene, CHIP, 0.1, edge="pad"),
        "Sentinel2Indexer-measured": Indexer(scene, CHIP),
        "NoStatsChipIndexer": NoStatsChipIndexer(scene, CHIP, reference="nir"),
        "NoDataMaskChipIndexer": NoDataMaskChipIndexer(quad, mask, CHIP),
    }
    made["Sentinel2Indexer-measured"].create_index()
    # the indexers of other sources read the SCL as if it were their own QA band
    for kind, source in (
        (indexer.LandsatIndexer, landsat), (indexer.ModisIndexer, sources.MODIS),
        (indexer.Sentinel1Indexer, sources.SENTINEL_1),
    ):  # fmt: skip
        own = {"qa_assets": ("scl",)}
        variant = type(source)(**{**vars(source), **own, "adapt": None})
        made[kind.__name__] = kind(scene, CHIP, source=variant)
    made["GridDifference"] = GridDifference("a", "red", "here", "there")
    return made


def chippers(items: list[dict[str, Any]]) -> dict[str, Any]:
    table = index.read_index("indexes/single.parquet")
    caches = Caches(BlockCache(1 << 20), DiskCache("blocks", 1 << 20, revalidate=True))
    opened = Chipper(table.slice(0, 16), assets=["nir", "red"], resampling={"nir": "bilinear"})
    opened[0]
    return {
        "Chipper-table": Chipper(table),
        "Chipper-file": Chipper("indexes/single.parquet"),
        "Chipper-folder": Chipper("indexes/folder", items=items),
        "Chipper-indexer": Chipper(NoStatsChipIndexer(items[0], CHIP), edge="drop"),
        "Chipper-mount": Chipper(table, "./archive", asset_blacklist=["scl"]),
        "Chipper-caches": Chipper(table, caches=caches),
        "Chipper-opened": opened,
        "Bucket": Bucket("s3://clay"),
        "Chip": Chipper(table).cut(1, 2, item_id=SCENE),
        "Caches": caches,
        "Caches-of-files": Caches(encoded=DiskCache("cache", 1 << 20)),
        "Chipper-web": Chipper(WEB_INDEX, storage=Storage(sign=os.path.expandvars)),
    }


def streams() -> dict[str, Any]:
    table = index.read_index("indexes/merged", platform=SENTINEL)
    table = index.embed_items(table, {SCENE: item_record(SENTINEL, SCENE)})
    made = ChipStream(table, order="shuffle", seed=7, epoch=2, assets=["red", "nir"])
    begun = ChipStream(table, order="shuffle", seed=7, shard=Shard(1, 2), dtype="float32")
    state = None
    for number, _ in enumerate(begun.batches(3)):
        if number == 1:
            state = begun.state_dict()
    begun.load_state_dict(state)
    restored = pickle.loads(pickle.dumps(begun))
    batch = next(ChipStream(table, seed=7, assets=["red", "nir"]).batches(2))
    skip = errors.CorruptBlock("block is broken", href="a.tif", block=(0, 1, 2))
    report = StreamReport(delivered=3, decoded_blocks=4, decoded_bytes=5, peak_bytes=6)
    report.skip("a-1-2", 9, skip)
    return {
        "ChipStream": ChipStream(table, order="shuffle", seed=7, epoch=2, assets=["red", "nir"]),
        "ChipStream-index": ChipStream(table, order="index", errors="skip", with_valid=False),
        "ChipStream-restored": restored,
        "ChipStream-web": ChipStream(WEB_INDEX, storage=Storage(sign=os.path.expandvars)),
        "ChipBatch": batch,
        "ChipKind": stream.ChipKind(("red",), 32, np.dtype("uint16")),
        "Explanation": Explanation(4, 1, 2, 300, 5, 5, 600, 700, 8.5, {"a.tif": "jpeg"}),
        "Explanation-of-stream": made.explain(),
        "Mixing": measure_mixing(made, 4),
        "Shard": Shard(1, 3, 0, 2, "pad"),
        "StreamReport": report,
        "Skipped": Skipped("a-1-2", 9, skip),
        "state_dict": state,
    }


def index_values() -> dict[str, Any]:
    record = read_records("indexes/folder")[1]
    geobox = record.headers["image"].geobox
    grid = index.ChipGrid(geobox, CHIP, "pad")
    return {
        "table": index.read_index("indexes/single.parquet"),
        "SCHEMA": index.SCHEMA,
        "ItemRecord": record,
        "ItemRecord-plain": ItemRecord("naip", "a", {"id": "a"}, "s3://a/a.json"),
        "RecordedGrid": RecordedGrid(geobox, "image"),
        "GeoBox": geobox,
        "ChipGrid": grid,
        "Footprints": grid.footprints(),
        "Filters": index.Filters(max_cloud=0.5, datetime="2023-01"),
        "Selection": Selection(
            max_cloud=0.1, datetime="2023-01/2023-02", bbox=(4, 51, 5, 52), platform=[SENTINEL],
            geometry=shapely.box(4, 51, 5, 52),
        ),
        "Merged": index.Merged(3, 2, 22, 0, (NAIP, SENTINEL), 2),
        "Header": record.headers["image"],
    }  # fmt: skip


def raster_values() -> dict[str, Any]:
    place = f"archive/{SENTINEL}/{SCENE}"
    storage = Storage()
    header = read_header(storage, f"{place}/red.tif").moved()
    caches = Caches(decoded=BlockCache(1 << 20))
    fast = open_reader(f"{place}/red.tif", storage, header=header, caches=caches)
    window = Window(3, 5, 20, 30)
    return {
        "Window": window,
        "Reader-fast": fast,
        "Reader-gdal": open_reader(f"{place}/red.tif", storage, header=header, force="gdal"),
        "WindowRequest": WindowRequest(fast, window, (0,)),
    }


def storage_values() -> dict[str, Any]:
    options = StorageOptions(region="us-west-2", headers={"X-Test": "1"}, max_attempts=3)
    overrides = {"s3://usgs-landsat/": StorageOptions(requester_pays=True)}
    return {
        "Storage": Storage(options=options, overrides=overrides),
        "Storage-signing": Storage(sign=operator.methodcaller("upper")),
        "StorageOptions": options,
        "Identity": Identity(10, '"a"', "Mon, 01 Jan 2024 00:00:00 GMT"),
        "Entry": Entry("s3://b/a", 7),
        "Blob": Blob(b"abc", Identity(10), 2),
    }


def item_values(items: list[dict[str, Any]]) -> dict[str, Any]:
    (item,) = load_items(items[0])
    return {
        "items": [item],
        "AssetInfo": read_assets(item),
        "sources": {source.name: source for source in sources.list_sources()},
        "Source-variant": sources.SENTINEL_2.for_item(item),
        "ChipPicture": ChipPicture(np.zeros((3, 2, 2)), np.ones((2, 2), bool), ("a",), "naip"),
        "Stretch": Stretch(1.0, 2.0, 1.5),
    }


def error_values() -> dict[str, Any]:
    facts = {
        "item_id": "a", "asset": "red", "field": "proj:code", "href": "s3://b/a.tif",
        "block": (0, 1, 2), "status": 503, "x": 3, "y": 4, "expected": Identity(1, '"a"'),
    }  # fmt: skip
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {
        f"error-{kind.__name__}": kind(f"{kind.__name__}: what, where, remedy", **facts)
        for kind in kinds
        if issubclass(kind, errors.StacchipError)
    }


def dataset_values(runs: dict[str, Prechip]) -> dict[str, Any]:
    storage = Storage()
    cubes = {form: sinks.find_cubes(run.folder, storage) for form, run in runs.items()}
    table = index.read_index("indexes/single.parquet", platform=NAIP)
    pixels = np.arange(2 * 4 * 3 * 3, dtype=np.float32).reshape(2, 4, 3, 3)
    histogram = statistics.Histogram.of(np.array([3, 3, 5, 250], np.uint8))
    counted = statistics.new_statistics("uint8")
    counted.add(np.array([3, 3, 5], np.uint8))
    measured = statistics.PlatformStatistics(get_platform(NAIP), "uint8")
    measured.add(pixels.astype(np.uint8))
    return {
        **{f"cubes-{form}": each for form, each in cubes.items()},
        **{f"sink-{form}": runs[form].open_sink(runs[form].plan()) for form in PICKLED_SINKS},
        "Cube": sinks.Cube(3, pixels, table.slice(0, 2)),
        "CubeFolder": sinks.CubeFolder("s3://cubes", NAIP),
        "Histogram": histogram,
        "Moments": histogram.moments,
        "band-counted": counted.histogram,
        "Part": statistics.Part(1, 3, (NAIP, SENTINEL)),
        "PlatformStatistics": measured,
        "StatisticsFolder": StatisticsFolder("statistics/uint16", storage),
        "Band": Band("red", "image", 1, 0.65),
        "PlatformBands": get_platform(NAIP),
        "PlatformBands-own": PlatformBands("mine", (Band("a", "b"),), 3.0, "uint8", 0),
    }


def processor_values(items: list[dict[str, Any]], runs: dict[str, Prechip]) -> dict[str, Any]:
    (item,) = load_items(items[0])
    settings = Settings("s3://archive/a", "link", 3, endpoint="http://localhost:8333")
    choices = Choices(seed=4, years=(2018, 2020), bands=("red",), max_cloud=20.0)
    names = ("sentinel-2", "landsat", "naip", "linz", "sentinel-1", "modis")
    report = ItemReport("a", NAIP, 4, 1000, 22, 1.5, 0.25)
    row_report = RowReport(3, "31UFS", (report,), ("no item",), ("broken",))
    placed = Placed("s3://a/b.tif", 10, WrittenGrid("EPSG:3857", (1.0, 0, 0, 0, -1.0, 0), (3, 4)))
    header = read_records("indexes/folder")[1].headers["image"]
    recipe = get_recipe("sentinel-2")
    return {
        "Settings": settings,
        "Choices": choices,
        **{
            f"Job-{name}": Job(get_recipe(name), get_recipe(name).choices, settings)
            for name in names
        },
        "Job-decided": Job(recipe, choices, settings),
        "Job-run": Job(recipe, choices, settings).run,
        "Row": Row(3, "31UFS", shapely.box(4, 51, 5, 52), {"grid:code": "MGRS-31UFS"}),
        "ItemReport": report,
        "RowReport": row_report,
        "RunReport": RunReport((row_report,)),
        "PlannedFile": PlannedFile("a", "red", "s3://b/a.tif", None),
        "Period": months(2023)[1],
        "Choice": Choice((item,), ("a note",)),
        "Layout": Layout("s3://archive"),
        "Pace": Pace(2.5),
        "Original": Original("s3://a/b.tif", Identity(3)),
        "Placed": placed,
        "FilesOfItem": FilesOfItem({"red": placed}, ("red",), {"red": header}),
        "Placer": Placer(recipe, choices, settings, Storage()),
        "Conversion": Conversion("EPSG:3857", 0.6, 3),
        "Imagery": runs["npz"].imagery,
        "PlanSettings": runs["npz"].settings,
        "JobShard": JobShard(1, 3, chips_per_job=4, total=9),
        "CubePlan": CubePlan(Chipper("indexes/single.parquet"), PlanSettings(2, 6), ("red",)),
        "Prechip": runs["webdataset"],
        "PrechipReport": PrechipReport(1, 2, 3, 4, 5, 6, 7.5),
    }


def reference_values() -> dict[str, Any]:
    """Return functions and classes: a pickle names the module that defines them."""
    found: dict[str, Any] = {}
    for face in FACES:
        module = import_module(f"stacchip.{face}")
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__ and name[0] != "_"
        ]
        for name in names:
            value = getattr(module, name)
            if isinstance(value, type | FunctionType):
                found[f"{face}.{name}"] = value
    for module, name in DOCUMENTED:
        found[f"{module}.{name}"] = getattr(import_module(f"stacchip.{module}"), name)
    found["task"] = functools.partial(index.read_index, "indexes/folder", max_cloud=0.1)
    return {"references": found}


def torch_values() -> dict[str, Any]:
    from stacchip.datasets import ChipDataset, ChipStreamDataset, Label

    table = index.read_index("indexes/single.parquet", platform=SENTINEL)
    label = Label(column="cloud_cover_percentage")
    made = ChipStream(table, order="shuffle", seed=5, assets=["red", "nir"], dtype="float32")
    dataset = ChipStreamDataset(made, batch_size=5, label=Label(asset="nir"), resumable=True)
    for number, _ in enumerate(dataset.track(dataset)):
        if number == 1:
            break
    state = dataset.state_dict()
    restored = ChipStreamDataset(made, batch_size=5, label=Label(asset="nir"))
    restored.load_state_dict(state)
    return {
        "torch-Label": Label(function=operator.attrgetter("x")),
        "torch-ChipDataset": ChipDataset(table, label=label, assets=["red"]),
        "torch-ChipStreamDataset": ChipStreamDataset(made, batch_size=5),
        "torch-ChipStreamDataset-restored": restored,
        "torch-state_dict": state,
    }


def write_pickles(values: dict[str, Any]) -> dict[str, Any]:
    """Write each value as pickles of two protocols; return their answers by name."""
    answers = {}
    with tarfile.open("pickles.tar.xz", "w:xz", preset=9) as file:
        for name, value in values.items():
            for protocol in PROTOCOLS:
                data = pickle.dumps(value, protocol)
                about = tarfile.TarInfo(f"{name}-{protocol}.pickle")
                about.size = len(data)
                file.addfile(about, io.BytesIO(data))
            answers[name] = json.loads(json.dumps(answer(pickle.loads(data))))
    return answers


# --- states


def write_states() -> None:
    """Write, for each order, a stream's state after two batches and the chips that follow."""
    told = {}
    for order in ("index", "blocks", "shuffle"):
        chipids: list[list[str]] = []
        states = []
        made = ChipStream("indexes/merged", order=order, seed=11, epoch=1)
        for batch in made.batches(5):
            chipids.append(list(batch.chipids))
            states.append(made.state_dict())
        resumed = ChipStream("indexes/merged", order=order, seed=11, epoch=1)
        resumed.load_state_dict(json.loads(json.dumps(states[1])))
        rest = [list(batch.chipids) for batch in resumed.batches(5)]
        every = sorted(chipid for batch in chipids for chipid in batch)
        assert sorted(chipid for batch in chipids[:2] + rest for chipid in batch) == every
        told[order] = {"state": states[1], "given": chipids[:2], "rest": rest}
    Path("states.json").write_text(json.dumps(told, indent=1, sort_keys=True))


def check_pixels(expected: dict[str, np.ndarray]) -> None:
    """Check that the indexes give the pixels that numpy cuts."""
    for path in ("indexes/folder", "indexes/single.parquet", "indexes/merged"):
        chipper = Chipper(path)
        assert len(chipper) == 22
        for row, (_, _, arrays) in enumerate(chipper):
            chipid = chipper.rows.key(row).chipid
            for key, pixels in arrays.items():
                np.testing.assert_array_equal(pixels, expected[f"{chipid}:{key}"])


def write_all(root: Path) -> None:
    Path("note.txt").write_bytes(b"chips")
    write_archive()
    items = [item_record(SENTINEL, SCENE), item_record(NAIP, QUAD)]
    write_indexes(items)
    write_remote(root)
    runs = write_products()
    expected = expected_pixels()
    check_pixels(expected)
    np.savez_compressed("pixels.npz", **expected)
    write_states()
    with RangeServer(root) as server:
        os.environ["STACCHIP_BEFORE"] = urlsplit(server.url()).netloc
        values = {
            **indexers(items), **chippers(items), **streams(), **index_values(),
            **raster_values(), **storage_values(), **item_values(items), **error_values(),
            **dataset_values(runs), **processor_values(items, runs), **reference_values(),
            **torch_values(),
        }  # fmt: skip
        answers = write_pickles(values)
    lines = [f"{json.dumps(name)}: {json.dumps(answers[name])}" for name in sorted(answers)]
    Path("answers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    rows = answer(index.read_index("indexes/folder"))
    Path("rows.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    work = Path(tempfile.gettempdir(), "stacchip-before")
    work.mkdir()
    os.chdir(work)
    write_all(work)
    shutil.rmtree(HERE / "before", ignore_errors=True)
    shutil.move(work, HERE / "before")
