"""Order files: what is written is read again, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stacchip.errors import StorageError
from stacchip.stream.plan.order_file import NARROW, WIDE, OrderFile, OrderWriter, fits

PARTS = ("areas", "runs")


def write(path: Path, record=NARROW, name: str = "mine", chips: int = 200_000) -> np.ndarray:
    made = np.zeros(chips, record)
    made["row"], made["x"], made["y"] = np.arange(chips), np.arange(chips) % 300, 7
    with OrderWriter(path, record) as writer:
        for part in np.array_split(made, 3):
            writer.add_chips(part)
        writer.add_areas(np.array([0, 64]), np.array([1, 0]))
        writer.add_areas(np.array([100]), np.array([2]))
        writer.finish(name, np.array([3, 4]), {"left_out": 5})
    return made


@pytest.mark.parametrize("record", [NARROW, WIDE], ids=["narrow", "wide"])
def test_what_is_written_is_mapped(tmp_path, record) -> None:
    made = write(tmp_path / "a", record)
    found = OrderFile.open(tmp_path / "a", "mine", checked=PARTS)
    assert found is not None
    assert np.array_equal(found.chips, made)
    assert found.areas.tolist() == [[0, 1], [64, 0], [100, 2], [200_000, -1]]
    assert (found.runs.tolist(), found.facts) == ([3, 4], {"left_out": 5})
    assert not found.chips.flags.writeable
    found.forget_pages()
    assert np.array_equal(found.records(np.arange(len(made))), made)
    some = np.array([199_999, 0, 8191, 8192, 0])
    assert np.array_equal(found.records(some), made[some])
    assert len(found.records(np.empty(0, np.int64))) == 0
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_file_may_have_no_chips(tmp_path) -> None:
    with OrderWriter(tmp_path / "a", NARROW) as writer:
        writer.finish("mine", np.empty(0, np.int64), {})
    found = OrderFile.open(tmp_path / "a", "mine", checked=PARTS)
    assert found is not None
    assert (len(found.chips), found.areas.tolist()) == (0, [[0, -1]])


def test_a_file_of_something_else_is_not_believed(tmp_path) -> None:
    write(tmp_path / "a")
    (tmp_path / "text").write_text("not an order")
    (tmp_path / "empty").touch()
    for name in ("text", "empty", "absent"):
        assert OrderFile.open(tmp_path / name, "mine") is None
    assert OrderFile.open(tmp_path / "a", "another") is None
    assert OrderFile.open(tmp_path, "mine") is None


def test_a_file_that_is_not_whole_is_not_believed(tmp_path) -> None:
    write(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for content in (whole[:-1], whole[:5000], whole[:100], whole + b"\0"):
        (tmp_path / "a").write_bytes(content)
        assert OrderFile.open(tmp_path / "a", "mine") is None


@pytest.mark.parametrize(
    ("place", "part"),
    [(60, None), (-3, None), (-150, "areas"), (-110, "runs")],
)
def test_damage_is_found(tmp_path, place: int, part: str | None) -> None:
    write(tmp_path / "a")
    content = bytearray((tmp_path / "a").read_bytes())
    content[place] ^= 1
    (tmp_path / "a").write_bytes(content)
    assert (OrderFile.open(tmp_path / "a", "mine") is None) == (part is None)
    for checked in PARTS:
        found = OrderFile.open(tmp_path / "a", "mine", checked=[checked])
        assert (found is None) == (part in (None, checked))


@pytest.mark.parametrize("record", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("chip", [0, 8191, 8192, 199_999])
def test_a_damaged_chip_is_found_when_its_block_is_looked_at(tmp_path, record, chip: int) -> None:
    made = write(tmp_path / "a", record)
    content = bytearray((tmp_path / "a").read_bytes())
    content[4096 + chip * record.itemsize] ^= 1
    (tmp_path / "a").write_bytes(content)
    found = OrderFile.open(tmp_path / "a", "mine", checked=PARTS)
    assert found is not None, "no block of chips is read to open it"
    other = np.array([100_000, 100_001])
    assert np.array_equal(found.records(other), made[other])
    assert (tmp_path / "a").exists()
    for _ in range(2):
        with pytest.raises(StorageError, match=r"is damaged.*make the stream again") as caught:
            found.records(np.array([100_000, chip]))
        assert caught.value.href == str(tmp_path / "a")
    assert not (tmp_path / "a").exists(), "it is made again"


@pytest.mark.parametrize("chips", [slice(10, 12), slice(0, 200_000)], ids=["two", "all"])
def test_chips_that_changed_places_are_found(tmp_path, chips: slice) -> None:
    made = write(tmp_path / "a")
    made[chips] = made[chips][::-1].copy()
    content = bytearray((tmp_path / "a").read_bytes())
    content[4096 : 4096 + made.nbytes] = made.tobytes()
    (tmp_path / "a").write_bytes(content)
    found = OrderFile.open(tmp_path / "a", "mine", checked=PARTS)
    assert found is not None
    with pytest.raises(StorageError, match="is damaged"):
        found.records(np.array([11]))


def test_areas_that_changed_places_are_found(tmp_path) -> None:
    write(tmp_path / "a")
    found = OrderFile.open(tmp_path / "a", "mine", checked=PARTS)
    assert found is not None
    start = 4096 + found.chips.nbytes
    content = bytearray((tmp_path / "a").read_bytes())
    content[start : start + 32] = content[start + 16 : start + 32] + content[start : start + 16]
    (tmp_path / "a").write_bytes(content)
    assert OrderFile.open(tmp_path / "a", "mine", checked=PARTS) is None


def test_records_hold_what_fits() -> None:
    assert fits(NARROW, 2**32 - 1, 0, 2**16 - 1)
    for values in ((2**32, 0, 0), (0, -1, 0), (0, 0, 2**16)):
        assert not fits(NARROW, *values)
        assert fits(WIDE, *values)
