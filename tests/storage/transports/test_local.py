from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacchip.errors import (
    AccessDenied,
    AssetChanged,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from stacchip.storage import Identity, Storage, StorageOptions
from stacchip.storage.transports import local
from users import without_privileges


def test_what_is_written_is_read_whole_and_in_ranges(tmp_path: Path) -> None:
    storage = Storage()
    href = str(tmp_path / "new" / "folder" / "a.bin")
    storage.write(href, b"0123456789")
    assert storage.read(href) == b"0123456789"
    assert storage.read(Path(href)) == b"0123456789"
    assert storage.read(f"file://{href}") == b"0123456789"
    blob = storage.read_range(href, 3, 4)
    assert (bytes(blob.data), blob.start, blob.identity) == (b"3456", 3, storage.stat(href))
    assert storage.read_ranges(href, [(8, 2), (0, 1), (4, 0), (2, 3)]) == [b"89", b"0", b"", b"234"]
    assert storage.bytes_read == 10 * 3 + 4 + 6


def test_a_range_ends_with_the_file(tmp_path: Path) -> None:
    storage = Storage()
    file = tmp_path / "a.bin"
    file.write_bytes(b"0123456789")
    assert storage.read_range(file, 8, 100).data == b"89"
    assert storage.read_range(file, 100, 5).data == b""
    assert storage.read_ranges(file, [(9, 5), (50, 1)]) == [b"9", b""]
    assert storage.read_range(file, 2, 0).identity.size_bytes == 10
    with pytest.raises(UsageError, match="begins at 0"):
        storage.read_range(file, -1, 5)


@pytest.mark.parametrize("how", ["rewritten", "replaced", "touched"])
def test_a_changed_file_of_the_same_size_is_noticed(tmp_path: Path, how: str) -> None:
    storage = Storage()
    file = tmp_path / "a.bin"
    file.write_bytes(b"before")
    expect = storage.stat(file)
    assert storage.read_range(file, 0, 6, expect=expect).data == b"before"
    time.sleep(0.01)
    if how == "rewritten":
        file.write_bytes(b"after!")
    elif how == "replaced":
        storage.write(file, b"after!")
    else:
        file.touch()
    with pytest.raises(AssetChanged) as caught:
        storage.read_range(file, 0, 6, expect=expect)
    assert caught.value.facts["expected"] == expect
    assert caught.value.facts["found"] == storage.stat(file)
    with pytest.raises(AssetChanged):
        storage.read_ranges(file, [(0, 1), (3, 1)], expect=expect)
    # if the file was moved, only its size is compared
    assert storage.read_range(file, 0, 6, expect=Identity(6)).data in (b"before", b"after!")


def test_a_copy_that_keeps_the_times_is_the_same_version(tmp_path: Path) -> None:
    storage = Storage()
    file, copy = tmp_path / "a.bin", tmp_path / "b.bin"
    file.write_bytes(b"the same")
    expect = storage.stat(file)
    shutil.copy2(file, copy)
    copy.replace(file)
    assert storage.read_range(file, 4, 4, expect=expect).data == b"same"
    assert storage.stat(file) == expect


def test_sizes_alone_are_compared_if_the_options_say_so(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"before")
    expect = Storage().stat(file)
    os.utime(file, ns=(1, 1))  # as a checkout or an unpacked archive does
    with pytest.raises(AssetChanged, match=r"identity='size'.*--identity size"):
        Storage().read_range(file, 0, 6, expect=expect)
    storage = Storage(options=StorageOptions(identity="size"))
    assert storage.read_range(file, 0, 6, expect=expect).data == b"before"


def test_a_file_written_to_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"0123456789")

    class Ranges(list[tuple[int, int]]):
        """Rewrites the file each time that the second range is about to be used."""

        writes = 0

        def __iter__(self) -> Iterator[tuple[int, int]]:
            yield self[0]
            self.writes += 1
            file.write_bytes(b"abcdefghij")
            os.utime(file, ns=(self.writes, self.writes))
            yield self[1]

    with pytest.raises(StorageError, match="while it was read"):
        Storage().read_ranges(file, Ranges([(0, 5), (5, 5)]))


