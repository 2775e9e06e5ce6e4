"""What every command of ours is to typer: common options, plain help, advice that names options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from stacchip.cli.terminal.common_options import common_options
from stacchip.cli.terminal.help_pages import help_style, lay_out
from stacchip.cli.terminal.hints import Spelling, spellings

if TYPE_CHECKING:
    _Function = TypeVar("_Function", bound=Callable[..., Any])

HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"]}


class _Common:
    """What commands and groups of commands have in common; both mix it with a class of typer."""

    params: list[Any]
    rich_markup_mode: Any

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*self.params, *common_options()]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; advice is spelled with its options from now on."""
        spellings.set(Spelling.of(self.params, ctx.params))
        typers: Any = super()
        return typers.invoke(ctx)

    def get_help(self, ctx: Any) -> str:
        """Return the help page: typer's tables on a wide terminal, else plain text."""
        typers: Any = super()
        page: str = lay_out(self, ctx) if self.rich_markup_mode is None else typers.get_help(ctx)
        return page


class Command(_Common, TyperCommand):
    """A command."""


class CommandGroup(_Common, TyperGroup):
    """Several commands, chosen by name."""


class CommandLine(typer.Typer):
    """Commands of ours: `typer.Typer` with our classes and settings.

    Example:
        >>> app = CommandLine()
        >>> @app.command()
        ... def look() -> None: ...
        >>> [option.name for option in typer.main.get_command(app).params]
        ['verbose', 'progress', 'version']
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            cls=CommandGroup,
            add_completion=False,
            rich_markup_mode=help_style(),
            pretty_exceptions_enable=False,
            context_settings=HELP_OPTIONS,
            **settings,
        )

    def command(
        self,
        name: str | None = None,
        *,
        cls: type[TyperCommand] | None = Command,
        **settings: Any,
    ) -> Callable[[_Function], _Function]:
        """Return a decorator that adds a function as a command."""
        settings = {"context_settings": HELP_OPTIONS, **settings}
        return super().command(name, cls=cls, **settings)
