"""Each folder introduces itself, and what it says of its files is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import stacchip

ROOT = Path(stacchip.__file__).parent
FOLDERS = sorted(path.parent for path in ROOT.rglob("__init__.py"))
ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"


def introduction(folder: Path) -> str:
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""


@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda path: path.relative_to(ROOT.parent).as_posix()
)
def test_an_introduction_names_every_file_of_its_folder(folder):
    text = introduction(folder)
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    words = set(re.findall(r"\w+", text))
    assert files | folders <= words, f"not named: {sorted((files | folders) - words)}"


@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda path: path.relative_to(ROOT.parent).as_posix()
)
def test_every_file_that_an_introduction_names_exists(folder):
    named = set(re.findall(r"(?<![\w/])(?!tests/)([a-z_0-9/]+\.py)\b", introduction(folder)))
    absent = [name for name in named if not any((at / name).exists() for at in (folder, ROOT))]
    assert absent == []


@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda path: path.relative_to(ROOT.parent).as_posix()
)
def test_whom_a_folder_imports_is_said_by_the_order_of_the_folders(folder):
    """The order is that of stacchip's own introduction: before and after, not below and above."""
    sentences = re.findall(r"[^.;:]*\bimports\b[^.;:]*", introduction(folder))
    assert not [each for each in sentences if re.search(r"\b(above|below|higher|lower)\b", each)]


def test_every_file_that_the_architecture_names_exists():
    text = ARCHITECTURE.read_text()
    named = set(re.findall(r"`([a-z_0-9]+/[a-z_0-9/]*(?:\.py)?)`", text))
    named -= {"benchmarks/", "cli/commands/view.py"} | {
        name for name in named if name.split("/")[0] in ("selection", "labels", "chipstore", "view")
    }
    absent = sorted(
        name for name in named if not any((at / name).exists() for at in (ROOT, ROOT.parent))
    )
    assert absent == []