def test_a_file_that_is_replaced_while_it_is_read_is_the_old_one_or_the_new_one(
    tmp_path: Path,
) -> None:
    contents = [b"0" * 10, b"1" * 1000]
    place, spare, stop = tmp_path / "a.bin", tmp_path / "spare", threading.Event()
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    os.link(tmp_path / "0", place)

    def replace() -> None:
        while not stop.is_set():
            for number in (1, 0):
                os.link(tmp_path / str(number), spare)
                spare.replace(place)

    storage = Storage()
    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace)
        try:
            seen = {bytes(storage.read(str(place))) for _ in range(5000)}
        finally:
            stop.set()
        replacing.result()
    assert seen == set(contents)


def test_missing_files_and_folders_are_not_found(tmp_path: Path) -> None:
    storage = Storage()
    for path in (tmp_path / "none", tmp_path, tmp_path / "none" / "below"):
        assert not storage.exists(path)
        for read in (storage.read, storage.stat, storage.open):
            with pytest.raises(ObjectNotFound) as caught:
                read(path)
            assert caught.value.href == str(path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ObjectNotFound):
        storage.read(tmp_path / "file" / "below")
    assert storage.read(tmp_path / "file") == b""


def test_a_folder_is_listed_in_order_with_all_below_it(tmp_path: Path) -> None:
    storage = Storage()
    for name in ("b/2.tif", "b/1.tif", "a.tif", "c/d/e.tif"):
        storage.write(tmp_path / name, name.encode())
    (tmp_path / ".stacchip-0123456789abcdef.part").write_bytes(b"of a killed writer")
    entries = list(storage.list(tmp_path))
    assert [e.href for e in entries] == [
        str(tmp_path / name) for name in ("a.tif", "b/1.tif", "b/2.tif", "c/d/e.tif")
    ]
    assert [e.size_bytes for e in entries] == [5, 7, 7, 9]
    assert list(storage.list(tmp_path / "none")) == []
    storage.delete(tmp_path / "a.tif")
    storage.delete(tmp_path / "a.tif")
    assert not storage.exists(tmp_path / "a.tif")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    storage = Storage()
    storage.write(tmp_path / "a.bin", b"old")
    with pytest.raises(ObjectNotFound):
        storage.write(tmp_path / "a.bin", tmp_path / "none")
    with pytest.raises(StorageError):
        storage.write(tmp_path, b"onto a folder")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert storage.read(tmp_path / "a.bin") == b"old"


def test_a_new_file_has_the_permissions_that_any_other_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    Storage().write(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_killed_writer_leaves_no_file_under_the_final_name(tmp_path: Path) -> None:
    """Whenever it is killed, the name shows the old bytes or all of the new ones.

    Two moments lie in the writing of the bytes, ten around the time at which the name is given.
    """
    target = tmp_path / "a.bin"
    new_size = 16 * 1024 * 1024
    script = (  # forks its writers, so that the imports are paid for once
        "import os, sys; from stacchip.storage.transports import local\n"
        "def chunks():\n"
        "    for i in range(16):\n"
        "        os.write(1, b'.\\n'); yield bytes([i]) * 2**20\n"
        "while sys.stdin.readline():\n"
        "    writer = os.fork()\n"
        "    while writer == 0: local.write_file(sys.argv[1], chunks())\n"
        "    os.write(1, b'%d\\n' % writer); os.waitpid(writer, 0); os.write(1, b'end\\n')\n"
    )
    seen = set()
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(target)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdin is not None
    assert parent.stdout is not None
    for lines, delay_s in [(3, 0), (10, 0), *((16, i * 0.006) for i in range(10)), (30, 0)]:
        target.write_bytes(b"old")
        print(file=parent.stdin, flush=True)
        told: list[str] = []
        while len(told) <= lines or set(told) == {".\n"}:
            told.append(parent.stdout.readline())
        writer = next(int(line) for line in told if line != ".\n")
        time.sleep(delay_s)
        os.kill(writer, signal.SIGKILL)
        while parent.stdout.readline() != "end\n":
            pass
        size = target.stat().st_size
        assert size in (3, new_size)
        if size == new_size:
            data = target.read_bytes()
            assert all(data[i << 20] == data[(i << 20) + 2**20 - 1] == i for i in range(16))
        seen.add(size)
        assert [e.href for e in Storage().list(tmp_path)] == [str(target)]
    parent.communicate(timeout=30)
    assert seen == {3, new_size}


def test_copy_and_open_of_local_files(tmp_path: Path) -> None:
    storage = Storage()
    storage.write(tmp_path / "a.bin", os.urandom(3_000_000))
    storage.copy(tmp_path / "a.bin", tmp_path / "b" / "a.bin")
    with storage.open(tmp_path / "b" / "a.bin") as opened:
        assert opened.read() == storage.read(tmp_path / "a.bin")


def test_objects_above_a_limit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    assert Storage().read(tmp_path / "a.bin", limit_bytes=10) == b"0123456789"
    with pytest.raises(StorageError, match="larger than the limit of 9 bytes"):
        Storage().read(tmp_path / "a.bin", limit_bytes=9)


@pytest.mark.parametrize("most_per_call", [1, 7, 1000, 1 << 30])
def test_a_read_of_several_calls_is_joined(tmp_path: Path, most_per_call: int) -> None:
    """As for more than 2 GiB, which one call cannot read."""
    data = bytes(range(250))
    (tmp_path / "a.bin").write_bytes(data)
    descriptor = os.open(tmp_path / "a.bin", os.O_RDONLY)
    try:
        for start, length in [(0, 250), (3, 20), (240, 100), (250, 5), (0, 7)]:
            read = local.read_fully(descriptor, start, length, most_per_call=most_per_call)
            assert read == data[start : start + length]
    finally:
        os.close(descriptor)


def test_a_file_that_may_not_be_read_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"secret")
    file.chmod(0)
    storage = Storage()
    with without_privileges(), pytest.raises(AccessDenied, match="permissions"):
        storage.read(file)


