"""Options that say which chips are drawn, and how often: those of `stacchip.Draw`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from stacchip.cli.added_options import add_options
from stacchip.draws import Draw
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.draws.draw import By

__all__ = ["JobBalance", "JobChips", "JobPower", "JobRepeat", "JobWeight", "make_draw", "with_draw"]


def _weight(envvar: str | None = None) -> Any:
    return typer.Option(
        "--weight", envvar=envvar,
        help="Column or expression that says how likely a chip is: \"1 - cloud_cover_percentage\".",
    )  # fmt: skip


def _balance(envvar: str | None = None) -> Any:
    return typer.Option(
        "--balance",
        envvar=envvar,
        callback=_read_balance,
        help='Column or expression whose classes get equal shares: "month(datetime)"; repeatable.',
    )


def _read_balance(
    context: typer.Context, parameter: typer.CallbackParam, given: list[str] | None
) -> list[str] | None:
    """Return the columns and expressions of `--balance`, or of its variable.

    Typer splits a variable at blanks, which expressions have, too.
    """
    source = context.get_parameter_source(str(parameter.name))
    if source is None or source.name != "ENVIRONMENT":
        return given
    return [each.strip() for each in " ".join(given or ()).split(";") if each.strip()]


def _power(envvar: str | None = None) -> Any:
    return typer.Option(
        "--power", envvar=envvar, min=0, max=1,
        help="How far classes are balanced: 1 fully, 0 not at all.",
    )  # fmt: skip


def _chips(envvar: str | None = None) -> Any:
    return typer.Option(
        "--chips", envvar=envvar, min=1,
        help="Number of chips to draw; by default as many as the balance allows.",
    )  # fmt: skip


def _repeat(envvar: str | None = None) -> Any:
    return typer.Option(
        "--repeat", envvar=envvar, help="Let chips come again where a class has too few."
    )


JobWeight = Annotated[str | None, _weight("STACCHIP_WEIGHT")]
JobBalance = Annotated[list[str] | None, _balance("STACCHIP_BALANCE")]
JobPower = Annotated[float, _power("STACCHIP_POWER")]
JobChips = Annotated[int | None, _chips("STACCHIP_CHIPS")]
JobRepeat = Annotated[bool, _repeat("STACCHIP_REPEAT")]

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "weight": (Annotated[str | None, _weight()], None),
    "balance": (Annotated[list[str] | None, _balance()], None),
    "power": (Annotated[float, _power()], 1.0),
    "chips": (Annotated[int | None, _chips()], None),
    "repeat": (Annotated[bool, _repeat()], False),
    "by": (
        Annotated[
            str, typer.Option(help="What is drawn together: a chip alone, an area, or a place.")
        ],
        "chip",
    ),
}


def with_draw(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a draw to a command, which takes it as its argument `draw`."""
    return add_options("draw", _OPTIONS, _make_always)(command)


def make_draw(
    *,
    weight: str | None,
    balance: Sequence[str] | None,
    power: float,
    chips: int | None,
    repeat: bool,
) -> Draw | None:
    """Return the draw that options ask for; None if none does.

    Raises:
        UsageError: `--power` or `--repeat` is given, and nothing to draw by.
    """
    if weight is None and not balance and chips is None:
        if repeat or power != 1:
            raise UsageError(
                "--power and --repeat say how chips are drawn, and nothing else asks for a draw. "
                "Give --balance, --weight or --chips, too."
            )
        return None
    return _make_always(
        weight=weight, balance=balance, power=power, chips=chips, repeat=repeat, by="chip"
    )


def _make_always(
    *,
    weight: str | None,
    balance: Sequence[str] | None,
    power: float,
    chips: int | None,
    repeat: bool,
    by: str,
) -> Draw:
    return Draw(
        weight=weight, balance=tuple(balance or ()), power=power, chips=chips,
        replace="repeat" if repeat else "never", by=cast("By", by),
    )  # fmt: skip
