"""Blocks are read once, and as often as was foretold."""

from __future__ import annotations

import pytest

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream, Shard
from stream.conftest import behind, index_items, make_item

BLOCKS = 6 * (36 + 9)


def read_all(stream: ChipStream) -> None:
    for _ in stream.batches(16):
        pass


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_nested_blocks_are_decoded_exactly_once(nested, order):
    stream = ChipStream(nested, order=order)
    read_all(stream)
    assert stream.report.delivered == 6 * 144
    assert stream.report.decoded_blocks == BLOCKS


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
@pytest.mark.parametrize("memory_mb", [1, 4, 8, 1000])
def test_the_counters_are_foretold_and_memory_stays_under_its_budget(
    nested, server, order, memory_mb
):
    stream = ChipStream(nested, order=order, memory_bytes=memory_mb << 20, seed=3)
    foretold = stream.explain()
    assert server.requests == 0, "the index has all headers"
    read_all(stream)
    assert (server.requests, server.bytes) == (foretold.requests, foretold.bytes)
    assert stream.report.decoded_blocks == foretold.blocks
    assert stream.report.decoded_bytes == foretold.decoded_bytes
    assert stream.report.peak_bytes == foretold.memory_bytes
    assert stream.report.peak_bytes <= memory_mb << 20 or memory_mb == 1, "an area takes more"
    assert foretold.distinct_blocks == BLOCKS


def test_what_is_foretold_names_what_it_leaves_out(nested):
    explained = ChipStream(nested).explain()
    assert explained.items == 6
    assert explained.opening_s > 0
    decoding = explained.chips / explained.chips_per_s
    assert explained.least_seconds == pytest.approx(explained.opening_s + decoding)
    said = str(explained)
    assert "864 chips of 6 items" in said
    assert "to open the items, then at most about" in said
    assert "leaves out the start of worker processes, the store's latency and bandwidth" in said
    assert "a short epoch is mostly these" in said
    assert "each DataLoader worker has its own" in said
    assert "cannot" not in said


def test_chips_that_straddle_blocks_cost_little_more(archive, server, tmp_path):
    items = [behind(scene, server) for scene in archive[:2]]
    path = index_items(items, tmp_path / "index", chip_size=50)
    stream = ChipStream(path)
    assert stream.explain().repeat_factor == 1.0, "neighbours keep what they share"
    shuffled = ChipStream(path, order="shuffle", memory_bytes=20 << 20)
    foretold = shuffled.explain()
    assert foretold.repeat_factor < 2.5
    read_all(shuffled)
    assert shuffled.report.decoded_blocks == foretold.blocks


def test_coarse_bands_are_shared_between_areas(tmp_path):
    bands = {"red": (10, 1536), "coastal": (60, 256)}
    scene = make_item(tmp_path / "a", "a", bands)
    stream = ChipStream(
        Chipper(NoStatsChipIndexer(scene.item, 64)), memory_bytes=24 * 5 * (1 << 16)
    )
    read_all(stream)
    assert stream.report.decoded_blocks == 144 + 4
    assert stream.explain().repeat_factor == 1.0


def test_shards_cut_few_areas(nested):
    shards = [ChipStream(nested, shard=Shard(rank, 4)) for rank in range(4)]
    for shard in shards:
        read_all(shard)
    decoded = sum(shard.report.decoded_blocks for shard in shards)
    # each of the three cuts may go through one area: four fine blocks and a coarse one
    assert BLOCKS <= decoded <= BLOCKS + 3 * 5


def test_a_selection_reads_only_what_it_needs(scene):
    import pyarrow.compute as pc

    table = NoStatsChipIndexer(scene.item, 64).create_index()
    table = table.filter((pc.field("chip_index_x") == 0) & (pc.field("chip_index_y") == 0))
    stream = ChipStream(table)
    read_all(stream)
    assert stream.report.decoded_blocks == 3


def test_an_empty_selection_gives_nothing(tmp_path):
    scene = make_scene(tmp_path / "a")
    table = NoStatsChipIndexer(scene.item, 64).create_index().slice(0, 0)
    stream = ChipStream(table, order="shuffle")
    assert len(stream) == 0
    assert list(stream) == []
    assert stream.explain().requests == 0
