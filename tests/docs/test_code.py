"""Run the code in README and docs on the archive that `make demo` writes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pystac
import pytest

from stacchip.cli import run

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs").rglob("*.md")
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in DOCS)]
API = "https://earth-search.aws.element84.com/v1"


# pages that are walked from top to bottom, so that their commands run, too
WALKS = {"docs/draw.md", "docs/grow-and-resume.md", "docs/split.md", "docs/store.md"}


def blocks_of(page: str) -> list[tuple[str, str]]:
    """The language and the text of each block of a page that is to run."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    languages = {"python", "sh"} if page in WALKS else {"python"}
    return [(language, block) for language, block in blocks if language in languages]


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, demo: Path, tmp_path: Path, monkeypatch, stac_api):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").symlink_to(demo)
    items = sorted((tmp_path / "demo" / "archive").glob("*/*/*.json"))
    by_collection = {pystac.Item.from_file(str(path)).collection_id: path for path in items}
    naip = pystac.Item.from_file(str(by_collection["naip"]))
    names = {  # what a page may use without import: items of the reader's own
        "item": str(by_collection["sentinel-2-l2a"]),
        "item_paths": [str(path) for path in items],
        "sentinel_2_item": str(by_collection["sentinel-2-l2a"]),
        "naip_image": naip.assets["image"].get_absolute_href(),
    }
    blocks = blocks_of(page)
    if any("import torch" in block or "from torch" in block for _, block in blocks):
        pytest.importorskip("torch")
    for language, block in blocks:
        if language == "python":
            code = block.replace(API, stac_api).replace("x=23, y=42", "x=1, y=1")
            exec(compile(code, page, "exec"), names)
        else:
            lines = (shlex.split(line, comments=True) for line in block.splitlines())
            assert not any(run(words[1:]) for words in lines)


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *PAGES[1:]])
def test_links_within_the_repository_lead_somewhere(page: str):
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link
