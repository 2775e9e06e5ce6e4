"""Advice of the library, in the words of the command line: options in place of Python arguments.

The library's errors name arguments (`assets=[...]`), which is right for those who call it. A person
who typed a command reads the same error with the options of that command (`--assets`).
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OTHER_NAMES: Final = {
    "assets": ("bands",),
    "bands": ("assets",),
    "writers": ("pool_size",),
    "duplicates": ("drop_duplicates",),
    "item_id": ("item",),
    "replace": ("repeat",),
}
"""Parameters of commands that are called otherwise in the library."""

_VARIABLES: Final = {
    "skip_signature": "AWS_SKIP_SIGNATURE=true",
    "requester_pays": "AWS_REQUEST_PAYER=requester",
    "endpoint": "AWS_ENDPOINT_URL",
    "region": "AWS_REGION",
}
"""What stands for a setting of stores in commands that have no option for it."""

_LIMIT: Final = re.compile(r"StorageOptions\(limits=Limits\((?P<limit>[a-z_]+)=[\d.]+\)\)")
_VALUE: Final = r"""(?:\[[^\]]*\]|\.\.\.|True|False|None|\d+|'[^']*'|"[^"]*")?"""
_ARGUMENT: Final = re.compile(
    rf"""(?<![\w?&:/.\-='"])(?:(?P<wrapped>StorageOptions\()(?P<inner>[a-z_]+)=(?P<value>{_VALUE})\)"""
    rf"|(?P<name>[a-z_]+)=(?P<plain>{_VALUE})(?![\w=/]))"
)
# a message may give both spellings already: (bands=, --bands), raise max_nodata (--max-nodata)
_BOTH: Final = re.compile(
    rf"\(?\b[a-z_]+={_VALUE},(?: or)? (?P<listed>--[a-z-]+)(?P<end>\)?)"
    rf"|\b[a-z_]+(?:={_VALUE})? \((?P<beside>--[a-z-]+)\)"
    rf"|(?P<before>--[a-z-]+) \([a-z_]+={_VALUE}\)"
)
# before a number, which is also part of names: chip_size=256
_IS_ADVICE: Final = re.compile(r"\b(give|pass|set|raise) $", re.IGNORECASE)
_TWICE: Final = re.compile(r"(--[a-z-]+(?: \w+)?),? or \1(?![\w-])")


@dataclass(frozen=True)
class Spelling:
    """How a command that runs spells advice.

    Attributes:
        known: Its parameters, by their names in Python.
        typed: What a person typed that might be taken for advice: a folder `chip_size=256`.
    """

    known: Mapping[str, Any]
    typed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parameters: Iterable[Any], values: Mapping[str, Any]) -> Spelling:
        """Return the spelling of a command.

        Args:
            parameters: Its parameters, as typer has them.
            values: Their values, by their names in Python.
        """
        words = (word for value in values.values() for word in _words_in(value))
        typed = frozenset(word for word in words if "=" in word)
        return cls({each.name: each for each in parameters}, typed)


spellings: ContextVar[Spelling | None] = ContextVar("spellings", default=None)
"""The spelling of the command that runs; None before it is known."""


def spell_options(text: str) -> str:
    """Return a text in which options of the command that runs stand for Python arguments.

    Arguments that the command has no option for stay as they are, and so does what a person typed.

    Example:
        >>> spell_options("Pass assets=[...] to choose others.")  # no command runs
        'Pass assets=[...] to choose others.'
    """
    spelling = spellings.get()
    if spelling is None:
        return text
    kept = sorted(spelling.typed, key=len, reverse=True)
    for number, word in enumerate(kept):
        text = text.replace(word, f"\0{number}\0")
    text = _LIMIT.sub(r"--limits \g<limit>=SIZE", text) if "limits" in spelling.known else text
    text = _BOTH.sub(_keep_option, text)
    text = _ARGUMENT.sub(lambda found: _as_option(found, spelling.known), text)
    text = _TWICE.sub(r"\1", text)
    for number, word in enumerate(kept):
        text = text.replace(f"\0{number}\0", word)
    return text


def _words_in(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return [] if value is None else [str(value)]


def _keep_option(found: re.Match[str]) -> str:
    option = found["listed"] or found["beside"] or found["before"]
    word = found[0].partition(" ")[0]
    if found["beside"] and "=" not in word and word.replace("_", "-") != option.strip("-"):
        return found[0]  # a word of the sentence: of another size (--chip-size)
    opened = found[0].startswith("(")
    return f"{'(' * opened}{option}{found['end'] or ''}"


def _as_option(found: re.Match[str], known: Mapping[str, Any]) -> str:
    name, value = found["inner"] or found["name"], found["value"] or found["plain"] or ""
    if name == "edge" and "pad" in known and "pad" in value:
        return "--pad"
    if (found["plain"] or "").isdigit() and not _IS_ADVICE.search(found.string[: found.start()]):
        return found[0]  # the name of something
    parameter = next(
        (known[each] for each in (name, *_OTHER_NAMES.get(name, ())) if each in known), None
    )
    if parameter is None or not parameter.opts[0].startswith("-"):
        return _VARIABLES.get(name, found[0])
    if value == "False":
        return str((parameter.secondary_opts or parameter.opts)[0])
    option = str(max(parameter.opts, key=len))
    is_flag = bool(getattr(parameter, "is_flag", False))
    shown = value.strip("'\"")
    return f"{option} {shown}" if shown and shown[0].isalnum() and not is_flag else option
