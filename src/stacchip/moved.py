"""Old addresses of modules, from before the folders followed the flow of data.

Pickles and indexes name the module of a class, and users may import a module by its address. Both
keep working: importing an old address gives the module that took its place, and `python -m` runs
that module. The table lists only modules that moved. New code imports from the new address.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import InspectLoader, Loader
    from types import CodeType, ModuleType

_PREFIX = "stacchip."

MOVED = {
    "chipper.attribution": "errors",
    "chipper.bucket": "items.archive",
    "chipper.found": "chipper.find_item",
    "chipper.grids": "chipper.find_item",
    "chipper.headers": "index.headers",
    "chipper.opened": "chipper.open_item",
    "chipper.placement": "raster.placement",
    "chipper.rows": "chipper.index_rows",
    "cli.archive": "cli.commands.demo",
    "cli.chips": "cli.commands.chips",
    "cli.console": "cli.terminal.console",
    "cli.indexes": "cli.commands.indexes",
    "cli.making": "indexer.many",
    "cli.pictures": "cli.index_views.pictures",
    "cli.summary": "cli.index_views.summary",
    "console": "cli.terminal.console",
    "datasets.chips": "datasets.chip_dataset",
    "datasets.normalise": "cubes.normalise",
    "datasets.platforms": "sources.training_bands",
    "datasets.shared": "datasets.shared_memory",
    "datasets.sinks": "cubes.sinks",
    "datasets.statistics": "statistics",
    "datasets.statistics.part": "statistics.platform",
    "datasets.streams": "datasets.stream_dataset",
    "demo.noise": "demo.landscape.noise",
    "demo.parcels": "demo.landscape.parcels",
    "demo.relief": "demo.landscape.relief",
    "demo.rivers": "demo.landscape.rivers",
    "demo.roads": "demo.landscape.roads",
    "demo.settlement": "demo.landscape.settlement",
    "demo.spectra": "demo.landscape.spectra",
    "demo.standing": "demo.landscape.standing",
    "demo.surface": "demo.landscape.surface",
    "demo.view": "demo.landscape.view",
    "demo.weather": "demo.landscape.weather",
    "grid.recorded_grid": "grid.geobox",
    "index.antimeridian": "grid.antimeridian",
    "index.files.item_records_writer": "index.files.item_records",
    "index.footprints": "grid.footprints",
    "index.grid": "grid.chip_grid",
    "index.layout": "index.files.layout",
    "index.lookup": "index.files.item_records_lookup",
    "index.order": "index.files.item_order",
    "index.parquet": "index.files.parquet",
    "index.record_file": "index.files.item_records",
    "index.recorded_grid": "grid.geobox",
    "index.records": "index.files.item_records",
    "index.replacing": "index.files.replacing",
    "index.selection": "index.filters",
    "index.spill": "index.files.spill",
    "items.crs": "grid.crs",
    "items.distinct": "items.copies",
    "items.pace": "items.api.pace",
    "items.projection": "items.grids.projection",
    "processors": "collect",
    "processors.catalogue": "collect.catalogue",
    "processors.choice": "collect.choice",
    "processors.collect": "collect.run",
    "processors.commands": "cli.commands.collect",
    "processors.console_script": "cli.scripts",
    "processors.cube_plan": "cubes.plan",
    "processors.job": "collect.job",
    "processors.landsat": "collect.recipes.landsat",
    "processors.layout": "items.archive",
    "processors.linz": "collect.recipes.linz",
    "processors.modis": "collect.recipes.modis",
    "processors.naip": "collect.recipes.naip",
    "processors.options": "cli.options",
    "processors.pace": "items.api.pace",
    "processors.paced_api": "items.api.client",
    "processors.placement": "collect.files",
    "processors.prechip": "cubes.prechip",
    "processors.prechip_command": "cli.commands.prechip",
    "processors.recipe": "collect.recipe",
    "processors.recipes": "collect.recipes",
    "processors.rows": "collect.sample",
    "processors.s3_client": "storage.s3.client",
    "processors.sentinel_1": "collect.recipes.sentinel1",
    "processors.sentinel_2": "collect.recipes.sentinel2",
    "processors.settings": "collect.settings",
    "processors.stats": "statistics.measure",
    "processors.stats_command": "cli.commands.stats",
    "processors.store_copy": "storage.s3.server_copy",
    "processors.stored_item": "collect.stored_item",
    "processors.transfer": "collect.transfer",
    "processors.uploads": "storage.s3.orphaned_uploads",
    "raster.cog": "raster.gdal.cog",
    "raster.gdal.options": "raster.gdal.environment",
    "raster.geobox": "grid.geobox",
    "raster.gdal.write": "raster.gdal.cog",
    "raster.gridmap": "grid.nearest",
    "raster.pools": "runtime.pools",
    "raster.window": "grid.window",
    "scripts": "cli.scripts",
    "storage.connection": "storage.transports.web_connection",
    "storage.local": "storage.transports.local",
    "storage.memory": "runtime.memory",
    "storage.objects": "storage.transports.objects",
    "storage.planetary": "storage.transports.planetary_computer",
    "storage.process": "runtime.per_process",
    "storage.region": "storage.transports.object_clients",
    "storage.stores": "storage.transports.object_clients",
    "storage.threads": "runtime.concurrently",
    "storage.web": "storage.transports.web",
    "storage.workers": "runtime.workers",
    "stream.areas": "stream.plan.areas",
    "stream.catalog": "stream.read.open_items",
    "stream.chips": "stream.plan.wanted_chips",
    "stream.layers": "stream.read.layers",
    "stream.ledger": "stream.plan.ledger",
    "stream.loading": "stream.read.loading",
    "stream.memory": "stream.read.loading",
    "stream.order": "stream.plan.epoch_order",
    "stream.reading": "stream.read.reading",
    "stream.speed": "stream.read.decode_speed",
    "stream.visits": "stream.plan.visits",
}
"""Old address to new address, both below `stacchip`."""


def new_address(name: str) -> str | None:
    """Return the address that a module has today, or None if it has not moved.

    Example:
        >>> new_address("stacchip.raster.window")
        'stacchip.grid.window'
        >>> new_address("stacchip.datasets.sinks.npz")
        'stacchip.cubes.sinks.npz'
        >>> new_address("stacchip.grid.window") is None
        True
    """
    if not name.startswith(_PREFIX):
        return None
    old, rest = name.removeprefix(_PREFIX), ""
    while old:
        if old in MOVED:
            return f"{_PREFIX}{MOVED[old]}{rest}"
        old, dot, last = old.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return None


class _Finder:
    """Finds moved modules by their old addresses.

    It is not a subclass of anything in `importlib.abc`: importing that would double the time that
    `import stacchip` takes.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's signature
    ) -> ModuleSpec | None:
        address = new_address(fullname)
        found = None if address is None else _find_present(address)
        if found is None:
            return None  # so that Python says what is missing: the name that it was asked for
        is_package = found.submodule_search_locations is not None
        return ModuleSpec(
            fullname,
            cast("Loader", self),
            origin=found.origin,
            loader_state=address,
            is_package=is_package,
        )

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader_state is not None:
            # after this call, the import system returns the module that it finds here
            sys.modules[spec.name] = import_module(spec.loader_state)

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of a module, for `python -m OLD_ADDRESS`."""
        address = new_address(fullname)
        found = None if address is None else _find_present(address)
        return None if found is None else cast("InspectLoader", found.loader).get_code(found.name)


def _find_present(address: str) -> ModuleSpec | None:
    """Return the spec of a module at a new address, or None if there is none.

    It imports nothing, not even the package that holds the module: Python's import lock is held
    while a finder is asked, and another thread may hold that package's lock and wait for it.
    """
    package, *folders, _ = address.split(".")
    places = ["/".join([place, *folders]) for place in sys.modules[package].__path__]
    return PathFinder.find_spec(address, places)


def install() -> None:
    """Make old addresses importable; `import stacchip` calls this once.

    The finder goes first. Otherwise the ordinary finder would import the modules of a moved package
    a second time, under their old addresses.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
