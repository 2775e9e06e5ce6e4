"""Whatever happens to a store, its pixels are those of the files."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio

from chipstore import dying
from chipstore.conftest import (
    GB,
    assert_same,
    catalogue_rows,
    cut_all,
    cut_by_chipper,
    open_stream,
    packs_of,
    shards_of,
    spoil,
)
from failures import failures_of, small_files
from kills import ALL, left_by_kills
from servers.range_server import Fault
from stacchip import Chipper, ChipStore, ChipStream
from stacchip.errors import AssetChanged, StacchipError, UsageError
from stacchip.stream.batch import Apart
from stream.conftest import behind, index_items, make_item
from users import without_privileges

MB = 1 << 20
ORDERS = ["blocks", "shuffle"]
FORK = multiprocessing.get_context("forkserver")


# -- files that change


def rewrite(path: Path, change: int) -> None:
    """Write a file of the same size with other pixels, and a newer time."""
    before = path.stat()
    with rasterio.open(path) as file:
        pixels, profile = file.read(), file.profile
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels + change)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))


@pytest.fixture
def plain(tmp_path):
    """A scene whose files are not compressed, so that other pixels take as many bytes."""
    bands = {"red": (10, 384), "swir": (20, 192)}
    return make_item(tmp_path / "a", "a", bands, dtype="uint16", compress="none", predictor=1)


@pytest.mark.parametrize("order", ORDERS)
def test_a_file_that_changed_is_never_served_from_the_store(plain, tmp_path, order):
    folder = tmp_path / "chips"
    cut_all(open_stream(index_items([plain.item], tmp_path / "i1"), folder))
    for change in (1, 2):
        rewrite(plain.path("red"), 1)
        path = index_items([plain.item], tmp_path / f"i{change + 1}")
        expected = cut_by_chipper(Chipper(path))
        assert_same(cut_by_chipper(Chipper(path, store=ChipStore(folder, GB))), expected)
        stream = open_stream(path, folder, order=order)
        assert_same(cut_all(stream), expected)
        assert stream.report.decoded_blocks == 0, "kept by the chipper"
    stream = open_stream(path, folder, order=order)
    assert_same(cut_all(stream), expected)


def test_of_a_file_that_changed_only_that_file_is_read_again(plain, tmp_path):
    folder = tmp_path / "chips"
    cut_all(open_stream(index_items([plain.item], tmp_path / "i1"), folder))
    rewrite(plain.path("red"), 1)
    path = index_items([plain.item], tmp_path / "i2")
    expected = cut_by_chipper(Chipper(path))
    spoil(plain.path("swir"))
    stream = open_stream(path, folder)
    assert_same(cut_all(stream), expected)
    assert stream.report.decoded_blocks == 9


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_an_index_of_a_file_that_changed_is_refused_though_the_store_has_its_chips(
    plain, tmp_path, order
):
    path = index_items([plain.item], tmp_path / "index")
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder))
    rewrite(plain.path("swir"), 1)
    with pytest.raises(AssetChanged, match="Item 'a', asset 'swir'"):
        cut_all(open_stream(path, folder, order=order))
    with pytest.raises(AssetChanged, match="Item 'a', asset 'swir'"):
        Chipper(path, store=ChipStore(folder, GB)).cut_row(0)


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_an_item_whose_file_is_gone_costs_its_chips_alone(tmp_path, order, is_kept):
    scenes = [make_item(tmp_path / name, name, {"red": (10, 256)}) for name in "ab"]
    path = index_items([scene.item for scene in scenes], tmp_path / "index")
    expected = cut_by_chipper(Chipper(path))
    if is_kept:
        cut_all(open_stream(path, tmp_path / "chips"))
    scenes[0].path("red").unlink()
    stream = open_stream(path, tmp_path / "chips", order=order, errors="skip")
    found = cut_all(stream)
    assert_same(found, {row: expected[row] for row in range(16, 32)})
    assert stream.report.skipped == 16
    assert {cause.item_id for cause in stream.report.causes} == {"a"}
    assert {cause.asset for cause in stream.report.causes} == {"red"}


def test_a_remote_file_is_asked_for_its_version_once_if_that_is_wished(
    nested, server, tmp_path, archive
):
    folder = tmp_path / "chips"
    cut_all(open_stream(nested, folder), size=64)
    server.reset_counters()
    store = ChipStore(folder, GB, revalidate=True)
    for _ in range(2):
        cut_all(ChipStream(nested, store=store), size=64)
    assert server.requests == 6 * 2
    assert {request.method for request in server.log} <= {"HEAD", "GET"}
    server.always(
        "item-2/red.tif",
        Fault(etag='"another"', headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}),
    )
    cut_all(open_stream(nested, folder), size=64)
    with pytest.raises(AssetChanged, match="Item 'item-2', asset 'red'"):
        cut_all(ChipStream(nested, store=ChipStore(folder, GB, revalidate=True)), size=64)


def test_files_of_unknown_version_are_not_kept_and_read_once_in_an_epoch(archive, server, tmp_path):
    """A server that tells neither tag nor time."""
    for scene in archive[:2]:
        for key in scene.item.assets:
            path = f"{scene.folder.name}/{key}.tif"
            server.route(path, without_version(scene.path(key)))
    items = [behind(scene, server) for scene in archive[:2]]
    path = index_items(items, tmp_path / "index")
    expected = cut_all(ChipStream(path), size=32)
    folder = tmp_path / "chips"
    for order in ("blocks", "shuffle"):
        stream = open_stream(path, folder, order=order)
        assert_same(cut_all(stream, size=32), expected)
        assert stream.report.from_store == 0
        assert stream.report.decoded_blocks <= 2 * 45, "no area is read for a chip that is not kept"
    assert ChipStore(folder, GB).count_chips() == 0


def without_version(path: Path):
    data = path.read_bytes()

    def answer(request):
        asked = request.headers.get("range")
        if asked is None:
            return 200, {"Accept-Ranges": "bytes"}, data
        first, last = asked.removeprefix("bytes=").split("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        return 206, {"Content-Range": f"bytes {start}-{end}/{len(data)}"}, data[start : end + 1]

    return answer


# -- damage


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def flip_in_each_shard(folder: Path) -> None:
    for shard in shards_of(folder):
        if shard.stat().st_size > 2000:  # an array of pixels
            flip(shard, 60)


def flip_in_each_index(folder: Path) -> None:
    for shard in shards_of(folder):
        flip(shard, -20)


def cut_off(folder: Path) -> None:
    for shard in shards_of(folder):
        os.truncate(shard, shard.stat().st_size * 2 // 3)


def empty_files(folder: Path) -> None:
    for shard in shards_of(folder):
        os.truncate(shard, 0)


def zero_blocks(folder: Path) -> None:
    """What a power cut leaves: files of the right size, of zeros."""
    for shard in shards_of(folder):
        shard.write_bytes(bytes(shard.stat().st_size))


def delete_packs(folder: Path) -> None:
    for pack in packs_of(folder):
        shutil.rmtree(pack)


def delete_shards(folder: Path) -> None:
    for shard in shards_of(folder)[::2]:
        shard.unlink()


def delete_catalogue(folder: Path) -> None:
    (folder / "catalogue.sqlite").unlink()


def spoil_catalogue(folder: Path) -> None:
    (folder / "catalogue.sqlite").write_bytes(b"garbage" * 5000)


def spoil_the_middle_of_the_catalogue(folder: Path) -> None:
    path = folder / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    data[2000:] = b"\xa5" * (len(data) - 2000)
    path.write_bytes(data)


def empty_catalogue(folder: Path) -> None:
    os.truncate(folder / "catalogue.sqlite", 0)


def spoil_metadata(folder: Path) -> None:
    for pack in packs_of(folder):
        (pack / "chips.zarr" / "zarr.json").write_bytes(b'{"attributes": {"stacchip": [1]}}')


def claim_another_kind(folder: Path) -> None:
    for pack in packs_of(folder):
        path = pack / "chips.zarr" / "zarr.json"
        path.write_text(path.read_text().replace('"uint16"', '"float32"'))


def swap_chips(folder: Path) -> None:
    """Rows that claim to be each other's chips, and a catalogue that believes them."""
    for pack in packs_of(folder):
        path = pack / "chips.zarr" / "place" / "c" / "0" / "0"
        places = np.frombuffer(path.read_bytes(), np.int32).reshape(-1, 3)
        path.write_bytes(places[::-1].tobytes())
    delete_catalogue(folder)


