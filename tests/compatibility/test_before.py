"""Files and pickles that were written before the modules moved still open, and answer the same.

`before/` holds imagery, indexes, pickles, saved states, cubes and parts of statistics;
`write_fixtures.py` says how they were made. Each test works in a copy of that folder.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest

import stacchip
from compatibility.answers import answer, differ
from servers.range_server import RangeServer
from stacchip import scripts
from stacchip.chipper import Chipper
from stacchip.datasets.sinks import CubeFolder, find_cubes
from stacchip.errors import UsageError
from stacchip.index import (
    merge_indexes,
    read_index,
    read_records,
    remove,
    scan_index,
    write_headers,
)
from stacchip.index.stored import store_columns
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream
from stacchip.stream.read.cutting import cut_chip
from stacchip.utils import load_indexer_local

BEFORE = Path(__file__).parent / "before"
ANSWERS = json.loads((BEFORE / "answers.json").read_text())
SENTINEL, NAIP = "sentinel-2-l2a", "naip"
SCENE, QUAD = "S2A_31UFS_20230105_0_L2A", "m_4207045_ne_19_060_20210912"
PROTOCOLS = (4, 5)
# steps of a job on its way through one file, which no process hands to another
# Streams of these give their chips in another order now, and states say places in the old one.
ORDERED = ("ChipStream", "torch-ChipStreamDataset")
RESTORED = ("ChipStream-restored", "torch-ChipStreamDataset-restored")
INSIDE_A_JOB = ("FilesOfItem", "Placed")
INDEXES = {
    "indexes/folder": 22,
    "indexes/single.parquet": 22,
    "indexes/merged": 22,
    "indexes/plain.parquet": 16,
    f"archive/index/{SENTINEL}/{SCENE}": 16,
    f"archive/index/{NAIP}/{QUAD}": 6,
    "archive/index": 22,
}
WITH_HEADERS = ("indexes/folder", "indexes/merged", "archive/index")


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the folder, make the copy the working directory, and serve it on loopback.

    Pickles whose names end in `-web` read their index from `http://$STACCHIP_BEFORE/`. Their
    storage signs hrefs with `os.path.expandvars`, so the server may have any port.
    """
    folder = tmp_path / "before"
    shutil.copytree(BEFORE, folder)
    monkeypatch.chdir(folder)
    with RangeServer(folder) as server:
        monkeypatch.setenv("STACCHIP_BEFORE", urlsplit(server.url()).netloc)
        yield folder


@pytest.fixture(scope="module")
def pickles() -> dict[str, bytes]:
    with tarfile.open(BEFORE / "pickles.tar.xz") as file:
        found = {each.name: file.extractfile(each).read() for each in file}
    # the class is gone: a job is a part of a sequence now, which the stream itself finds
    return {name: data for name, data in found.items() if not name.startswith("JobShard")}


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    """Each chip's pixels by chipid and asset, cut by numpy, not by stacchip."""
    with np.load(BEFORE / "pixels.npz") as file:
        return dict(file)


def require_pixels(chipper: Chipper, pixels: dict[str, np.ndarray]) -> int:
    """Compare all chips of a chipper, and return their number."""
    for row, (_, _, arrays) in enumerate(chipper):
        chipid = chipper.cut_row(row).chipid
        assert arrays, chipid
        for key, found in arrays.items():
            np.testing.assert_array_equal(found, pixels[f"{chipid}:{key}"])
    return len(chipper)


# --- pickles


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - set(INSIDE_A_JOB)))
def test_a_pickle_answers_as_before(name, protocol, pickles, before):
    if name.startswith("torch-"):
        pytest.importorskip("torch", reason="the datasets need PyTorch")
    pickled = pickles[f"{name}-{protocol}.pickle"]
    if name in RESTORED:
        with pytest.raises(UsageError, match="earlier version"):
            pickle.loads(pickled)
        return
    found = json.loads(json.dumps(answer(pickle.loads(pickled))))
    if name.startswith(ORDERED):
        assert find_chips(found) == find_chips(ANSWERS[name]) != set()
        return
    assert differ(ANSWERS[name], found) == []


def find_chips(said: object) -> set[str]:
    """Return the ids of all chips in an answer."""
    if isinstance(said, dict):
        own = said.get("chipids", said.get("chipid", []))
        return {own} if isinstance(own, str) else {*own}.union(*map(find_chips, said.values()))
    return set().union(*map(find_chips, said)) if isinstance(said, list) else set()


def test_every_pickle_is_asked(pickles):
    assert sorted(pickles) == sorted(
        f"{name}-{each}.pickle" for name in ANSWERS for each in PROTOCOLS
    )


def test_a_wrong_answer_is_noticed():
    before = {"kind": "Window", "row": 3, "sizes": [1.0, 2.0]}
    assert differ(before, {**before, "more": 1}) == []
    assert differ(before, {"kind": "Window", "sizes": [1.0, 2.5]}) == [
        "/row is gone",
        "/sizes/1: was 2.0, is 2.5",
    ]


