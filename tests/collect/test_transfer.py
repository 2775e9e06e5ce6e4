"""One file on its way into the archive."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine

from stacchip.collect.transfer import (
    Original,
    convert_file,
    copy_file,
    find_original,
)
from stacchip.errors import AccessDenied, NotARaster, ObjectNotFound
from stacchip.raster.gdal import Conversion
from stacchip.storage import Storage


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def photograph(tmp_path) -> Path:
    """300 pixels a side, four bands, in NZTM; not a COG."""
    path = tmp_path / "photograph.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=300, count=4, dtype="uint8", crs="EPSG:2193",
        transform=Affine(0.3, 0, 1_400_000, 0, -0.3, 4_910_000),
    ) as dataset:  # fmt: skip
        for band in range(1, 5):
            dataset.write(np.full((300, 300), 10 * band, "uint8"), band)
    return path


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_first_candidate_that_exists_is_found(storage, tmp_path, photograph):
    candidates = [str(tmp_path / "absent.tif"), str(photograph), str(tmp_path)]
    found = find_original(candidates, storage)
    assert found == Original(str(photograph), photograph.stat().st_size)


def test_candidates_that_are_all_absent_are_all_named(storage, tmp_path):
    one, two = str(tmp_path / "one.tif"), str(tmp_path / "two.tif")
    with pytest.raises(ObjectNotFound, match=r"one\.tif, .*two\.tif") as caught:
        find_original([one, two], storage)
    assert caught.value.href == one


class RefusingStorage:
    """Refuses to look at everything but a few hrefs, as a bucket does that may not be listed."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes

    def stat(self, href: str) -> SimpleNamespace:
        if href not in self.sizes:
            raise AccessDenied(f"Access to {href} was refused.", href=href)
        return SimpleNamespace(size_bytes=self.sizes[href])


def test_a_refusal_lets_the_next_candidate_be_tried():
    storage = RefusingStorage(second=5)
    assert find_original(["first", "second"], storage) == Original("second", 5)


def test_if_all_is_refused_the_first_refusal_is_raised():
    with pytest.raises(AccessDenied, match="first"):
        find_original(["first", "second"], RefusingStorage())


def test_a_copy_is_the_same_bytes(storage, tmp_path, photograph):
    target = tmp_path / "archive" / "deep" / "photograph.tif"
    copy_file(Original(str(photograph), None), str(target), storage)
    assert target.read_bytes() == photograph.read_bytes()
    assert list(target.parent.iterdir()) == [target], "and nothing half"


def test_a_file_that_is_gone_is_not_tried_again(storage, tmp_path, caplog):
    with pytest.raises(ObjectNotFound, match="absent"):
        copy_file(Original(str(tmp_path / "absent.tif"), None), str(tmp_path / "a.tif"), storage)
    assert not [record for record in caplog.records if "trying again" in record.getMessage()]


def test_a_conversion_gives_a_cog_and_leaves_no_temporary_file(
    storage, tmp_path, photograph, scratch
):
    target = tmp_path / "converted.tif"
    convert_file(
        Original(str(photograph), None), str(target), Conversion("EPSG:3857", 2.0, 3), storage
    )
    with rasterio.open(target) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.crs.to_epsg() == 3857
        assert dataset.res == pytest.approx((2.0, 2.0))
        assert dataset.count == 3
        middle = dataset.height // 2
        assert dataset.read()[:, middle, middle].tolist() == [10, 20, 30]
    assert list(scratch.iterdir()) == []


def test_a_file_that_cannot_be_converted_writes_nothing(storage, tmp_path, scratch):
    text = tmp_path / "notes.tif"
    text.write_text("no pixels")
    target = tmp_path / "converted.tif"
    with pytest.raises(NotARaster, match=r"notes\.tif"):
        convert_file(Original(str(text), None), str(target), Conversion(None, None, None), storage)
    assert not target.exists()
    assert list(scratch.iterdir()) == []


def test_a_file_that_is_not_there_is_not_waited_for(storage, tmp_path, caplog):
    absent = Original(str(tmp_path / "absent.tif"), None)
    for bring in (
        lambda: copy_file(absent, str(tmp_path / "copy.tif"), storage),
        lambda: convert_file(absent, str(tmp_path / "cog.tif"), Conversion(), storage),
    ):
        with pytest.raises(ObjectNotFound):
            bring()
    assert "trying again" not in caplog.text