DAMAGES = [
    flip_in_each_shard, flip_in_each_index, cut_off, empty_files, zero_blocks, delete_packs,
    delete_shards, delete_catalogue, spoil_catalogue, spoil_the_middle_of_the_catalogue,
    empty_catalogue, spoil_metadata, claim_another_kind, swap_chips,
]  # fmt: skip
OF_THE_CATALOGUE = (
    delete_catalogue, spoil_catalogue, spoil_the_middle_of_the_catalogue, empty_catalogue,
)  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_read_from_the_files_and_kept_anew(small, tmp_path, damage, order):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder))
    damage(folder)
    if damage in OF_THE_CATALOGUE:
        for key in ("red", "swir"):
            spoil(scene.path(key))
    stream = open_stream(path, folder, order=order)
    assert_same(cut_all(stream), expected)
    for key in ("red", "swir"):
        spoil(scene.path(key))
    again = open_stream(path, folder, order=order)
    assert_same(cut_all(again), expected)
    assert (again.report.from_store, again.report.decoded_blocks) == (36, 0)
    assert_same(cut_by_chipper(Chipper(path, store=ChipStore(folder, GB))), expected)
    kept = {name for (name,) in catalogue_rows(folder, "SELECT name FROM packs")}
    assert kept == {pack.name for pack in packs_of(folder)}, "all bytes are counted"


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_front_of_a_process_that_uses_the_store(small, tmp_path, damage):
    """Files are taken away, or written anew beside and renamed, as other programs do it."""
    _, path = small
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    store = ChipStore(folder, GB)
    stream = ChipStream(path, store=store)
    cut_all(stream)
    assert_same(cut_all(stream), expected)
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    damage(before)
    shutil.rmtree(folder)
    before.rename(folder)
    for order in ("blocks", "shuffle", "blocks"):
        assert_same(cut_all(ChipStream(path, store=store, order=order)), expected)
    for _ in range(2):  # the first process went on with what it had open
        again = open_stream(path, folder)
        assert_same(cut_all(again), expected)
    assert again.report.decoded_blocks == 0
    kept = [name for (name,) in catalogue_rows(folder, "SELECT name FROM packs")]
    assert sorted(kept) == [pack.name for pack in packs_of(folder)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("apart", [True, False])
def test_a_damaged_chip_whose_file_is_broken_is_skipped_or_raises(small, tmp_path, order, apart):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder))
    (shard,) = [
        shard
        for shard in shards_of(folder)
        if "128x128" not in str(shard) and "64x64" in str(shard)
    ]
    index = np.frombuffer(shard.read_bytes()[-16 * 36 - 4 : -4], "<u8").reshape(36, 2)
    for start, size in index[::5].tolist():  # eight chips
        flip(shard, start + size // 2)
    for key in ("red", "swir"):
        spoil(scene.path(key))
    stream = open_stream(path, folder, order=order, errors="skip")
    if apart:
        stream.cut_apart(Apart("swir", lambda dtype: dtype))
    found = {}
    for batch in stream.batches(5):
        for number, row in enumerate(batch.rows.tolist()):
            np.testing.assert_array_equal(batch.array[number, 0], expected[row][0][0])
            swir = batch.apart.array[number, 0] if apart else batch.array[number, 1]
            np.testing.assert_array_equal(swir, expected[row][0][1])
            found[row] = 1
    assert len(found) == 36 - 8
    assert stream.report.skipped == 8
    assert len({each.row for each in stream.report.reasons} | found.keys()) == 36
    stream = open_stream(path, folder, order=order)
    with pytest.raises(StacchipError, match=r"Item 'a', asset '(red|swir)'"):
        cut_all(stream)


# -- where nothing can be written


def said_of(caplog) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("order", ORDERS)
def test_a_full_disk_is_said_once(small, tmp_path, caplog, order):
    _, path = small
    expected = cut_by_chipper(Chipper(path))
    store = ChipStore(tmp_path / "chips", GB)
    with small_files(6000):
        for _ in range(2):
            stream = ChipStream(path, store=store, order=order)
            assert_same(cut_all(stream), expected)
        chipper = Chipper(path, store=store)
        assert_same(cut_by_chipper(chipper), expected)
    (said,) = said_of(caplog)
    assert f"chips are not kept in {tmp_path / 'chips'}: " in said
    assert stream.report.why_not_kept
    assert stream.report.why_not_kept in str(stream.report)
    assert not store.is_writing
    assert_same(cut_all(open_stream(path, tmp_path / "chips", order=order)), expected)
    again = open_stream(path, tmp_path / "chips", order=order)
    assert_same(cut_all(again), expected)
    assert again.report.decoded_blocks == 0, "there was room"


@pytest.mark.parametrize("order", ORDERS)
def test_a_folder_that_may_only_be_read_serves_what_it_has(small, tmp_path, caplog, order):
    _, path = small
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    cut_all(open_stream(path, folder, assets=["red"]))
    for each in [tmp_path, *tmp_path.parents]:
        if os.geteuid() == each.stat().st_uid:
            each.chmod(each.stat().st_mode | 0o555)
    places = [folder, *folder.rglob("*")]
    for each in places:
        each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        with without_privileges():
            stream = open_stream(path, folder, order=order)
            for _ in range(2):
                assert_same(cut_all(stream), expected)
            red = open_stream(path, folder, order=order, assets=["red"])
            assert len(cut_all(red)) == 36
        assert red.report.from_store == 36
        assert red.report.decoded_blocks == 0
        assert sum("not kept" in each for each in said_of(caplog)) == 1
        assert len(said_of(caplog)) == 1
    finally:
        for each in places:
            each.chmod(0o755 if each.is_dir() else 0o644)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_whatever_step_of_the_store_fails_nothing_is_raised(small, tmp_path, code):
    _, path = small
    folder = tmp_path / "chips"
    folder.mkdir()
    failures = failures_of(dying.fill, folder, path, GB, code=code, every=3)
    assert len(failures) > 4
    assert {str(failure.error) for failure in failures} == {"None"}


def count_open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_few_files_may_be_open(tmp_path):
    """Packs hold no file open, and a pack that cannot be opened at present is not thrown away."""
    scene = make_item(tmp_path / "a", "a", {"red": (10, 640)}, dtype="uint16")
    path = index_items([scene.item], tmp_path / "index")
    folder = tmp_path / "chips"
    chipper = Chipper(path)
    expected = cut_by_chipper(chipper)
    for row in range(100):  # a pack for each
        one = ChipStore(folder, GB)
        Chipper(path, store=one).cut_row(row)
        one.flush()
    assert len(packs_of(folder)) == 100
    spoil(scene.path("red"))
    before = count_open_files()
    store = ChipStore(folder, GB)
    assert_same(cut_all(ChipStream(path, store=store)), expected)
    held = count_open_files() - before
    assert held <= 100 + 10, "a file of pixels each, as far as the limit allows"
    assert len(packs_of(folder)) == 100


# -- processes


def test_each_kill_leaves_a_store_that_can_be_used_and_filled(small, tmp_path):
    _, path = small
    expected = cut_by_chipper(Chipper(path))
    folder = tmp_path / "chips"
    folder.mkdir()
    lefts = left_by_kills(dying.fill, folder, path, GB, copies=tmp_path / "copies")
    lefts = lefts if ALL else [*lefts[:12], *lefts[12:-1:2], lefts[-1]]
    assert len(lefts) >= 20
    for number, left in enumerate(lefts):
        stream = open_stream(path, left.folder, order=ORDERS[number % 2])
        assert_same(cut_all(stream), expected)
        again = open_stream(path, left.folder)
        assert_same(cut_all(again), expected)
        assert (again.report.from_store, again.report.decoded_blocks) == (36, 0), left.step
        kept = catalogue_rows(left.folder, "SELECT name FROM packs WHERE writer IS NULL")
        assert sorted(name for (name,) in kept) == [each.name for each in packs_of(left.folder)]
        assert not catalogue_rows(left.folder, "SELECT name FROM packs WHERE writer IS NOT NULL")
        young = list((left.folder / "unfinished").iterdir())
        for each in young:  # of a writer that was killed before it entered its pack
            assert sum(path.stat().st_size for path in each.rglob("*") if path.is_file()) == 0, (
                left.step
            )
            os.utime(each, (0, 0))
        open_stream(path, left.folder, assets=["red"]).store.claims().__enter__()
        assert not any((left.folder / "unfinished").iterdir()), left.step
        assert not [each for each in left.folder.iterdir() if ".stacchip" in each.name]


CHILD = """
    import hashlib, sys
    from stacchip import ChipStore, ChipStream
    stream = ChipStream(sys.argv[1], store=ChipStore(sys.argv[2], 1 << 30), order="shuffle", seed=5)
    seen = {int(row): pixels.tobytes() for batch in stream.batches(16)
            for row, pixels in zip(batch.rows, batch.array)}
    digest = hashlib.sha256(b"".join(seen[row] for row in sorted(seen))).hexdigest()
    print(digest, len(seen), stream.report.decoded_blocks)
"""


def test_processes_that_fill_at_the_same_time_share_the_work(nested, server, tmp_path):
    pixels = cut_all(ChipStream(nested), size=64)
    digest = hashlib.sha256(
        b"".join(pixels[row][0].tobytes() for row in sorted(pixels))
    ).hexdigest()
    command = [sys.executable, "-c", textwrap.dedent(CHILD), nested, str(tmp_path / "chips")]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    decoded = 0
    for child in children:
        said, errors = child.communicate(timeout=120)
        assert errors == ""
        found, count, blocks = said.split()
        assert (found, count) == (digest, "864")
        decoded += int(blocks)
    assert 6 * 45 <= decoded <= 1.5 * 6 * 45
    store = ChipStore(tmp_path / "chips", GB)
    assert store.count_chips() >= 864
    stream = ChipStream(nested, store=store)
    cut_all(stream, size=64)
    assert stream.report.decoded_blocks == 0


def test_threads_share_a_store(small, tmp_path):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    store = ChipStore(tmp_path / "chips", GB)
    chipper = Chipper(path, store=store)
    wrong = []

    def cut(seed: int) -> None:
        try:
            for row in np.random.default_rng(seed).permutation(36).tolist():
                chip = chipper.cut_row(row)
                if chip.array.tobytes() != expected[row][0].tobytes():
                    wrong.append(row)
                if row % 12 == 0:
                    store.flush()
        except Exception as error:  # noqa: BLE001 - the test shows it
            wrong.append(error)

    threads = [threading.Thread(target=cut, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    store.flush()
    spoil(scene.path("red"))
    assert_same(cut_by_chipper(Chipper(path, store=ChipStore(tmp_path / "chips", GB))), expected)


def test_a_store_that_is_let_go_of_keeps_its_chips(small, tmp_path):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    for row in range(36):
        Chipper(path, store=ChipStore(tmp_path / "chips", GB)).cut_row(row)
    spoil(scene.path("red"))
    assert_same(cut_all(open_stream(path, tmp_path / "chips")), expected)
    assert not any((tmp_path / "chips" / "unfinished").iterdir())


def test_a_store_can_be_pickled_and_forked(small, tmp_path):
    _, path = small
    store = ChipStore(tmp_path / "chips", 10 * MB, revalidate=True)
    cut_all(ChipStream(path, store=store))
    again = pickle.loads(pickle.dumps(store))
    assert (again.folder, again.limit_bytes, again.revalidate) == (store.folder, 10 * MB, True)
    stream = pickle.loads(pickle.dumps(ChipStream(path, store=store, order="shuffle")))
    assert_same(cut_all(stream), cut_by_chipper(Chipper(path)))
    assert stream.report.decoded_blocks == 0


def cut_in_child(store: ChipStore, path: str, row: int) -> None:
    Chipper(path, store=store).cut_row(row)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_keeps_chips_beside_those_that_its_parent_is_writing(small, tmp_path, method):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    store = ChipStore(tmp_path / "chips", GB)
    Chipper(path, store=store).cut_row(0)
    child = multiprocessing.get_context(method).Process(target=cut_in_child, args=(store, path, 1))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    Chipper(path, store=store).cut_row(2)
    store.flush()
    spoil(scene.path("red"))
    chipper = Chipper(path, store=ChipStore(tmp_path / "chips", GB))
    for row in range(3):
        np.testing.assert_array_equal(chipper.cut_row(row).array, expected[row][0])
    with pytest.raises(StacchipError):
        chipper.cut_row(3)


# -- folders that are refused


def test_a_folder_of_something_else_is_refused_and_stays(tmp_path):
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="has other files, and is no chip store"):
        ChipStore(tmp_path, GB)
    assert (tmp_path / "packs" / "mine.txt").read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["packs"]


def test_a_file_and_a_remote_place_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        ChipStore(tmp_path / "file", GB)
    with pytest.raises(UsageError, match="local folder"):
        ChipStore("s3://bucket/chips", GB)
    for limit in (0, -1, "20GB", None, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="limit_bytes"):
            ChipStore(tmp_path / "chips", limit)
    assert not (tmp_path / "chips").exists()
    assert ChipStore(f"file://{tmp_path}/chips", 1.5e9).folder == tmp_path / "chips"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('{"stacchip_chip_store": 2}', "form 2, which this version"),
        ('{"stacchip_chip_store": "x"}', "form 'x'"),
        ("[]", "cannot be read"), ("", "cannot be read"), ("{}", "cannot be read"),
    ],
)  # fmt: skip
def test_a_store_of_another_form_is_refused(tmp_path, mark, said):
    (tmp_path / "store.json").write_text(mark)
    with pytest.raises(UsageError, match=said):
        ChipStore(tmp_path, GB)


def test_nothing_is_made_before_a_chip_is_kept(small, tmp_path):
    folder = tmp_path / "deep" / "chips"
    store = ChipStore(folder, GB)
    assert (store.count_chips(), store.count_bytes(), store.why_not_kept) == (0, 0, None)
    assert not folder.parent.exists()
    Chipper(small[1], store=store).cut_row(0)
    assert store.count_chips() == 1
    assert ChipStore(folder, GB).count_chips() == 1
