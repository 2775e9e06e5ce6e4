"""What cannot be written: one error for each reason, with the place, and no other errors."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import (
    AccessDenied,
    CorruptBlock,
    DiskFull,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from stacchip.runtime.unwritable import naming_path, naming_unwritable, naming_unwritable_within
from stacchip.runtime.whole_file import (
    locked_file,
    move_whole,
    scratch_folder,
    temporary_folder,
    whole_file,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def fail(place: Path, error: BaseException, **options: str) -> None:
    with naming_unwritable(place, **options):
        raise error


def system_error(code: int, *paths: Path) -> OSError:
    names = [str(path) for path in paths]
    return OSError(code, os.strerror(code), *names[:1], None, *names[1:])


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, DiskFull, "No space left on device: {}. Free some, or write elsewhere."),
        (errno.EDQUOT, DiskFull, "Disk quota exceeded: {}. Free some, or write elsewhere."),
        (errno.EFBIG, DiskFull, "File too large: {}. Free some, or write elsewhere."),
        (errno.EACCES, AccessDenied, "Access to {} was refused. Check its permissions and those"),
        (errno.EROFS, AccessDenied, "{} cannot be written: its file system is read-only. Choose"),
        (errno.ENOENT, ObjectNotFound, "{} cannot be written: No such file or directory. Choose"),
        (errno.ENOTDIR, StorageError, "{} cannot be written: a file, or a link that leads nowhere"),
        (errno.EISDIR, StorageError, "{} cannot be written: it is a folder. Choose another place."),
        (errno.EIO, StorageError, "{} cannot be written: Input/output error. Choose another place"),
    ],
)
def test_each_reason_has_its_error(tmp_path, code, kind, words):
    place = tmp_path / "a.txt"
    with pytest.raises(kind) as caught:
        fail(place, system_error(code, tmp_path / ".part", place))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(words.format(place))
    assert caught.value.href == str(place)


def test_the_place_may_have_another_name(tmp_path):
    with pytest.raises(DiskFull, match=r": TMPDIR\. Free"):
        fail(tmp_path, system_error(errno.ENOSPC), shown="TMPDIR")


@pytest.mark.parametrize("error", [OSError("no number"), UsageError("ours"), ValueError("no file")])
def test_what_is_no_error_of_the_system_is_left_alone(tmp_path, error):
    with pytest.raises(type(error)) as caught:
        fail(tmp_path / "a.txt", error)
    assert caught.value is error


def test_an_error_without_a_number_keeps_its_words(tmp_path):
    with (
        pytest.raises(StorageError, match=r"a\.txt cannot be written: not supported$"),
        naming_path(tmp_path / "a.txt"),
    ):
        raise OSError("not supported")


# -- blocks that do more than write ----------------------------------------------------------------


@contextlib.contextmanager
def named_within(folder: Path) -> Iterator[Path]:
    with naming_unwritable_within(folder / "own", shown=str(folder)):
        yield folder / "own"


@contextlib.contextmanager
def temporary_folder_in(folder: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        with temporary_folder("a-") as own:
            yield own


BLOCKS: dict[str, Callable[[Path], AbstractContextManager[Path]]] = {
    "named": named_within,
    "file": lambda folder: whole_file(folder / "a.txt"),
    "scratch": lambda folder: scratch_folder(folder, "a-"),
    "temporary": temporary_folder_in,
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOSPC])
@pytest.mark.parametrize("name", ["", "b.txt", "absent/b.txt", "a.txtual", ".."])
def test_an_error_of_another_file_is_left_alone(tmp_path, block, code, name):
    error = system_error(code, tmp_path / name)
    with pytest.raises(OSError, match="Errno") as caught, BLOCKS[block](tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "error",
    [
        system_error(errno.EACCES),
        system_error(errno.EPERM),
        system_error(errno.ENOENT),
        system_error(errno.EIO),
        system_error(errno.ECONNREFUSED),
        OSError("no number"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        CorruptBlock("ours"),
    ],
)
def test_an_error_that_may_be_of_a_server_is_left_alone(tmp_path, block, error):
    with pytest.raises(type(error)) as caught, BLOCKS[block](tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_an_error_that_only_writing_has_names_the_place(tmp_path, block, code):
    with pytest.raises(StorageError, match=re.escape(str(tmp_path))), BLOCKS[block](tmp_path):
        raise system_error(code)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_error_of_a_file_of_ours_names_the_place(tmp_path, block):
    with pytest.raises(AccessDenied) as caught, BLOCKS[block](tmp_path) as own:
        raise system_error(errno.EACCES, own / "rows" if own.is_dir() else own)
    assert own.name not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert [path for path in tmp_path.iterdir() if path.name != "own"] == []


# -- files, links and locks ------------------------------------------------------------------------


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    real = tmp_path / "real"
    real.write_text("old")
    for name, target in (("link", real), ("dangling", tmp_path / "nowhere" / "x")):
        (tmp_path / name).symlink_to(target)
        with whole_file(tmp_path / name) as part:
            part.write_text("new")
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == "new"
    assert real.read_text() == "old"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_the_place_of_a_file_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    part = tmp_path / "part"
    part.write_text("new")
    with pytest.raises(StorageError, match="cannot be written: it is a folder"):
        move_whole(part, tmp_path / "folder")
    with (
        pytest.raises(StorageError, match="cannot be written: it is a folder"),
        whole_file(tmp_path / "folder") as other,
    ):
        other.write_text("new")
    part.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(ObjectNotFound), whole_file(tmp_path / "absent" / "a") as other:
        other.write_text("new")


def test_a_lock_that_cannot_be_made_names_its_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="file cannot be written: a file, or a link"),
        writing(tmp_path / "file" / "lock", "write"),
    ):
        pass
    (tmp_path / "lock").symlink_to(tmp_path / "file")
    with pytest.raises(StorageError, match="symbolic links"), locked_file(tmp_path / "lock"):
        pass


def test_work_that_could_not_be_ended_stays_for_the_next_writer(tmp_path):
    with contextlib.suppress(StorageError), writing(tmp_path / "lock", "remove") as turn:
        turn.is_unfinished = True
        raise StorageError("not ended")
    with writing(tmp_path / "lock", "write") as turn:
        assert turn.left == "remove"
    assert list(tmp_path.iterdir()) == []
