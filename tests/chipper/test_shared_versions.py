"""What processes tell each other of files, and what is left of it."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stacchip.chipper.file_versions import FileVersions
from stacchip.chipper.shared_versions import SharedVersions
from stacchip.errors import AssetChanged
from stacchip.storage import Identity, Storage

ONE, OTHER = Identity(1, '"a"', "Mon"), Identity(1, '"b"', "Tue")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_first_of_all_counts(folder: Path) -> None:
    versions = SharedVersions()
    copies = [pickle.loads(pickle.dumps(versions)) for _ in range(3)]
    for copy, found in zip(copies, (ONE, OTHER, OTHER), strict=True):
        assert copy.first("/a", found) == ONE
    assert versions.first("/b", OTHER) == OTHER
    assert copies[0].first("/b", ONE) == OTHER
    assert SharedVersions().first("/a", OTHER) == OTHER


def test_no_address_is_written(folder: Path) -> None:
    versions = SharedVersions()
    versions.first("https://example.com/a.tif?sig=secret", ONE)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert not re.search("secret|example", path.read_text())


def test_a_forked_process_and_its_parent_share_versions(folder: Path) -> None:
    versions, storage = FileVersions(), Storage()
    versions.require("/known", ONE, storage)
    child = os.fork()
    if not child:
        versions.require("/new", ONE, storage)
        os._exit(0)
    os.waitpid(child, 0)
    for href in ("/known", "/new"):
        with pytest.raises(AssetChanged):
            versions.require(href, OTHER, storage)


def test_lines_that_a_full_disk_cut_short_are_left_out(folder: Path) -> None:
    versions = SharedVersions()
    versions.first("/a", ONE)
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(b'["0')
    assert versions.first("/b", OTHER) == OTHER
    assert versions.first("/c", OTHER) == OTHER
    copy = pickle.loads(pickle.dumps(versions))
    assert (copy.first("/a", OTHER), copy.first("/c", ONE)) == (ONE, OTHER)


def test_without_a_folder_for_temporary_files_nothing_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    versions = SharedVersions()
    assert versions.first("/a", ONE) == ONE
    assert versions.first("/a", OTHER) == OTHER


LATE = """
import multiprocessing
from multiprocessing.util import Finalize
from stacchip.chipper.shared_versions import SharedVersions
from stacchip.storage import Identity

def work(versions, etag, is_time):
    is_time.wait()
    print(versions.first("/a", Identity(1, etag)).etag, flush=True)
    own = SharedVersions()
    print(own.first("/a", Identity(1, etag)).etag, flush=True)

context = multiprocessing.get_context("fork")
at_once, at_the_end = context.Event(), context.Event()
at_once.set()
Finalize(None, at_the_end.set, exitpriority=0)
versions = SharedVersions()
early = context.Process(target=work, args=(versions, "one", at_once))
early.start()
late = context.Process(target=work, args=(versions, "two", at_the_end))
late.start()
early.join()
del versions
"""


def test_a_worker_that_begins_when_its_maker_has_ended_its_work_knows_the_first(
    folder: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == ["one", "one", "one", "two"]
    assert names(folder) == []


SCRIPT = """
import multiprocessing, os, signal
from stacchip.chipper.shared_versions import SharedVersions
from stacchip.storage import Identity

def work(versions):
    versions.first("/a", Identity(1))
    print("ready", flush=True)
    multiprocessing.parent_process().join()

versions = SharedVersions()
if {workers}:
    multiprocessing.get_context("fork").Process(target=work, args=(versions,)).start()
    input()
versions.first("/a", Identity(1))
os.kill(os.getpid(), signal.SIGKILL)
"""


def start(folder: Path, *, workers: bool) -> subprocess.Popen[str]:
    """Start a process that shares versions and then kills itself."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(workers=workers)],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_worker_that_outlives_the_process_that_started_it_leaves_nothing(folder: Path) -> None:
    process = start(folder, workers=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(names(folder)) == 1
    process.communicate("\n")  # waits for the worker's end, too
    assert process.returncode == -signal.SIGKILL
    assert names(folder) == []


def test_what_a_killed_process_left_goes_with_the_next_that_shares(folder: Path) -> None:
    process = start(folder, workers=False)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (left,) = names(folder)
    (folder / "stacchip-versions-other").touch()  # of nobody knows whom
    versions = SharedVersions()
    versions.first("/a", ONE)
    assert left not in names(folder)
    assert "stacchip-versions-other" in names(folder)
    assert len(names(folder)) == 2
