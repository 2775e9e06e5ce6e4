"""Options that are added to a command, which gets one value made of them."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["add_options"]


def add_options(
    argument: str, options: Mapping[str, tuple[Any, Any]], make: Callable[..., Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator of commands that adds options, and makes one argument of them.

    Args:
        argument: The argument of the command that takes what is made.
        options: The options: the type that typer reads, and the default, by name.
        make: Makes the argument; it takes the values of the options by name.
    """
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def make_and_run(**given: Any) -> None:
            made = make(**{each.name: given.pop(each.name) for each in added})
            command(**given, **{argument: made})

        own = inspect.signature(command, eval_str=True).parameters.values()
        shown = [*(each for each in own if each.name != argument), *added]
        # typer makes the options from these
        make_and_run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        make_and_run.__annotations__ = {each.name: each.annotation for each in shown}
        return make_and_run

    return decorate
