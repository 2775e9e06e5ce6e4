"""Files beside an image are looked at only if they are files."""

from __future__ import annotations

import os

import pytest

from stacchip.raster.sidecars import find_sidecar


@pytest.mark.parametrize("name", ["a.tif.aux.xml", "a_RPC.TXT", "a.RPB"])
def test_a_fifo_beside_an_image_is_not_opened(name, tmp_path):
    os.mkfifo(tmp_path / name)
    assert find_sidecar(tmp_path / "a.tif") is None


def test_points_in_a_file_beside_an_image_are_named(tmp_path):
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><GCPList>")
    assert find_sidecar(tmp_path / "a.tif") == "ground control points in a.tif.aux.xml"
