"""What a person sees: progress on a terminal, plain lines elsewhere, and one line for an error.

Results go to standard output; progress, notes and errors to standard error, so that output can be
piped.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stacchip.errors import StacchipError, UsageError

# typer brings click, or a copy of it, and names only some of its errors
_CommandLineError: Any = typer.BadParameter.__bases__[0]
_INTERRUPTED = 130  # what typer makes of Ctrl-C, and shells of a process that SIGINT ended

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress(task: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show how a task proceeds; the function given is called with the name of what was done.

    On a terminal this is a bar. Elsewhere it is a line for each tenth of the task, so that a log
    stays short.
    """
    if not err.is_terminal:
        yield _lines(task, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[last]}"),
    )
    with Progress(*columns, console=err) as bar:
        number = bar.add_task(task, total=total, last="")
        yield lambda last: bar.update(number, advance=1, last=last)


@contextmanager
def stages(task: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a task that tells itself where it is: (what it does, how much is done, of how much)."""
    if not err.is_terminal:
        seen: set[str] = set()

        def line(stage: str, _done: int, _total: int) -> None:
            if stage not in seen:
                seen.add(stage)
                err.print(f"{task}: {stage}", markup=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("[dim]{task.fields[last]}"), console=err) as bar:
        number = bar.add_task(task, total=None, last="")
        yield lambda stage, done, total: bar.update(number, completed=done, total=total, last=stage)


def _lines(task: str, total: int | None) -> Callable[[str], None]:
    done = 0
    step = max(1, (total or 100) // 10)

    def advance(last: str) -> None:
        nonlocal done
        done += 1
        if done % step == 0 or done == total:
            err.print(f"{task}: {done}{f'/{total}' if total else ''} {last}", markup=False)

    return advance


def run_app(app: typer.Typer, name: str, arguments: list[str] | None = None) -> int:
    """Run a command line, and tell what went wrong in one line; returns the exit code.

    0 is done, 1 failed, 2 misused, 130 interrupted.

    Args:
        app: The commands.
        name: What the program is called.
        arguments: Those of the process, if not given.
    """
    try:
        code = app(arguments, standalone_mode=False, prog_name=name)
    except _CommandLineError as error:
        return _fail(name, f"{error.format_message()} See: {name} --help", 2)
    except typer.Abort:
        code = _INTERRUPTED
    except UsageError as error:
        return _fail(name, str(error), 2)
    except BrokenPipeError:
        # whoever read our output has left, as `head` does; nothing more may be written to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (StacchipError, OSError) as error:
        return _fail(name, str(error), 1)
    if code == _INTERRUPTED:
        return _fail(name, "interrupted", code)
    return code if isinstance(code, int) else 0


def _fail(name: str, message: str, code: int) -> int:
    note(f"{name}: {' '.join(message.split())}")
    return code


def program() -> str:
    """How this program is called from here: by its name where that is on the path."""
    called = Path(sys.argv[0])
    if shutil.which("stacchip") == str(called.absolute()) or called.name != "stacchip":
        return "stacchip"
    return os.path.relpath(called)


def command(*arguments: str | Path) -> str:
    """A command line of this program, as a shell takes it: what to run next, or instead.

    Example:
        >>> command("info", "my index")
        "stacchip info 'my index'"
    """
    return shlex.join([program(), *map(str, arguments)])


def say(text: str) -> None:
    """A line of the result."""
    out.print(text, markup=False)


def note(text: str) -> None:
    """A line beside the result."""
    err.print(text, markup=False)


def set_up_logging(*, verbose: bool) -> None:
    """Show warnings of the library, or everything it tells."""
    handler = RichHandler(console=err, show_time=False, show_path=False, markup=False)
    logger = logging.getLogger("stacchip")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