def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage()
    for name in ("folder/a.tif", "folder/below/b.tif", "folder/.another-users/c.tif"):
        storage.write(tmp_path / name, b"")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are root's alone
    (tmp_path / "folder" / ".another-users").chmod(0)
    with without_privileges():
        listed = [entry.href for entry in storage.list("folder")]
    assert listed == ["folder/a.tif", "folder/below/b.tif"]
    for name in ("folder/below", "folder"):
        (tmp_path / name).chmod(0)
        with without_privileges(), pytest.raises(AccessDenied, match="permissions") as caught:
            list(storage.list("folder"))
        assert caught.value.href == name


@pytest.mark.parametrize(
    "name", ["lost+found", "System Volume Information", "$RECYCLE.BIN", ".Trash-0/files"]
)
@pytest.mark.parametrize("mode", [0, 0o444])
def test_what_the_system_keeps_in_a_folder_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    storage = Storage()
    storage.write(tmp_path / "disk" / "a.tif", b"")
    storage.write(tmp_path / "disk" / name / "b.tif", b"")
    (tmp_path / "disk" / name).chmod(mode)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are root's alone
    with without_privileges():
        assert [entry.href for entry in storage.list("disk")] == ["disk/a.tif"]
        with pytest.raises(AccessDenied, match=re.escape(f"Access to disk/{name}")):
            list(storage.list(f"disk/{name}"))


def test_two_writers_of_one_file_leave_one_of_the_two(tmp_path: Path) -> None:
    target, storage = tmp_path / "a.bin", Storage()
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(10):
            storage.write(target, content)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, content) for content in contents]
        while not all(writer.done() for writer in writers):
            if target.exists():
                assert target.read_bytes() in contents
    assert target.read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    storage = Storage()

    def chunks() -> Iterator[bytes]:
        yield b"half"
        assert list(storage.list(tmp_path)) == []
        assert len(list(tmp_path.iterdir())) == 1
        yield b"whole"

    local.write_file(str(tmp_path / "a.bin"), chunks())
    assert [entry.href for entry in storage.list(tmp_path)] == [str(tmp_path / "a.bin")]


def test_a_link_is_read_through_and_replaced_by_a_write(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"original")
    (tmp_path / "link.bin").symlink_to(tmp_path / "a.bin")
    storage = Storage()
    assert storage.read(tmp_path / "link.bin") == b"original"
    storage.write(tmp_path / "link.bin", b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"original"
    assert storage.read(tmp_path / "link.bin") == b"new"


def test_a_folder_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bin" / "b").mkdir(parents=True)
    with pytest.raises(ObjectNotFound, match="is a folder"):
        Storage().write(tmp_path / "a.bin", b"x")
    assert (tmp_path / "a.bin" / "b").is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        Storage().write(tmp_path / "file" / "below", b"x")


def test_relative_paths_are_those_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage()
    storage.write("new/a.bin", b"0123")
    storage.write("b.bin", b"45")
    assert storage.read("new/a.bin") == b"0123"
    assert (tmp_path / "new" / "a.bin").exists()
    assert [entry.href for entry in storage.list("")] == ["./b.bin", "./new/a.bin"]
