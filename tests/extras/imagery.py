"""What every extra is tried on: an indexed scene, written and read with the core alone."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import stacchip
from scenes import Scene, make_scene
from stacchip import index_items, load_items


def require_only(*modules: str) -> None:
    """Fail unless this is an environment without other extras, and the wheel is what is used."""
    # xarray is not among them: odc-geo installs it
    extras = {"torch", "dask", "distributed", "geopandas", "datasketches", "isal", "zarr"}
    there = {name for name in extras if find_spec(name) is not None}
    assert there == set(modules), f"an environment of its own has {modules}, not {there}"
    assert "site-packages" in stacchip.__file__, stacchip.__file__


def index_scene() -> tuple[Scene, str]:
    """Return a scene of 4 chips, in the working folder, and its index."""
    scene = make_scene(Path("scene"))
    indexed = index_items(load_items(["scene/item.json"]), "index")
    assert indexed.chips == 4, indexed
    return scene, "index"
