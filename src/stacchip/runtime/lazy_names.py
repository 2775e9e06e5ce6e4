"""Names that a package offers without having loaded them (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def offer_lazily(
    package: str, homes: Mapping[str, Iterable[str]], extras: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package that loads names when they are first used.

    A package imports the same names for type checkers, and hides the call from them: they would
    take any name for one that is loaded.

    ```python
    if TYPE_CHECKING:
        from package.module import Name

    if not TYPE_CHECKING:
        __getattr__, __dir__ = offer_lazily(__name__, {"module": ["Name"]})
    ```

    Args:
        package: Name of the package. Its `__all__` says what `dir` and completion list.
        homes: The names by the module that has them; modules are named as below the package.
        extras: The extra of stacchip that installs a distribution, by the module that a user may
            lack. The error of a missing one says so.

    Example:
        >>> load, names = offer_lazily("stacchip.cubes", {"plan": ["CubePlan"]})
        >>> load("CubePlan").__module__
        'stacchip.cubes.plan'
        >>> names()[:2]
        ['Cube', 'CubeFolder']
    """
    home = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f"{package}.{home[name]}"), name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            extra = (extras or {}).get(missing)
            if extra is None:
                raise
            raise ModuleNotFoundError(
                f"{package}.{name} needs {missing}, which is not installed: "
                f"pip install 'stacchip[{extra}]'.",
                name=missing,
            ) from error
        setattr(sys.modules[package], name, value)  # from now on, it is found without this call
        return value

    def list_names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return load, list_names
