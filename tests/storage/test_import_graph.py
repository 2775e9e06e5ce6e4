from __future__ import annotations

import ast
from pathlib import Path

import stacchip

ROOT = Path(stacchip.__file__).parent


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of ours that a module names, also those for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules else node.module)
    return found & modules.keys() - {module}


def test_no_module_of_storage_or_runtime_imports_itself_by_way_of_others() -> None:
    modules = {
        ".".join(("stacchip", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in ROOT.rglob("*.py")
    }
    graph = {
        name: imports_of(name, path, modules)
        for name, path in modules.items()
        if name.startswith(("stacchip.storage", "stacchip.runtime"))
    }
    assert "stacchip.storage.options" in graph["stacchip.storage.requester"]
    while ends := [name for name, below in graph.items() if not below & graph.keys()]:
        for name in ends:
            del graph[name]
    assert not graph
