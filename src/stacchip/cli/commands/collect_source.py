"""The command behind the console script of one source: `collect` with the source filled in."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from stacchip.cli.commands.collect import collect
from stacchip.cli.commands.collect_options import options_of
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.collect.recipe import Recipe


def make_command(recipe: Recipe) -> Callable[..., None]:
    """Return the command of a source.

    It works on the row of one job of an array. Without a row it refuses, since it would otherwise
    take the whole layer by accident; `--rows :` asks for all rows.
    """

    def command(**options: Any) -> None:
        if not options["rows"]:
            raise UsageError(
                "Which row? Set AWS_BATCH_JOB_ARRAY_INDEX, or give --rows (numbers and ranges such "
                "as 3,7,12:15, or : for all of them)."
            )
        collect(source=recipe.name, **options)

    options = options_of(recipe, collect)  # typer makes the options from the signature
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = f"{recipe.title}: into a bucket, a row of a sample at a time."
    return command
