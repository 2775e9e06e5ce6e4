"""Faults planted on purpose, to try the fuzzer itself: each must get its verdict.

Run as a program, it tries them all and prints their verdicts as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import CorruptBlock, NotARaster

from .campaign import replay
from .children import Bounds, Children, share_arenas
from .kinds import dice_of
from .verdicts import (
    CRASH,
    DIFFERS,
    FOREIGN,
    HANG,
    MEMORY,
    REFUSED,
    SAME,
    STRICTER,
    TYPED,
    UNJUDGED,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

EXPECTED: Final = {
    "reads": SAME,
    "raises a typed error": TYPED,
    "raises KeyError": FOREIGN,
    "raises MemoryError": MEMORY,
    "kills itself": CRASH,
    "ends the process": CRASH,
    "loops": HANG,
    "eats memory": MEMORY,
    "kills itself while it is judged": UNJUDGED,
    "loops while it is judged": UNJUDGED,
}
"""What a reader does, and the verdict that it must get."""

EXPECTED_OF_TIFFS: Final = {
    "reads as it should": SAME,
    "gives zeros": DIFFERS,
    "gives another type": DIFFERS,
    "says that all is valid": DIFFERS,
    "refuses a sound file": REFUSED,
    "refuses a damaged file": STRICTER,
    "fails at a window": FOREIGN,
    "reads a broken file": DIFFERS,
}


class Planted:
    """A kind whose mutants say what shall happen."""

    name = "planted"
    suffix = ".txt"
    sound = 0

    def mutant(self, number: int, dice: Random) -> bytes:
        return list(EXPECTED)[max(number, 0)].encode()

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        what = mutant.decode()
        if what.endswith("while it is judged"):
            judging()
        if what.startswith("kills"):
            os.kill(os.getpid(), 11)
        elif what == "ends the process":
            os._exit(0)
        elif what.startswith("loops"):
            while True:
                pass
        elif what == "eats memory":
            eaten = [bytearray(1 << 24) for _ in range(1000)]
            return Verdict(SAME, str(len(eaten)))
        elif what.startswith("raises"):
            raise {
                "raises a typed error": NotARaster("no raster"),
                "raises KeyError": KeyError("no key"),
                "raises MemoryError": MemoryError(),
            }[what]
        return Verdict(SAME)


@dataclass
class _Wrong:
    """A reader of stacchip with one fault."""

    reader: Any
    what: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def read(self, window: Any, bands: Any = None) -> Any:
        if self.what == "fails at a window":
            raise IndexError("no such row")
        if self.what == "reads a broken file":
            return np.ones((len(bands), *window.shape), "uint8")
        pixels = self.reader.read(window, bands)
        if self.what == "gives zeros":
            return np.zeros_like(pixels)
        return pixels.astype("float32") if self.what == "gives another type" else pixels

    def read_valid(self, window: Any, bands: Any = None) -> Any:
        if self.what == "says that all is valid":
            return np.ones(window.shape, np.bool_)
        return self.reader.read_valid(window, bands)


def _opener(what: str) -> Callable[..., Any]:
    def open_wrong(href: str, storage: Any, **options: Any) -> Any:
        from stacchip.raster import open_reader

        if what.startswith("refuses"):
            raise CorruptBlock("no")
        return _Wrong(open_reader(href, storage, **options), what)

    return open_wrong


def _write_tiff(path: Path, *, is_broken: bool) -> None:
    import rasterio

    pixels = np.arange(1, 33 * 40 + 1, dtype="uint32").reshape(1, 33, 40) % 200
    form = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", width=40, height=33, count=1, dtype="uint8",
                       crs="EPSG:32629", nodata=0, **form) as dataset:  # fmt: skip
        dataset.write(pixels.astype("uint8"))
    if is_broken:
        data = path.read_bytes()
        path.write_bytes(data[:-300])


def _verdicts_on_tiffs(folder: Path) -> dict[str, str]:
    import warnings

    from .tiff import Tiffs

    warnings.simplefilter("ignore")
    (folder / "corpus").mkdir()
    pid = os.fork()
    if not pid:
        _write_tiff(folder / "corpus" / "000.tif", is_broken=False)
        _write_tiff(folder / "broken.tif", is_broken=True)
        os._exit(0)
    os.waitpid(pid, 0)
    sound = (folder / "corpus" / "000.tif").read_bytes()
    found = {}
    for what in EXPECTED_OF_TIFFS:
        kind = Tiffs(_opener(what))
        kind.load(folder / "corpus")
        mutant = sound
        if what == "reads a broken file":
            mutant = (folder / "broken.tif").read_bytes()
        elif what == "refuses a damaged file":
            mutant += b"\0"
        found[what] = replay(kind, mutant).name
    return found


def main() -> None:
    share_arenas()
    kind = Planted()
    bounds = Bounds(memory_bytes=256 << 20, seconds=3.0)
    children = Children(kind, lambda n: kind.mutant(n, dice_of(kind.name, 0, n)), bounds)
    names = list(EXPECTED)
    found = {names[n]: verdict.name for n, verdict in children.try_all(range(len(names)))}
    with tempfile.TemporaryDirectory() as folder:
        found |= _verdicts_on_tiffs(Path(folder))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
