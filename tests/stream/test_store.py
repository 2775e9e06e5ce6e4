"""Chips from a store are those of their files, to the bit, in every order and process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from affine import Affine

from chipper.test_harmonize import BASELINE
from chipper.test_harmonize import make_item as make_sentinel2
from chipstore.conftest import (
    GB,
    assert_same,
    cut_all,
    cut_by_chipper,
    make_mixed,
    mixed_scene,
    open_stream,
    small,
    spoil,
)
from scenes import ORIGIN, write_band
from stacchip import Chipper, ChipStore, ChipStream
from stacchip.draws import Draw
from stacchip.errors import StacchipError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import Shard, measure_mixing
from stacchip.stream.batch import Apart
from stream.conftest import index_items, make_item

__all__ = ["mixed_scene", "small"]
ORDERS = ["index", "blocks", "shuffle"]


def compare(make_chipper, folder, order, **options) -> None:
    """Compare two epochs that share a store with chips that come from their files."""
    expected = cut_by_chipper(make_chipper(None))
    for _ in range(2):
        stream = ChipStream(make_chipper(ChipStore(folder, GB)), order=order, **options)
        assert_same(cut_all(stream), expected)
    assert stream.report.decoded_blocks == 0
    assert stream.report.from_store == len(expected)
    assert_same(cut_by_chipper(make_chipper(ChipStore(folder, GB))), expected)


def scene_of(kind: str, folder):
    scene = make_mixed(folder)
    if kind == "gaps":
        write_band(
            scene.path("red"), 10, (600, 700), dtype="float32", nodata=float("nan"), predictor=3
        )
        with rasterio.open(scene.path("red"), "r+") as file:
            pixels = file.read(1)
            pixels[::7, ::3] = np.nan
            file.write(pixels, 1)
        write_band(scene.path("swir"), 20, (300, 350), dtype="float64", nodata=-9999, predictor=3)
    elif kind == "masks":
        write_band(scene.path("red"), 10, (600, 700), dtype="uint8", nodata=None)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(scene.path("red"), "r+") as file,
        ):
            file.write_mask(np.tri(600, 700, dtype=bool))
        alpha = {"count": 2, "dtype": "uint8", "nodata": None, "alpha": "yes"}
        write_band(scene.path("swir"), 20, (300, 350), **alpha)
    elif kind == "gdal":
        write_band(scene.path("swir"), 20, (300, 350), compress="LERC", predictor=1)
    elif kind == "many bands":
        options = {"count": 4, "interleave": "pixel", "dtype": "uint8"}
        write_band(scene.path("red"), 10, (600, 700), **options)
        options = {"count": 3, "interleave": "band", "dtype": "int16", "nodata": -1}
        write_band(scene.path("swir"), 20, (300, 350), **options)
    elif kind == "big endian":
        write_band(scene.path("red"), 10, (600, 700), dtype="uint16", ENDIANNESS="BIG")
        write_band(scene.path("swir"), 20, (300, 350), dtype="int8", nodata=-1)
    elif kind == "misaligned":
        place = Affine(20, 0, ORIGIN[0] + 207, 0, -20, ORIGIN[1] - 113)
        write_band(scene.path("swir"), 20, (200, 250), dtype="uint16", transform=place)
        fields = {"proj:shape": [200, 250], "proj:transform": list(place)[:6]}
        scene.item.assets["swir"].extra_fields |= fields
    return scene


KINDS = ["plain", "gaps", "masks", "gdal", "many bands", "big endian", "misaligned"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_files(tmp_path, kind, order):
    scene = scene_of(kind, tmp_path / "a")

    def make(store):
        return Chipper(NoStatsChipIndexer(scene.item, 100), store=store)

    compare(make, tmp_path / "chips", order)


@pytest.mark.parametrize("order", ["blocks", "shuffle"])
@pytest.mark.parametrize("kind", ["plain", "masks", "misaligned"])
@pytest.mark.parametrize("chip_size", [37, 256])
def test_chips_may_reach_over_the_edge(tmp_path, kind, order, chip_size):
    scene = scene_of(kind, tmp_path / "a")

    def make(store):
        indexer = NoStatsChipIndexer(scene.item, chip_size, edge="pad")
        return Chipper(indexer, edge="pad", store=store)

    compare(make, tmp_path / "chips", order)


@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_a_method_of_resampling_is_not_served_the_pixels_of_another(tmp_path, order):
    scene = scene_of("masks", tmp_path / "a")
    choices = ["nearest", "bilinear", {"swir": "cubic", "coastal": "average"}, "nearest"]
    for method in choices:

        def make(store, method=method):
            return Chipper(NoStatsChipIndexer(scene.item, 128), resampling=method, store=store)

        compare(make, tmp_path / "chips", order)


@pytest.mark.parametrize("order", ["blocks", "shuffle"])
def test_harmonised_pixels_come_from_the_same_store_as_others(tmp_path, order):
    item = make_sentinel2(tmp_path / "a", **BASELINE).item
    folder = tmp_path / "chips"
    for harmonize in (None, "boa_offset"):

        def make(store, harmonize=harmonize):
            return Chipper(NoStatsChipIndexer(item, 64), harmonize=harmonize, store=store)

        compare(make, folder, order)
    assert ChipStore(folder, GB).count_chips() == len(make(None))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
@pytest.mark.parametrize("kind", ["plain", "masks"])
def test_another_type_is_made_of_what_is_kept(tmp_path, kind, dtype):
    scene = scene_of(kind, tmp_path / "a")
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64))
    expected = cut_all(ChipStream(chipper, dtype=dtype))
    for order in ("blocks", "shuffle", "index"):
        stream = open_stream(
            NoStatsChipIndexer(scene.item, 64), tmp_path / "chips", dtype=dtype, order=order
        )
        assert_same(cut_all(stream), expected)
    assert stream.report.decoded_blocks == 0


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_valid_may_be_left_out(tmp_path, order):
    scene = scene_of("masks", tmp_path / "a")
    indexer = NoStatsChipIndexer(scene.item, 64)
    expected = cut_all(ChipStream(indexer, with_valid=False))
    for with_valid in (False, True):  # what the first keeps has to say it to the second
        stream = open_stream(indexer, tmp_path / "chips", order=order, with_valid=with_valid)
        found = cut_all(stream)
        assert_same({row: (pixels, None) for row, (pixels, _) in found.items()}, expected)
    assert stream.report.decoded_blocks == 0
    assert_same(found, cut_by_chipper(Chipper(indexer)))


def two_kinds(tmp_path):
    """Two sensors by turns: two bands with chips of 64 px, and three with chips of 96 px."""
    one = make_item(tmp_path / "a", "a", {"red": (10, 384), "swir": (20, 192)}).item
    bands = {"red": (10, 384), "nir": (10, 384), "pan": (5, 768)}
    two = make_item(tmp_path / "b", "b", bands, dtype="uint16").item
    tables = [
        NoStatsChipIndexer(one, 64).create_index(),
        NoStatsChipIndexer(two, 96).create_index(),
    ]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    order = np.argsort(np.random.default_rng(0).random(table.num_rows))
    return table.take(order), [one, two]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mixed", ["group", "pad"])
def test_chips_of_several_kinds_share_a_store(tmp_path, order, mixed):
    table, items = two_kinds(tmp_path)
    expected = cut_all(ChipStream(Chipper(table, items=items)), mixed=mixed)
    for _ in range(2):
        chipper = Chipper(table, items=items, store=ChipStore(tmp_path / "chips", GB))
        stream = ChipStream(chipper, order=order)
        assert_same(cut_all(stream, mixed=mixed), expected)
    assert (stream.report.from_store, stream.report.decoded_blocks) == (len(table), 0)


def with_labels(stream: ChipStream) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    stream.cut_apart(Apart("scl", lambda dtype: dtype))
    found = {}
    for batch in stream.batches(7):
        for row, pixels, label in zip(
            batch.rows.tolist(), batch.array.copy(), batch.apart.array.copy(), strict=True
        ):
            found[row] = pixels, label
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_a_label_may_be_cut_apart(mixed_scene, tmp_path, order):
    indexer = NoStatsChipIndexer(mixed_scene.item, 64)
    expected = with_labels(ChipStream(indexer))
    for _ in range(2):
        stream = open_stream(indexer, tmp_path / "chips", order=order)
        assert_same(with_labels(stream), expected)
    assert stream.report.decoded_blocks == 0
    plain = open_stream(indexer, tmp_path / "chips", order=order)
    assert_same(cut_all(plain), cut_by_chipper(Chipper(indexer)))
    assert plain.report.decoded_blocks == 0, "with or without a label, the chips are the same"


@pytest.mark.parametrize("order", ORDERS)
def test_chips_that_are_drawn_again_are_kept_once(tmp_path, order):
    scene = make_mixed(tmp_path / "a")
    indexer = NoStatsChipIndexer(scene.item, 64)
    draw = Draw(chips=300, replace="repeat")
    expected = cut_by_chipper(Chipper(indexer))
    store = ChipStore(tmp_path / "chips", GB)
    for epoch in range(3):
        stream = ChipStream(indexer, store=store, order=order, draw=draw, seed=1, epoch=epoch)
        rows = Counter()
        for batch in stream.batches(16):
            rows.update(batch.rows.tolist())
            for row, pixels, valid in zip(batch.rows, batch.array, batch.valid, strict=True):
                assert_same({0: (pixels, valid)}, {0: expected[int(row)]})
        assert rows.total() == 300
        assert len(rows) < 300
    assert store.count_chips() == len(expected)
    assert stream.report.decoded_blocks == 0


def test_rows_are_taken_from_the_store(nested, server, tmp_path):
    rows = [5, 800, 5, 17, 333]
    (expected,) = ChipStream(nested).take(rows)
    store = ChipStore(tmp_path / "chips", GB)
    for times in range(2):
        server.reset_counters()
        (found,) = ChipStream(nested, store=store).take(rows)
        np.testing.assert_array_equal(found.array, expected.array)
        np.testing.assert_array_equal(found.rows, expected.rows)
        assert (server.requests == 0) == (times == 1)


# -- a second epoch


@pytest.mark.parametrize("order", ORDERS)
def test_a_second_epoch_asks_no_store_and_decodes_nothing(nested, server, tmp_path, order):
    expected = cut_all(ChipStream(nested), size=64)
    first = open_stream(nested, tmp_path / "chips", order=order, seed=1)
    assert_same(cut_all(first, size=32), expected)
    assert first.report.decoded_blocks == 6 * (36 + 9), "each block once"
    assert (first.report.kept, first.report.why_not_kept) == (864, None)
    server.reset_counters()
    for stream in (first, open_stream(nested, tmp_path / "chips", order=order)):
        stream.set_epoch(1)
        foretold = stream.explain()
        assert (foretold.requests, foretold.blocks, foretold.from_store) == (0, 0, 864)
        assert_same(cut_all(stream, size=32), expected)
        report = stream.report
        assert (report.decoded_blocks, report.decoded_bytes, report.peak_bytes) == (0, 0, 0)
        assert (report.from_store, report.kept) == (864, 0)
        assert "864 from the store" in str(report)
    assert server.requests == 0


@pytest.mark.parametrize("order", ORDERS)
def test_what_one_order_keeps_serves_the_others(tmp_path, order):
    scene = make_item(tmp_path / "a", "a", {"red": (10, 768), "swir": (20, 384)})
    path = index_items([scene.item], tmp_path / "index")
    expected = cut_all(ChipStream(path))
    cut_all(open_stream(path, tmp_path / "chips", order=order))
    for key in ("red", "swir"):
        spoil(scene.path(key))
    with pytest.raises(StacchipError):
        cut_all(ChipStream(path))
    for other in ORDERS:
        assert_same(cut_all(open_stream(path, tmp_path / "chips", order=other)), expected)
    chipper = Chipper(path, store=ChipStore(tmp_path / "chips", GB))
    assert_same(cut_by_chipper(chipper), expected)


@pytest.mark.parametrize("order", ORDERS)
def test_what_a_chipper_keeps_serves_a_stream(small, tmp_path, order):
    scene, path = small
    expected = cut_by_chipper(Chipper(path))
    store = ChipStore(tmp_path / "chips", GB)
    assert_same(cut_by_chipper(Chipper(path, store=store)), expected)
    for key in ("red", "swir"):
        spoil(scene.path(key))
    assert_same(cut_all(ChipStream(path, store=store, order=order)), expected), "not finished yet"
    store.flush()
    assert_same(cut_all(open_stream(path, tmp_path / "chips", order=order)), expected)


CHILD = """
    import sys
    from stacchip import ChipStore, ChipStream
    stream = ChipStream(sys.argv[1], store=ChipStore(sys.argv[2], 1 << 30), order=sys.argv[3])
    total = sum(int(batch.array.sum()) for batch in stream.batches(32))
    print(total, stream.report.decoded_blocks, stream.report.from_store)