def test_pickles_open_in_a_process_that_has_imported_nothing(pickles, before):
    """Worker processes open pickles in this way."""
    left_out = ("torch-", *INSIDE_A_JOB, *RESTORED)
    names = [name for name in pickles if not name.startswith(left_out)]
    for name in names:
        Path(name).write_bytes(pickles[name])
    program = (
        "import pickle, sys\n"
        "for name in sys.argv[1:]:\n"
        "    with open(name, 'rb') as file:\n"
        "        pickle.load(file)\n"
        "print(len(sys.argv) - 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *names],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(stacchip.__file__).parents[1])},
    )  # fmt: skip
    assert (done.stderr, done.stdout.strip()) == ("", str(len(names)))


@pytest.mark.parametrize("name", ["Chipper-table", "Chipper-file", "Chipper-folder", "Chipper-web"])
def test_a_pickled_chipper_cuts_the_true_pixels(name, pickles, pixels, before):
    assert require_pixels(pickle.loads(pickles[f"{name}-5.pickle"]), pixels) == 22


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_items_of_a_pickled_batch_cut_its_chips(protocol, pickles, before):
    """They hold the maps of their grids, which had another form."""
    batch = pickle.loads(pickles[f"ChipBatch-{protocol}.pickle"])
    assert len(batch) > 0
    for row, item, chip, valid in zip(
        batch.rows.tolist(), batch._items, batch.array, batch.valid, strict=True
    ):
        window = batch._index.key(row).window
        blocks = {
            block: layer.placed.reader.read(layer.block_window(block))
            for block, layer in item.blocks([window]).items()
        }
        out, usable = np.zeros_like(chip), np.zeros_like(valid)
        cut_chip(item, window, blocks.__getitem__, out, usable)
        np.testing.assert_array_equal(out, chip)
        np.testing.assert_array_equal(usable, valid)


# --- indexes


@pytest.mark.parametrize(("path", "count"), INDEXES.items())
def test_an_index_has_its_rows(path, count, before):
    table = read_index(path)
    rows = json.loads(Path("rows.json").read_text())
    numbers = [rows["chipid"].index(chipid) for chipid in table["chipid"].to_pylist()]
    expected = {name: [values[number] for number in numbers] for name, values in rows.items()}
    assert len(set(numbers)) == count
    assert differ(expected, answer(table)) == []
    assert sum(part.num_rows for part in scan_index(path)) == count


@pytest.mark.parametrize(("path", "count"), INDEXES.items())
def test_chips_of_an_index_are_cut(path, count, pixels, before):
    assert require_pixels(Chipper(path), pixels) == count
    stream = ChipStream(path, order="blocks")
    seen = list(stream)
    assert len({chip.chipid for chip in seen}) == count
    for chip in seen:
        keys = ["image"] if chip.platform == NAIP else chip.bands
        expected = np.concatenate([pixels[f"{chip.chipid}:{key}"] for key in keys])
        np.testing.assert_array_equal(chip.array, expected)


def test_chips_lie_on_the_grid_that_an_index_recorded(pixels, before):
    """The item says 10 m; its chips were indexed on the grid of a 20 m band."""
    chipper = Chipper("indexes/coarse", assets=["nir"])
    assert len(chipper) == 4
    for x, y, arrays in chipper:
        quarters = [
            [pixels[f"{SCENE}-{2 * x + right}-{2 * y + down}:nir"][0] for right in (0, 1)]
            for down in (0, 1)
        ]
        np.testing.assert_array_equal(arrays["nir"][0], np.block(quarters)[::2, ::2])


@pytest.mark.parametrize("path", WITH_HEADERS)
def test_an_index_keeps_its_headers(path, before):
    records = {record.item_id: record for record in read_records(path)}
    assert {each: sorted(records[each].headers) for each in records} == {
        SCENE: ["nir", "red", "scl"],
        QUAD: ["image"],
    }
    red, image = records[SCENE].headers["red"], records[QUAD].headers["image"]
    assert (red.shape, red.dtype, red.nodata, image.count) == ((128, 128), "uint16", 0, 4)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"platform": NAIP}, 6), ({"max_cloud": 0.0}, 14), ({"item_id": SCENE}, 16),
        ({"datetime": "2022"}, 0), ({"bbox": (-72, 41, -71, 42)}, 6),
    ],
)  # fmt: skip
def test_an_index_is_filtered(filters, count, before):
    assert read_index("indexes/folder", **filters).num_rows == count


def test_indexes_are_merged_with_one_another(pixels, before):
    merged = merge_indexes(["archive/index", "indexes/folder"], "again", duplicates="drop")
    assert (merged.items, merged.chips, merged.dropped, merged.records) == (2, 22, 22, 2)
    assert require_pixels(Chipper("again"), pixels) == 22
    assert pq.read_table("again").equals(store_columns(read_index("indexes/merged")))


