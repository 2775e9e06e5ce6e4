"""Each option of a command, and each environment variable that sets one, is on a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.test_commands import COMMANDS

ROOT = Path(__file__).parents[2]
EVERYWHERE = ["docs/logs.md", "docs/read-from-s3.md"]
PAGES_OF = {  # where a user looks for the options of a command
    "demo": ["README.md"],
    "index": ["docs/index-your-own-imagery.md"],
    "merge": ["docs/merge-and-filter.md"],
    "add": ["docs/merge-and-filter.md"],
    "remove": ["docs/merge-and-filter.md"],
    "compact": ["docs/merge-and-filter.md"],
    "info": ["docs/merge-and-filter.md"],
    "list": ["docs/merge-and-filter.md"],
    "preview": ["docs/merge-and-filter.md"],
    "chip": ["docs/merge-and-filter.md"],
    "split": ["docs/split.md"],
    "check-leakage": ["docs/check-leakage.md"],
    "draw": ["docs/draw.md", "docs/merge-and-filter.md"],
    "warm": ["docs/store.md", "docs/merge-and-filter.md"],
    "headers": ["docs/read-from-s3.md"],
    "collect": [f"docs/sources/{path.name}" for path in (ROOT / "docs/sources").glob("*.md")],
    "prechip": ["docs/prechip.md"],
    "stats": ["docs/stats.md"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_and_variable_of_a_command_is_on_its_page(name: str):
    pages = [*PAGES_OF[name], *EVERYWHERE]
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    absent = [
        names for names in names_of_options(name) if not any(is_named(word, text) for word in names)
    ]
    assert absent == [], pages


def names_of_options(command: str) -> Iterator[tuple[str, ...]]:
    """Yield the names of each option, of which a page needs one, and each of its variables."""
    for option in COMMANDS[command].params:
        if option.param_type_name == "option" and not option.hidden:
            yield (*option.opts, *option.secondary_opts)
            variables = option.envvar or ()
            yield from (
                (name,) for name in ([variables] if isinstance(variables, str) else variables)
            )


def is_named(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def test_a_longer_name_does_not_name_an_option():
    assert is_named("--item", "`--item ID`")
    assert not is_named("--item", "`--items`, `--item-id`, `---item`")
