from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stacchip.index import write_index
from stacchip.indexer import NoStatsChipIndexer
from stream.conftest import make_item

SIDE = 24


def add_classes(table: pa.Table) -> pa.Table:
    """Columns for draws: a class, of which `c` is rare, a name of each half, and a weight."""
    x, y = (table[f"chip_index_{axis}"].to_numpy() for axis in "xy")
    rank = x + y * 1000
    land = np.where(rank % 24 == 5, "c", np.where(rank % 6 < 2, "b", "a"))
    half = np.where(x < x.max() / 2, "left", "right")
    columns = {"land": land, "half": half, "rank": (x % 7).astype(np.float64)}
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


@pytest.fixture(scope="session")
def drawn_items(tmp_path_factory: pytest.TempPathFactory) -> list:
    folder = tmp_path_factory.mktemp("drawn")
    bands = {"red": (10, SIDE * 32), "swir": (20, SIDE * 16)}
    return [make_item(folder / name, name, bands).item for name in ("a", "b", "c")]


@pytest.fixture(scope="session")
def table(drawn_items: list) -> pa.Table:
    """Three items of 576 chips of 32 px, four of which a side nest in a block."""
    tables = [NoStatsChipIndexer(item, 32).create_index() for item in drawn_items]
    return add_classes(pa.concat_tables([each.replace_schema_metadata() for each in tables]))


@pytest.fixture(scope="session")
def path(table: pa.Table, drawn_items: list, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drawn-index") / "index"
    write_index(table, folder, items=drawn_items)
    return str(folder)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 172,800 chips of 8 px, whose order is in files."""
    folder = tmp_path_factory.mktemp("large")
    items = [make_item(folder / name, name, {"red": (10, 1920)}).item for name in "abc"]
    tables = [NoStatsChipIndexer(item, 8).create_index() for item in items]
    whole = add_classes(pa.concat_tables([each.replace_schema_metadata() for each in tables]))
    write_index(whole, folder / "index", items=items)
    return folder / "index"
