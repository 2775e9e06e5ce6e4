"""The folder of what can be made again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stacchip.errors import AccessDenied, StorageError
from stacchip.runtime.cache_folder import (
    clear_unused,
    find_cache_folder,
    make_cache_folder,
    note_use,
)

DAY_S = 24 * 3600


def test_the_folder_is_named_by_a_variable_or_lies_where_caches_do(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("STACCHIP_CACHE_DIR", str(tmp_path / "own"))
    assert find_cache_folder() == tmp_path / "own"
    monkeypatch.delenv("STACCHIP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache_folder() == tmp_path / "stacchip"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("caches", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert find_cache_folder() == tmp_path / "home" / ".cache" / "stacchip"
    monkeypatch.setenv("STACCHIP_CACHE_DIR", "~/own")
    assert find_cache_folder() == tmp_path / "home" / "own"


def test_a_folder_is_for_the_user_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("STACCHIP_CACHE_DIR", str(tmp_path / "new"))
    folder = make_cache_folder("orders")
    assert (folder, folder.stat().st_mode & 0o777) == (tmp_path / "new" / "orders", 0o700)
    assert make_cache_folder("orders") == folder
    folder.chmod(0o777)
    with pytest.raises(AccessDenied, match="Others may write in") as raised:
        make_cache_folder("orders")
    assert raised.value.href == str(folder)
    folder.chmod(0o700)
    folder.parent.chmod(0o777)  # others could put another folder in its place
    with pytest.raises(AccessDenied, match="Others may write in"):
        make_cache_folder("orders")


def test_a_folder_that_leads_elsewhere_is_not_used(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("STACCHIP_CACHE_DIR", str(tmp_path / "own"))
    for name in ("own", "elsewhere"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "own" / "orders").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessDenied, match="orders is a link"):
        make_cache_folder("orders")


def test_a_folder_that_cannot_be_made_is_an_error(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STACCHIP_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="file/orders cannot be written"):
        make_cache_folder("orders")


def make_files(folder: Path, **days: float) -> None:
    for name, unused in days.items():
        file = folder / f"{name}.order"
        file.write_bytes(bytes(100))
        os.utime(file, (0, time.time() - unused * DAY_S))


def names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.iterdir())


def test_files_go_that_were_not_used_for_long(tmp_path) -> None:
    make_files(tmp_path, old=31, kept=31, new=29)
    clear_unused(tmp_path, "*.order", days=30, most_bytes=1000, kept=[tmp_path / "kept.order"])
    assert names(tmp_path) == ["kept", "new"]


def test_of_too_many_those_go_that_were_used_longest_ago(tmp_path) -> None:
    make_files(tmp_path, first=5, second=4, third=3, today=0.5)
    clear_unused(tmp_path, "*.order", days=30, most_bytes=250)
    assert names(tmp_path) == ["third", "today"]
    clear_unused(tmp_path, "*.order", days=30, most_bytes=0)
    assert names(tmp_path) == ["today"], "it may be in use"


def test_a_use_is_noted(tmp_path) -> None:
    make_files(tmp_path, used=31, unused=31)
    note_use(tmp_path / "used.order")
    note_use(tmp_path / "absent.order")
    clear_unused(tmp_path, "*.order", days=30, most_bytes=1000)
    assert names(tmp_path) == ["used"]
