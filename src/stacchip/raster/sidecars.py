"""Files beside a local image that locate its pixels on no grid, as GDAL finds them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_RPC_ENDS: Final = ("_RPC.TXT", "_rpc.txt", ".RPB", ".rpb")
_AUX_BYTES: Final = 1 << 20


def find_sidecar(image: Path) -> str | None:
    """Return what locates an image in a file beside it, in words; None if there is no such file.

    Args:
        image: A file that nothing inside it locates.
    """
    aux = image.with_name(f"{image.name}.aux.xml")
    metadata = b""
    with suppress(OSError):
        if aux.is_file():  # a FIFO would wait for its writer
            with aux.open("rb") as file:
                metadata = file.read(_AUX_BYTES)
    if b"<GCPList" in metadata:
        return f"ground control points in {aux.name}"
    names = [f"{image.stem}{end}" for end in _RPC_ENDS]
    found = [name for name in names if image.with_name(name).is_file()]
    if b'domain="RPC"' in metadata:
        found = [aux.name]
    return f"rational polynomials (RPCs) in {found[0]}" if found else None
