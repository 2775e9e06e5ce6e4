"""A package of the test's own, whose names are loaded when they are first used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from stacchip.runtime.lazy_names import offer_lazily

FACE = """
from stacchip.runtime.lazy_names import offer_lazily

eager = 1
__all__ = ["late", "eager", "deep"]
__getattr__, __dir__ = offer_lazily(__name__, {"module": ["late"], "inner.module": ["deep"]})
"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> ModuleType:
    folder = tmp_path / "lazy_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text(FACE)
    (folder / "module.py").write_text("late, loaded = object(), 1")
    (folder / "inner" / "__init__.py").touch()
    (folder / "inner" / "module.py").write_text("deep = 'deep'")
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("lazy_package")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_package"]:
        del sys.modules[name]


def test_a_module_is_loaded_when_one_of_its_names_is_first_used(package):
    assert "lazy_package.module" not in sys.modules
    assert package.late is sys.modules["lazy_package.module"].late
    assert "lazy_package.inner" not in sys.modules
    assert package.deep == "deep"


def test_a_name_is_looked_up_once(package):
    first = package.late
    assert vars(package)["late"] is first
    sys.modules["lazy_package.module"].late = None
    assert package.late is first


def test_dir_lists_the_names_that_the_package_exports(package):
    assert dir(package) == ["deep", "eager", "late"]


def test_a_name_that_is_not_offered_is_an_attribute_error_of_the_package(package):
    with pytest.raises(AttributeError, match=r"^module 'lazy_package' has no attribute 'loaded'$"):
        package.loaded  # noqa: B018 - the look-up is the test
    with pytest.raises(ImportError, match="cannot import name 'loaded' from 'lazy_package'"):
        exec("from lazy_package import loaded")


def test_a_name_that_needs_an_extra_says_which(package):
    lacking = "import a_module_that_nobody_has.part"
    Path(package.__file__).with_name("module.py").write_text(lacking)
    load, _ = offer_lazily(
        "lazy_package", {"module": ["late"]}, extras={"a_module_that_nobody_has": "more"}
    )
    with pytest.raises(ModuleNotFoundError, match=r"^lazy_package\.late needs .*stacchip\[more\]"):
        load("late")
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        package.late  # noqa: B018 - the look-up is the test


@pytest.mark.parametrize("name", ["ChipStreamDataset", "ChipDataset", "Label"])
def test_datasets_without_torch_say_how_to_install_it(name):
    code = f"""
import sys

sys.modules["torch"] = None  # as if it were not installed
import stacchip.datasets

assert "{name}" in dir(stacchip.datasets)
try:
    from stacchip.datasets import {name}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"stacchip.datasets.{name} needs torch, which is not installed: "
        "pip install 'stacchip[torch]'."
    )