"""


def test_another_process_takes_what_the_first_has_kept(nested, server, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), nested, str(tmp_path / "chips")]
    total = sum(int(pixels.sum()) for pixels, _ in cut_all(ChipStream(nested), size=64).values())
    said = subprocess.run([*command, "blocks"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(total), str(6 * 45), "0"]
    server.reset_counters()
    said = subprocess.run([*command, "shuffle"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(total), "0", "864"]
    assert server.requests == 0
    assert said.stderr == ""


# -- assets that come later


@pytest.mark.parametrize("order", ORDERS)
def test_of_assets_that_are_asked_for_later_only_those_are_read(nested, server, tmp_path, order):
    folder = tmp_path / "chips"
    cut_all(open_stream(nested, folder, order=order, assets=["red"]), size=32)
    expected = cut_all(ChipStream(nested), size=32)
    server.reset_counters()
    both = open_stream(nested, folder, order=order)
    assert_same(cut_all(both, size=32), expected)
    assert both.report.decoded_blocks == 6 * 9
    assert server.requests > 0
    assert all(path.endswith("swir.tif") for path in server.by_path)
    server.reset_counters()
    for assets in (["swir"], ["red"], ["swir", "red"], None):
        expected = cut_all(ChipStream(nested, assets=assets), size=32)
        server.reset_counters()
        stream = open_stream(nested, folder, order=order, assets=assets)
        assert_same(cut_all(stream, size=32), expected)
        assert (server.requests, stream.report.decoded_blocks) == (0, 0)


def test_a_chipper_reads_only_the_assets_that_are_not_kept(nested, server, tmp_path):
    folder = tmp_path / "chips"
    one = Chipper(nested, assets=["swir"], store=ChipStore(folder, GB))
    one.cut_row(3)
    one.store.flush()
    expected = Chipper(nested).chip(chipid=one.rows.key(3).chipid)
    server.reset_counters()
    both = Chipper(nested, store=ChipStore(folder, GB))
    found = both.chip(chipid=one.rows.key(3).chipid)
    assert {key: value.tobytes() for key, value in found.items()} == {
        key: value.tobytes() for key, value in expected.items()
    }
    assert list(found) == list(expected)
    assert set(server.by_path) == {"/item-0/red.tif"}
    server.reset_counters()
    both.cut_row(3)
    assert server.requests == 0


# -- the order


@pytest.fixture(scope="module")
def local(archive, tmp_path_factory) -> str:
    """An index of the archive as files: 6 x 144 chips. Do not change it."""
    return index_items([scene.item for scene in archive], tmp_path_factory.mktemp("order") / "i")


def rows_of(stream: ChipStream, size: int = 8) -> list[int]:
    return [int(row) for batch in stream.batches(size) for row in batch.rows]


def test_the_order_is_the_same_whatever_the_store_holds(local, tmp_path):
    def stream(**options) -> ChipStream:
        return open_stream(local, tmp_path / "chips", order="shuffle", seed=4, **options)

    assert stream().open_areas == "all"
    order = rows_of(stream())
    assert sorted(order) == list(range(864))
    full = stream()
    assert rows_of(full) == order
    assert full.report.from_store == 864
    half = open_stream(local, tmp_path / "half", order="blocks", item_id=["item-1", "item-4"])
    cut_all(half)
    found = open_stream(local, tmp_path / "half", order="shuffle", seed=4)
    assert rows_of(found) == order
    assert found.report.from_store >= 288
    assert found.report.decoded_blocks == 4 * 45
    assert rows_of(stream(epoch=1)) != order
    assert rows_of(ChipStream(local, order="shuffle", seed=4, open_areas="all")) == order


def test_a_store_that_is_too_small_for_all_leaves_the_shuffle_as_it_is(local, tmp_path):
    alone = ChipStream(local, order="shuffle", seed=4)
    small = open_stream(local, tmp_path / "chips", 4 << 20, order="shuffle", seed=4)
    assert small.open_areas == alone.open_areas != "all"
    assert rows_of(small) == rows_of(alone)
    number = open_stream(local, tmp_path / "chips", order="shuffle", seed=4, open_areas=16)
    assert number.open_areas == 16
    assert number.rows().tolist() == (
        ChipStream(local, order="shuffle", seed=4, open_areas=16).rows().tolist()
    )


def test_a_permutation_mixes_as_a_full_shuffle(local, tmp_path):
    stream = open_stream(local, tmp_path / "chips", order="shuffle", seed=2)
    for size in (16, 64):
        mixing = measure_mixing(stream, size)
        assert mixing.areas == pytest.approx(mixing.shuffled_areas, abs=2)
        assert mixing.items == pytest.approx(mixing.shuffled_items, abs=0.5)
        assert mixing.neighbours == pytest.approx(mixing.shuffled_neighbours, abs=0.02)
    assert mixing.neighbours < 0.05


@pytest.mark.parametrize("shard", [Shard(0, 2), Shard(0, 3, 0, 2), Shard(0, 1, 0, 5), Shard(0, 8)])
def test_any_number_of_processes_shares_one_order(local, tmp_path, shard):
    store = ChipStore(tmp_path / "chips", GB)
    rows = []
    for own in shard.others():
        stream = ChipStream(local, store=store, order="shuffle", seed=4, shard=own)
        rows += rows_of(stream)
    assert sorted(rows) == list(range(864))


def test_others_go_on_with_an_epoch_that_some_have_begun(local, tmp_path):
    expected = cut_all(ChipStream(local), size=64)
    store = ChipStore(tmp_path / "chips", GB)
    delivered, state = {}, None
    for shard, steps in [(Shard(0, 4, 0, 2), 3), (Shard(0, 3), 5), (Shard(0, 1, 0, 2), 999)]:
        following = None
        for own in shard.others():
            stream = ChipStream(local, store=store, order="shuffle", seed=3, shard=own)
            if state is not None:
                stream.load_state_dict(state)
            batches = stream.batches(8)
            for _, batch in zip(range(steps), batches, strict=False):
                assert not delivered.keys() & set(batch.rows.tolist())
                for row, pixels, valid in zip(
                    batch.rows.tolist(), batch.array.copy(), batch.valid.copy(), strict=True
                ):
                    delivered[row] = pixels, valid
            batches.close()
            following = following or json.loads(json.dumps(stream.state_dict()))
        state = following
    assert_same(delivered, expected)


def test_the_same_process_goes_on_with_the_next_batch_though_it_reads_ahead(local, tmp_path):
    store = ChipStore(tmp_path / "chips", GB)
    stream = ChipStream(local, store=store, order="shuffle", seed=3)
    whole = [batch.rows.tolist() for batch in stream.batches(32)]
    batches = stream.batches(32)
    begun = [next(batches).rows.tolist() for _ in range(3)]
    state = stream.state_dict()
    batches.close()
    other = ChipStream(local, store=store, order="shuffle", seed=3)
    other.load_state_dict(state)
    assert begun + [batch.rows.tolist() for batch in other.batches(32)] == whole


# -- what fails


def broken_scene(tmp_path):
    """An index of two items; a block of the first one's red band is broken, which costs 4 chips."""
    scenes = [
        make_item(tmp_path / name, name, {"red": (10, 256), "swir": (20, 128)}) for name in "ab"
    ]
    path = index_items([scene.item for scene in scenes], tmp_path / "index")
    header = Chipper(path).open(0).placements["red"].reader.header
    path_of_red = scenes[0].path("red")
    data = bytearray(path_of_red.read_bytes())
    begin = int(header.block_offsets[3]) + 4
    data[begin : begin + 64] = b"\xff" * 64
    expected = cut_by_chipper(Chipper(path))
    times = path_of_red.stat()
    path_of_red.write_bytes(data)
    os.utime(path_of_red, ns=(times.st_atime_ns, times.st_mtime_ns))
    return path, expected


@pytest.mark.parametrize("order", ORDERS)
def test_a_broken_block_costs_its_chips_in_every_epoch(tmp_path, order):
    path, expected = broken_scene(tmp_path)
    for _ in range(2):
        stream = open_stream(path, tmp_path / "chips", order=order, errors="skip")
        found = cut_all(stream)
        assert len(found) == 32 - 4
        assert stream.report.skipped == 4
        assert_same(found, {row: expected[row] for row in found})
        assert {each.error.facts["asset"] for each in stream.report.reasons} == {"red"}
    with pytest.raises(StacchipError, match="Item 'a', asset 'red'"):
        cut_all(open_stream(path, tmp_path / "chips", order=order))
