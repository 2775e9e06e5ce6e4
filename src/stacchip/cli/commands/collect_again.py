"""The rows of a run that failed: a list to keep, and the command that runs them again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from stacchip.cli.terminal import console
from stacchip.collect.sample import join_rows, parse_rows_file
from stacchip.errors import StacchipError, UsageError
from stacchip.storage import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import typer

    from stacchip.collect.report import RowReport
    from stacchip.storage import Storage


def read_rows_option(value: str | None, storage: Storage) -> str | None:
    """Return the rows that an option names: `3,7,12:15`, or `@FILE` for those in a file.

    Raises:
        UsageError: The file cannot be read, or names no rows.
    """
    if value is None or not value.startswith("@"):
        return value
    try:
        rows = parse_rows_file(storage.read(value[1:], limit_bytes=1 << 20).decode())
    except (StacchipError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--rows @{redact_text(value[1:])} names no list of rows: {error}"
        ) from error
    if not rows:
        raise UsageError(
            f"--rows @{redact_text(value[1:])}: the file names no rows, so there are none to run."
        )
    return rows


def command_line(context: typer.Context, rows: str) -> str:
    """Return the command of this run, for other rows, as a shell takes it.

    It has the options of the command line. Those from variables of the environment are still there.
    No credentials in addresses are shown.

    Args:
        context: The command as it was called.
        rows: The rows.
    """
    words = context.command_path.split()
    if words[0] == "stacchip":
        words[0] = console.program()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name == "rows":
            continue
        words += _words_of(parameter, context.params.get(parameter.name or ""))
    return shlex.join([*words, "--rows", rows])


def _words_of(parameter: Any, value: Any) -> list[str]:
    """Return a parameter as words of a command line; nothing if its value is not known."""
    if value is None:
        return []
    if parameter.param_type_name == "argument":
        return [redact_text(str(value))]
    if isinstance(value, bool):
        names = parameter.opts if value else parameter.secondary_opts
        return [str(name) for name in names[:1]]
    return [str(parameter.opts[0]), redact_text(str(value))]


def tell_failed(
    context: typer.Context, failed: Iterable[RowReport], keep: str | None, storage: Storage
) -> None:
    """Print each failure once, and how to run the failed rows again; write their list to a file.

    Args:
        context: The command as it was called.
        failed: The rows that failed.
        keep: The file for the list, if one is wanted; it is empty if no row failed.
        storage: Writes it.
    """
    reports = list(failed)
    rows = join_rows(report.number for report in reports)
    for report in reports:
        for error in report.errors:
            console.note(f"{report.title} failed: {error}")
    if reports:
        console.note(f"Run the failed rows again: {command_line(context, rows)}")
    if keep is not None:  # last, since the disk may be full
        storage.write(keep, f"{rows}\n".encode() if rows else b"")
