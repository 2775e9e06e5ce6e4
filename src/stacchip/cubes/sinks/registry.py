"""The forms of cubes by name, for writing and for reading.

A third party adds a form by a call, `register_form(form)`, or by an entry point of its package,
which works without an import:

```toml
[project.entry-points."stacchip.sinks"]
safetensors = "my_package.cubes:SAFETENSORS"
```

The entry point names a `CubeForm`, or an iterable of them.
"""

from __future__ import annotations

from stacchip.cubes.sinks.form import CubeForm
from stacchip.cubes.sinks.npz import NPZ, NPZ_UNCOMPRESSED
from stacchip.cubes.sinks.webdataset import WEBDATASET
from stacchip.cubes.sinks.zarr import ZARR
from stacchip.errors import UsageError
from stacchip.runtime.registry import Registry

ENTRY_POINT_GROUP = "stacchip.sinks"
BUILT_IN = (NPZ, NPZ_UNCOMPRESSED, WEBDATASET, ZARR)

_REGISTRY = Registry(
    CubeForm,
    "stacchip.cubes.sinks.CubeForm",
    BUILT_IN,
    group=ENTRY_POINT_GROUP,
    error=UsageError,
)


def register_form(form: CubeForm, *, replace: bool = False) -> None:
    """Add a form to `Prechip`, `find_cubes` and the commands, in this process.

    A `Prechip` carries the name of its form. Workers that start fresh (Dask, spawn, forkserver)
    find the form by its entry point, or if a module that they import registers it.

    Args:
        form: The form. Registering the same form again does nothing.
        replace: Take the place of another form of the same name.

    Raises:
        UsageError: Another form has that name and `replace` is False, or an installed entry point
            is broken.

    Example:
        >>> register_form(get_form("npz"))
    """
    _REGISTRY.register(form, replace=replace)


def list_forms() -> tuple[CubeForm, ...]:
    """Return every known form, the latest registered last.

    Raises:
        UsageError: An installed entry point is broken, or takes the name of another form.

    Example:
        >>> [form.name for form in list_forms()]
        ['npz', 'npz-uncompressed', 'webdataset', 'zarr']
    """
    return _REGISTRY.all()


def get_form(name: str) -> CubeForm:
    """Return the form of a name.

    Raises:
        UsageError: There is no such form, or an installed entry point is broken.

    Example:
        >>> get_form("hdf5")
        Traceback (most recent call last):
        stacchip.errors.UsageError: Cubes are npz, npz-uncompressed, webdataset, zarr, not 'hdf5'...
    """
    form = _REGISTRY.find(name)
    if form is None:
        names = ", ".join(each.name for each in list_forms())
        raise UsageError(
            f"Cubes are {names}, not {name!r}. A package adds a form with "
            "stacchip.cubes.sinks.register_form."
        )
    return form
