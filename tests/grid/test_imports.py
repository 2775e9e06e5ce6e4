"""The folder is pure geometry: it imports nothing of stacchip but errors and itself."""

from __future__ import annotations

import ast
from pathlib import Path

import stacchip.grid


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_grid_imports_errors_alone():
    files = sorted(Path(stacchip.grid.__path__[0]).glob("*.py"))
    ours = {name for path in files for name in imported(path) if name.split(".")[0] == "stacchip"}
    assert len(files) > 7
    assert {name for name in ours if not name.startswith("stacchip.grid")} == {"stacchip.errors"}
