from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stacchip.errors import DiskFull, StorageError
from stacchip.runtime.whole_file import (
    is_unfinished,
    locked_file,
    locked_folder,
    move_whole,
    scratch_folder,
    whole_file,
    writing,
)

DAY_S = 24 * 3600


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_gets_its_name_when_the_block_ends(tmp_path: Path, sync: bool) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with whole_file(target, sync=sync) as part:
        part.write_text("new")
        assert target.read_text() == "old"
        assert part.parent == tmp_path
        assert is_unfinished(part.name)
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with whole_file(target) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), whole_file(target):
        pass
    assert target.read_text() == "old"


def test_its_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with whole_file(tmp_path / "whole") as part:
        part.write_text("")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writers_of_one_name_do_not_disturb_each_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as first, whole_file(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer block ended last
    assert names(tmp_path) == ["a.txt"]


def test_what_killed_writers_left_a_day_ago_is_cleared_away(tmp_path: Path) -> None:
    old, new = (tmp_path / f".stacchip-{digit * 16}.part" for digit in "01")
    of_gdal = tmp_path / f"{old.name}.ovr.tmp"
    others = tmp_path / ".other-0123456789abcdef.part"
    for path in (old, new, of_gdal, others):
        path.write_text("left")
        age_s = DAY_S + 60 if path != new else DAY_S - 60
        os.utime(path, (time.time() - age_s,) * 2)
    with whole_file(tmp_path / "a.txt") as part:
        part.write_text("")
    assert names(tmp_path) == sorted([others.name, new.name, "a.txt"])


def test_a_writer_killed_in_the_block_leaves_nothing_visible(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\n"
        "from stacchip.runtime.whole_file import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.txt")], check=False, timeout=60
    )
    assert run.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert is_unfinished(left)


def test_a_finished_file_is_moved_to_its_place(tmp_path: Path) -> None:
    staged, target = tmp_path / "staged", tmp_path / "target"
    staged.write_text("new")
    target.write_text("old")
    move_whole(staged, target)
    assert target.read_text() == "new"
    assert names(tmp_path) == ["target"]


def test_one_thread_at_a_time_has_a_locked_file(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_bytes(b"000")

    def add() -> None:
        for _ in range(50):
            with locked_file(count) as file:
                number = int(file.read())
                file.seek(0)
                file.write(b"%03d" % (number + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.read_bytes() == b"200"


def test_one_process_at_a_time_has_a_locked_file(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from stacchip.runtime.whole_file import locked_file\n"
        "print('asks', flush=True)\n"
        "with locked_file(pathlib.Path(sys.argv[1])) as file: print(file.read(), flush=True)\n"
    )
    with locked_file(tmp_path / "ledger") as file:
        other = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "ledger")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "asks\n"
        time.sleep(0.3)
        file.write(b"written under the lock")
    assert other.communicate(timeout=60)[0] == "b'written under the lock'\n"


def test_a_scratch_folder_goes_when_its_block_ends_or_fails(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "stage-") as folder:
        (folder / "a").write_text("x")
        assert folder.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="on purpose"), scratch_folder(tmp_path, "stage-"):
        raise ValueError("on purpose")
    assert names(tmp_path) == []


def test_the_scratch_folder_of_a_killed_process_is_cleared_away_and_a_living_ones_stays(
    tmp_path: Path,
) -> None:
    script = (
        "import pathlib, sys\n"
        "from stacchip.runtime.whole_file import scratch_folder\n"
        "with scratch_folder(pathlib.Path(sys.argv[1]), 'stage-') as folder:\n"
        "    (folder / 'a').write_text('x')\n"
        "    print(folder.name, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    folder = tmp_path / process.stdout.readline().strip()
    with scratch_folder(tmp_path, "stage-"):
        assert (folder / "a").exists()
    process.kill()
    process.communicate(timeout=60)
    assert (folder / "a").exists()
    with scratch_folder(tmp_path, "stage-") as own:
        assert names(tmp_path) == [own.name, f"{own.name}.lock"]


def test_a_folder_is_looked_through_once_in_each_process(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as part:
        part.write_text("")
    left = tmp_path / f".stacchip-{'0' * 16}.part"
    left.write_text("left")
    os.utime(left, (0, 0))
    with whole_file(tmp_path / "b") as part:
        part.write_text("")
    assert left.exists()


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write() -> None:
        with whole_file(target) as part:
            part.write_text("half")
            raise full

    with pytest.raises(DiskFull, match=re.escape(f"{full.strerror}: {target}")) as caught:
        write()
    assert caught.value.href == str(target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_held_by_one_at_a_time_and_goes_if_it_stays_empty(tmp_path: Path) -> None:
    folder = tmp_path / "naip" / "item"
    inside = threading.Lock()

    def hold() -> None:
        with locked_folder(folder):
            assert inside.acquire(blocking=False), "two hold the folder"
            time.sleep(0.005)
            inside.release()

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not inside.locked()
    assert names(folder.parent) == []
    with locked_folder(folder):
        (folder / "a.tif").touch()
    assert names(folder) == ["a.tif"]


def test_a_folder_that_goes_while_it_is_made_is_made_again(tmp_path, monkeypatch) -> None:
    make, calls = Path.mkdir, []

    def mkdir(self: Path, *args: object, **options: object) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise FileExistsError(errno.EEXIST, "File exists")  # its holder deletes it now
        make(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked_folder(tmp_path / "item"):
        assert (tmp_path / "item").is_dir()
    assert calls == [tmp_path / "item"] * 2


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_cannot_be_held(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "item"
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="where a folder should be"), locked_folder(place):
        pass


def test_what_a_killed_process_left_goes_with_the_next_write_there(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from stacchip.runtime.whole_file import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("a", "b"):
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=False)
        assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()  # the second run has cleared away what the first one left
    with whole_file(tmp_path / "c") as part:
        part.write_text("whole")
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_a_living_process_or_another_machine_writes_stays(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as mine:
        mine.write_text("half")
        child = os.fork()
        if not child:
            try:  # a process of its own, which has not looked into the folder
                folder = tmp_path / "again"
                folder.symlink_to(tmp_path)
                with whole_file(folder / "b") as part:
                    part.write_text("whole")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert (tmp_path / "b").read_text() == "whole"
        assert mine.exists()
    elsewhere = tmp_path / f".stacchip-{'f' * 16}.part"
    elsewhere.write_text("half")
    (tmp_path / "other name").symlink_to(tmp_path)
    with whole_file(tmp_path / "other name" / "c") as part:
        part.write_text("whole")
    assert elsewhere.exists()


def test_a_scratch_folder_that_cannot_be_deleted_yet_goes_with_the_next(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with scratch_folder(tmp_path, "work-") as folder:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # deleting opens the folder
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert names(tmp_path) == [folder.name, f"{folder.name}.lock"]
    with scratch_folder(tmp_path, "work-"):
        pass
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the system has no such file")
def test_a_turn_that_cannot_be_read_is_an_error_that_names_the_folder() -> None:
    with (
        pytest.raises(StorageError, match="/proc/self cannot be written: Input/output error"),
        writing(Path("/proc/self/mem"), "merge"),
    ):
        pass
