"""What `import stacchip` offers, and what every public package promises."""

from __future__ import annotations

import pkgutil
import runpy
import subprocess
import sys
from importlib import import_module

import pytest

import stacchip
from stacchip.moved import MOVED

HEAVY = ("numpy", "rasterio", "pyarrow", "pystac", "torch", "distributed", "typer", "obstore")
LAZY = ("stacchip", "stacchip.cubes", "stacchip.datasets", "stacchip.statistics")
NEEDS_TORCH = {"ChipDataset", "ChipStreamDataset", "Label"}


def public_packages() -> list[str]:
    """Every module that states what it exports."""
    found = pkgutil.walk_packages(stacchip.__path__, "stacchip.")
    packages = ["stacchip", *(module.name for module in found if module.ispkg)]
    return [name for name in packages if hasattr(import_module(name), "__all__")]


def test_import_loads_nothing_heavy_and_opens_nothing():
    code = f"import sys, stacchip; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", LAZY)
def test_the_names_are_seen_before_they_are_loaded(package):
    code = f"import {package} as it; print(dir(it) == sorted(it.__all__), vars(it).keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True")
    late = {"ChipStream", "Prechip", "Label", "StatisticsFolder"} & set(
        import_module(package).__all__
    )
    assert late
    assert not any(repr(name) in done.stdout for name in late)


@pytest.mark.parametrize("package", public_packages())
def test_every_exported_name_can_be_imported(package):
    module = import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        if name in NEEDS_TORCH:
            pytest.importorskip("torch", reason="PyTorch is absent: make torch")
        assert getattr(module, name) is not None, name


def test_the_front_door_gives_the_same_objects_as_their_packages():
    from stacchip.chipper import Chipper
    from stacchip.index import read_index
    from stacchip.storage import Storage

    assert stacchip.Chipper is Chipper
    assert stacchip.read_index is read_index
    assert stacchip.Storage is Storage


@pytest.mark.parametrize("package", LAZY)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"^module '{package}' has no attribute 'Chiper'$"):
        import_module(package).Chiper  # noqa: B018 - the look-up is the test


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    assert stacchip.__version__ == version("stacchip")


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_that_moved_is_found_under_its_old_address(old):
    if old.startswith("datasets."):
        pytest.importorskip("torch", reason="PyTorch is absent: make torch")
    assert import_module(f"stacchip.{old}") is import_module(f"stacchip.{MOVED[old]}")


@pytest.mark.parametrize(
    "name",
    ["processors.nothing", "datasets.sinks.nothing", "raster.window.nothing", "raster.nothing"],
)
def test_a_module_that_never_was_is_not_found_under_the_name_that_was_asked_for(name):
    with pytest.raises(ModuleNotFoundError) as caught:
        import_module(f"stacchip.{name}")
    assert caught.value.name == f"stacchip.{name}"
    assert str(caught.value).startswith(f"No module named 'stacchip.{name}'")
    assert "stacchip.collect" not in str(caught.value)


def test_a_library_that_a_moved_module_needs_is_named():
    code = "import sys; sys.modules['pyarrow'] = None; import stacchip.processors.prechip"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pyarrow" in done.stderr.splitlines()[-1]


def test_a_moved_module_runs_under_its_old_address(monkeypatch):
    monkeypatch.delitem(sys.modules, "stacchip.raster.window", raising=False)
    names = runpy.run_module("stacchip.raster.window", run_name="__main__", alter_sys=True)
    assert names["__name__"] == names["Window"].__module__ == "__main__"
    assert names["__file__"] == import_module("stacchip.grid.window").__file__


def test_threads_may_import_old_and_new_addresses_at_the_same_time():
    """Python holds one lock for all imports while it asks a finder: ours imports nothing."""
    code = """
import importlib, os, threading
import stacchip

start = threading.Barrier(2)


def load(name):
    start.wait()
    importlib.import_module(name)


names = "stacchip.items", "stacchip.processors.pace"
threads = [threading.Thread(target=load, args=[name], daemon=True) for name in names]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
os._exit(any(thread.is_alive() for thread in threads))  # a thread that is stuck would hang the end
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def run_as_module(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", name], capture_output=True, text=True, check=False)


def test_python_runs_what_has_moved_as_it_did_before():
    """Modules of the processors did nothing but define names, and a package cannot be run."""
    done = run_as_module("stacchip.processors.prechip")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, words in (
        ("processors", "'stacchip.processors' is a package and cannot be directly executed"),
        ("processors.nothing", "No module named stacchip.processors.nothing"),
    ):
        done = run_as_module(f"stacchip.{name}")
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "stacchip", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "preview" in done.stdout


def test_an_old_address_leaves_the_packages_as_they_are():
    import stacchip.collect.recipes
    import stacchip.processors.recipes

    assert stacchip.collect.recipes is sys.modules["stacchip.collect.recipes"]
    assert hasattr(stacchip.collect.recipes, "__path__")
