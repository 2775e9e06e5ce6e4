"""Running a command line, and what a person sees of it.

Results go to standard output; progress, notes, logs and errors go to standard error, so that output
can be piped. An error is one line. Commands print through this module: it offers `say` of
`lines`, `progress` and `stages` of `progress`, and a `note` that may quote the library.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from stacchip.cli.terminal import lines, logs
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.cli.terminal.help_pages import help_style
from stacchip.cli.terminal.hints import spell_options, spellings
from stacchip.cli.terminal.interrupts import INTERRUPTED, was_reported
from stacchip.cli.terminal.lines import ReaderGoneError, err, out, say, silence
from stacchip.cli.terminal.progress import format_size, progress, stages, style
from stacchip.errors import StacchipError, UsageError
from stacchip.storage import redact_text

__all__ = [
    "CommandLineError",
    "command",
    "err",
    "examples",
    "format_size",
    "note",
    "out",
    "program",
    "progress",
    "run_app",
    "run_command",
    "say",
    "stages",
]

# typer brings click, or a copy of it, and names only some of its errors
CommandLineError: Any = typer.BadParameter.__bases__[0]
"""A mistake in a command line: its report points to the help of the command."""


def run_command(command: Callable[..., Any], name: str, arguments: list[str] | None = None) -> int:
    """Run a single command as a program of its own; return the exit code, as `run_app` does.

    Args:
        command: A function whose parameters are typer's options.
        name: The name of the program.
        arguments: The command line; that of the process by default.
    """
    app = CommandLine()
    app.command()(command)
    return run_app(app, name, arguments)


def run_app(app: typer.Typer, name: str, arguments: list[str] | None = None) -> int:
    """Run a command line, report an error in one line, and return the exit code.

    0 is done, 1 failed, 2 misused, 130 interrupted.

    Args:
        app: The commands.
        name: The name of the program.
        arguments: The command line; that of the process by default.
    """
    chosen = style.set("auto")  # until --progress says otherwise
    spelled = spellings.set(None)  # until a command is known
    try:
        with logs.shown_logs():
            return _run(get_command(app), name, arguments)
    finally:
        style.reset(chosen)
        spellings.reset(spelled)


def _run(line: Callable[..., Any], name: str, arguments: list[str] | None) -> int:
    try:
        code = line(arguments, standalone_mode=False, prog_name=name)
    except CommandLineError as error:
        called = name if error.ctx is None else error.ctx.command_path
        return _fail(name, f"{error.format_message()} See: {called} --help", 2)
    except typer.Abort:
        code = INTERRUPTED
    except UsageError as error:
        return _fail(name, str(error), 2)
    except ReaderGoneError:
        silence(sys.stdout)
        return 0
    except (StacchipError, OSError) as error:
        return _fail(name, str(error), 1)
    if code == INTERRUPTED:  # typer's own exit code for Ctrl-C too
        was_reported.set()
        return _fail(name, "interrupted", code)
    return code if isinstance(code, int) else 0


def note(text: str) -> None:
    """Print a line beside the result, on standard error; advice of the library names options."""
    lines.note(spell_options(text))


def _fail(name: str, message: str, code: int) -> int:
    note(f"{name}: {' '.join(message.split())}")
    return code


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

    Addresses in it are redacted: whoever runs it adds the signature again.

    Example:
        >>> command("info", "my index")
        "stacchip info 'my index'"
        >>> command("info", "https://example.com/index.parquet?sig=abc")
        'stacchip info https://example.com/index.parquet'
    """
    return shlex.join([program(), *(redact_text(str(argument)) for argument in arguments)])