def test_a_merge_writes_the_same_values_and_each_time_the_same_bytes(before):
    sources = ["archive/index", "indexes/single.parquet"]
    for target in ("again", "once more"):
        merge_indexes(sources, target, duplicates="drop")
    for file in sorted(Path("indexes/merged").glob("*.parquet")):
        before_it, now = pq.read_table(file), pq.read_table(Path("again", file.name))
        if "bbox" in now.column_names:  # in float32 now
            before_it = store_columns(before_it)
        assert now.equals(before_it), file.name
    for file in sorted(Path("again").iterdir()):
        assert Path("once more", file.name).read_bytes() == file.read_bytes(), file.name


def test_a_source_is_removed_from_an_index(before):
    assert remove("indexes/merged", platform=NAIP) == 6
    assert read_index("indexes/merged").num_rows == 16


def test_headers_are_added_to_an_index(before):
    headers = {SCENE: {"copy": read_records("indexes/folder")[0].headers["red"]}}
    write_headers("indexes/merged", headers)
    records = {record.item_id: sorted(record.headers) for record in read_records("indexes/merged")}
    assert records == {SCENE: ["copy", "nir", "red", "scl"], QUAD: ["image"]}


def test_an_archive_is_read_by_item(pixels, before):
    whole = Chipper(bucket=str(before / "archive"), platform=SENTINEL, item_id=SCENE)
    assert require_pixels(whole, pixels) == 16
    chipper = Chipper(load_indexer_local(before / "archive", NAIP, QUAD))
    assert require_pixels(chipper, pixels) == 6


def test_blocks_come_from_the_disk_cache_without_a_request(pickles, pixels, before):
    """The index holds the headers, the cache holds the blocks, and the host does not exist."""
    storage = Storage(options=StorageOptions(max_attempts=1, deadline_s=5))
    caches = pickle.loads(pickles["Caches-of-files-5.pickle"])
    assert require_pixels(Chipper("indexes/remote", storage=storage, caches=caches), pixels) == 22
    stream = ChipStream("indexes/remote", storage=storage, caches=caches)
    assert len(list(stream)) == 22


# --- streams


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_a_state_of_another_order_is_refused_with_what_to_do(order, before):
    told = json.loads(Path("states.json").read_text())[order]
    stream = ChipStream("indexes/merged", order=order, seed=11, epoch=1)
    with pytest.raises(UsageError, match=r"earlier version .* another order.*set_epoch\(1\)"):
        stream.load_state_dict(told["state"])
    given = chain(*told["given"], *told["rest"])
    assert sorted(chip.chipid for chip in stream) == sorted(given)


# --- cubes and statistics


@pytest.mark.parametrize(
    ("form", "numbers"),
    [("npz", (0, 1)), ("npz-uncompressed", (1,)), ("webdataset", (1,)), ("zarr", (0, 1))],
)
def test_cubes_are_read(form, numbers, pixels, before):
    cubes = find_cubes(CubeFolder(f"./cubes/{form}", NAIP), Storage())
    reference = find_cubes(CubeFolder("./cubes/npz", NAIP), Storage()).reader
    assert cubes.numbers == numbers
    known = {pixels[name][[0, 3]].tobytes() for name in pixels if name.startswith(QUAD)}
    for number in numbers:
        cube = cubes.reader.read(number)
        chips = cube["pixels"].astype(np.uint8)
        assert len(chips) == (4, 2)[number]
        assert {chip.tobytes() for chip in chips} <= known
        for name, values in reference.read(number).items():
            np.testing.assert_array_equal(cube[name], values)


def run_script(script: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["stacchip-script", *arguments])
    with pytest.raises(SystemExit) as ended:
        script()
    return int(ended.value.code or 0)


def test_prechip_does_not_mix_cubes_of_two_orders(before, monkeypatch, capsys):
    arguments = [
        "--index", "indexes/folder", "--target", "./cubes/npz", "--platform", NAIP,
        "--bands", "red,nir", "--max-nodata", "1", "--seed", "3", "--cube-size", "4",
        "--cubes-per-job", "1", "--mixing-memory", "64",
    ]  # fmt: skip
    assert run_script(scripts.prechip, arguments, monkeypatch) != 0
    told = capsys.readouterr().err
    assert "order was None and is 'lanes'" in told
    assert "another target" in told


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_parts_of_statistics_are_merged(dtype, before, monkeypatch, capsys):
    import yaml

    assert run_script(scripts.stats, ["--merge", f"statistics/{dtype}"], monkeypatch) == 0
    found = json.loads(json.dumps(yaml.safe_load(capsys.readouterr().out)))[SENTINEL]
    expected = json.loads(Path("statistics/reports.json").read_text())[dtype]
    if dtype == "float32":  # merging sketches draws random numbers
        del expected["bands"]["percentiles"]
    assert differ(expected, found) == []
