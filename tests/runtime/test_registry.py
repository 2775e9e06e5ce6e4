"""Values by name: built in, registered, and named by packages that are installed."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from stacchip.errors import SourceError
from stacchip.runtime.registry import Registry

GROUP = "tests.colours"


@dataclass(frozen=True)
class Colour:
    name: str
    title: str = "a colour"


RED, BLUE = Colour("red"), Colour("blue")


@pytest.fixture
def registry() -> Registry[Colour]:
    return Registry(Colour, "paint.Colour", (RED, BLUE), group=GROUP, error=SourceError)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution whose module `dye` has this text, and that has these entry points."""

    def install(text: str, **points: str) -> None:
        (tmp_path / "dye.py").write_text(text)
        info = tmp_path / "dye-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dye\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("dye", None)


def text_of(*names: str) -> str:
    return f"from {__name__} import Colour\n" + "\n".join(
        f"{name.upper()} = Colour({name!r})" for name in names
    )


def test_built_in_values_are_found_by_name(registry):
    assert registry.find("red") == RED
    assert registry.find("green") is None
    assert registry.all() == (RED, BLUE)


def test_a_registered_value_comes_last(registry):
    green = Colour("green")
    registry.register(green)
    registry.register(green)
    assert registry.find("green") == green
    assert registry.all() == (RED, BLUE, green)


def test_another_value_of_the_same_name_must_say_that_it_replaces(registry):
    other = Colour("red", "crimson")
    with pytest.raises(SourceError, match=r"A colour named 'red' is there already \(a colour\)"):
        registry.register(other)
    assert registry.find("red") == RED
    registry.register(other, replace=True)
    assert registry.all() == (BLUE, other)


def test_a_value_of_another_type_is_refused(registry):
    with pytest.raises(SourceError, match=r"'red' is not a Colour\. Pass a paint\.Colour"):
        registry.register("red")


def test_an_entry_point_names_a_value_or_several(registry, install):
    install(text_of("green", "pink") + "\nBOTH = [GREEN, PINK]\n", some="dye:BOTH")
    assert registry.find("pink") == Colour("pink")
    assert [colour.name for colour in registry.all()] == ["red", "blue", "green", "pink"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dye:MISSPELT", "cannot be loaded: .* Mend or uninstall the package"),
        ("no_such_module:X", "cannot be loaded: No module named 'no_such_module'"),
        ("dye:NUMBER", "gives 7, which is not a Colour. Name a paint.Colour, or several"),
        ("dye:NUMBERS", "gives 7, which is not a Colour"),
        ("dye:RED", "A colour named 'red' is there already"),
    ],
)
def test_a_broken_entry_point_is_named_each_time_it_is_needed(registry, install, value, words):
    install("NUMBER = 7\nNUMBERS = [7]\n" + text_of() + "RED = Colour('red', 'mine')", bad=value)
    for _ in range(2):
        with pytest.raises(SourceError, match=words) as caught:
            registry.all()
        if "already" not in words:
            assert f"Entry point 'bad' = {value!r} of group 'tests.colours'" in str(caught.value)


def test_a_broken_entry_point_does_not_hide_what_is_built_in(registry, install):
    install("", bad="dye:MISSPELT")
    assert registry.find("blue") == BLUE
    with pytest.raises(SourceError):
        registry.find("green")
