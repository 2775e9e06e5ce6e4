"""Running a command line, and what a person sees of it.

Results go to standard output; progress, notes and errors go to standard error, so that output can
be piped. Progress is a bar on a terminal and plain lines elsewhere. An error is one line.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stacchip.errors import StacchipError, UsageError

# typer brings click, or a copy of it, and names only some of its errors
CommandLineError: Any = typer.BadParameter.__bases__[0]
"""A mistake in a command line: its report points to the help of the command."""

_INTERRUPTED = 130  # typer's exit code for Ctrl-C, and a shell's for a process that SIGINT ended
_TABLE_COLUMNS = 100
_WRITING = threading.Lock()


class _ReaderGoneError(Exception):
    """The reader of our output has left, as `head` does. Typer would exit with 1 for an OSError."""


HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress(task: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show the progress of a task; call the yielded function with the name of each thing done.

    On a terminal this is a bar. Elsewhere it is a line for each tenth of the task, which keeps a
    log short.
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
    """Show a task that reports its own progress: (stage, amount done, total amount)."""
    if not err.is_terminal:
        seen: set[str] = set()

        def line(stage: str, _done: int, _total: int) -> None:
            if stage not in seen:
                seen.add(stage)
                note(f"{task}: {stage}")

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
            note(f"{task}: {done}{f'/{total}' if total else ''} {last}")

    return advance


def run_command(command: Callable[..., Any], name: str, arguments: list[str] | None = None) -> int:
    """Run a single command as a program of its own; return the exit code, as `run_app` does.

    Args:
        command: A function whose parameters are typer's options.
        name: The name of the program.
        arguments: The command line; that of the process by default.
    """
    app = typer.Typer(
        add_completion=False, rich_markup_mode=help_style(), pretty_exceptions_enable=False
    )
    app.command(context_settings=HELP_OPTIONS)(command)
    set_up_logging(verbose=False)
    return run_app(app, name, arguments)


def run_app(app: typer.Typer, name: str, arguments: list[str] | None = None) -> int:
    """Run a command line, report an error in one line, and return the exit code.

    0 is done, 1 failed, 2 misused, 130 interrupted.

    Args:
        app: The commands.
        name: The name of the program.
        arguments: The command line; that of the process by default.
    """
    try:
        code = app(arguments, standalone_mode=False, prog_name=name)
    except CommandLineError as error:
        called = name if error.ctx is None else error.ctx.command_path
        return _fail(name, f"{error.format_message()} See: {called} --help", 2)
    except typer.Abort:
        code = _INTERRUPTED
    except UsageError as error:
        return _fail(name, str(error), 2)
    except _ReaderGoneError:
        # nothing more may be written, not even what is left in the buffer when Python exits
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


def help_style() -> Literal["rich"] | None:
    """Return typer's style of help pages: tables on a wide terminal, plain text on a narrow one.

    Without enough room, tables cut off the names of options and variables.
    """
    return "rich" if shutil.get_terminal_size().columns >= _TABLE_COLUMNS else None


def examples(*lines: str) -> str:
    """Return the end of a help page: command lines that stay whole, ready to be copied."""
    whole = "" if help_style() else "\b\n"  # click's mark of a paragraph that must not be wrapped
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n\n".join([title, *(f"{whole}{line}" for line in lines)])


def program() -> str:
    """Return the command that starts this program: its name if it is on the path."""
    called = Path(sys.argv[0])
    if shutil.which("stacchip") == str(called.absolute()) or called.name != "stacchip":
        return "stacchip"
    return os.path.relpath(called)


def command(*arguments: str | Path) -> str:
    """Return a command line of this program for a shell: what to run next, or instead.

    Example:
        >>> command("info", "my index")
        "stacchip info 'my index'"
    """
    return shlex.join([program(), *map(str, arguments)])


def say(text: str) -> None:
    """Print a line of the result, whole and unchanged: tabs, colons and long lines stay."""
    _write_line(sys.stdout, text)


def note(text: str) -> None:
    """Print a line beside the result, on standard error."""
    _write_line(sys.stderr, text)


def _write_line(stream: TextIO, text: str) -> None:
    with _WRITING:  # threads report items at the same time
        try:
            stream.write(f"{text}\n")
            stream.flush()
        except BrokenPipeError as error:
            raise _ReaderGoneError from error


def set_up_logging(*, verbose: bool) -> None:
    """Show warnings of the library, or everything that it logs."""
    handler: logging.Handler
    if err.is_terminal:
        handler = RichHandler(console=err, show_time=False, show_path=False, markup=False)
    else:  # a log file has one line for each message, however long
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("stacchip")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
