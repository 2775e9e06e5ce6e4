"""The tree of errors: as its page draws it, across processes, with facts."""

from __future__ import annotations

import inspect
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor

import pytest

from stacchip import errors
from stacchip.errors import (
    AccessDenied,
    AssetChanged,
    CorruptBlock,
    MissingMetadata,
    ObjectNotFound,
    StacchipError,
    StorageError,
    StorageTimeout,
    UsageError,
    attribute,
)
from stacchip.storage import Identity

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, StacchipError)
]
LINE = re.compile(r"^(?P<depth>[│ ]*)[├└]── (?P<name>\w+)(?: \((?P<builtin>\w+)\))?")


def drawn() -> dict[str, tuple[str, str | None]]:
    """Each class of the drawing, with its parent and the built-in error that it names."""
    found: dict[str, tuple[str, str | None]] = {}
    path = ["StacchipError"]
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["depth"]) // 4 + 1
            path[depth:] = [match["name"]]
            found[match["name"]] = (path[depth - 1], match["builtin"])
    return found


def test_the_drawing_is_the_tree() -> None:
    tree = {kind.__name__: kind for kind in CLASSES if kind is not StacchipError}
    assert set(drawn()) == set(tree)
    for name, (parent, builtin) in drawn().items():
        bases = {base.__name__ for base in tree[name].__bases__}
        assert bases == {parent, *([builtin] if builtin else [])}, name


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_its_message_and_keeps_its_facts_in_a_pickle(kind) -> None:
    error = kind("What was wrong.", href="a.tif", item_id="S2A", number=3)
    again = pickle.loads(pickle.dumps(error))
    for each in (error, again):
        assert type(each) is kind
        assert str(each) == each.message == "What was wrong."
        assert each.facts == {"href": "a.tif", "item_id": "S2A", "number": 3}
        assert (each.href, each.item_id, each.number) == ("a.tif", "S2A", 3)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_documents_itself(kind) -> None:
    assert kind.__doc__
    for fact in re.findall(r"`(\w+)`", kind.__doc__):
        assert fact in {"expected", "found", "x", "y", "facts"} or hasattr(kind, fact), fact


def test_a_fact_that_was_not_given_is_none() -> None:
    assert StorageError("no").status is None
    assert StorageError("no").href is None
    assert CorruptBlock("no").block is None
    assert MissingMetadata("no").field is None


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ObjectNotFound, FileNotFoundError),
        (AccessDenied, PermissionError),
        (StorageTimeout, TimeoutError),
        (UsageError, ValueError),
        (CorruptBlock, OSError),
    ],
)
def test_code_that_knows_only_the_built_in_errors_catches_ours(kind, builtin) -> None:
    with pytest.raises(builtin):
        raise kind("no", href="a.tif")


def fail(number: int) -> None:
    raise AssetChanged(
        "changed", href="a.tif", expected=Identity(number, '"a"'), found=Identity(2, '"b"')
    )


def test_an_error_of_a_worker_process_reaches_its_parent_with_its_facts() -> None:
    context = multiprocessing.get_context("forkserver")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        pytest.raises(AssetChanged) as caught,
    ):
        pool.submit(fail, 1).result()
    assert caught.value.facts["expected"] == Identity(1, '"a"')
    assert caught.value.facts["found"] == Identity(2, '"b"')


def test_item_and_asset_are_added_to_an_error_once() -> None:
    error = StorageError("HTTP 500.", href="a.tif", status=500)
    named = attribute(error, "S2A", "red")
    assert str(named) == "Item 'S2A', asset 'red': HTTP 500."
    assert (named.href, named.status) == ("a.tif", 500)
    assert named.facts == {"href": "a.tif", "status": 500, "item_id": "S2A", "asset": "red"}
    assert attribute(named, "another") is named
    assert str(error) == "HTTP 500."  # the original is as it was


def test_an_error_of_a_whole_item_names_no_asset() -> None:
    named = attribute(MissingMetadata("No `proj:epsg`.", field="proj:epsg"), "S2A")
    assert type(named) is MissingMetadata
    assert str(named) == "Item 'S2A': No `proj:epsg`."
    assert (named.item_id, named.asset, named.field) == ("S2A", None, "proj:epsg")
