"""Answers of servers: HTTP as it should not be.

A mutant says what is read, and how each answer differs from a sound one. A server of raw sockets in
the same process gives these answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .answer_mutants import VERBS, mutate_answers
from .answer_server import AnswerServer
from .verdicts import DIFFERS, REFUSED, SAME, TYPED, Verdict, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CONTENT: Final = b"".join(number.to_bytes(4, "big") for number in range(15_000))
"""A file in which each place is known by its bytes."""
_RANGES: Final = [(100, 5000), (20_000, 300), (59_990, 100)]


class Answers:
    """What web servers answer; see `Kind`."""

    name = "answers"
    suffix = ".answers.json"

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._server: AnswerServer | None = None

    def prepare(self, folder: Path) -> None:
        from index.tables import make_table
        from scenes import make_scene
        from stacchip.index import write_index

        scene = make_scene(folder / "scene-1")
        record = json.loads((scene.folder / "item.json").read_text())
        links = [{"rel": "item", "href": "item.json"}, {"rel": "item", "href": "item.json"}]
        collection = {"type": "Collection", "id": "c", "links": links}
        (folder / "item.json").write_text(json.dumps(record))
        (folder / "collection.json").write_text(json.dumps(collection))
        (folder / "red.tif").write_bytes(scene.path("red").read_bytes())
        write_index(make_table(), folder / "index")
        (folder / "data.bin").write_bytes(CONTENT)

    def load(self, folder: Path) -> None:
        import pyarrow.parquet  # noqa: F401 - children find it imported
        import pystac_client
        import rasterio.io  # noqa: F401

        import stacchip.chipper
        import stacchip.index.read
        import stacchip.items.api.client
        import stacchip.raster.reader
        import stacchip.storage.transports.web  # noqa: F401

        assert pystac_client
        self._files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @property
    def sound(self) -> int:
        return len(VERBS)

    def mutant(self, number: int, dice: Random) -> bytes:
        if number < self.sound:
            return json.dumps({"verb": VERBS[number], "answers": []}).encode()
        return json.dumps(mutate_answers(dice)).encode()

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        from stacchip.errors import StacchipError

        said = json.loads(mutant)
        if self._server is None:
            self._server = AnswerServer(self._files)
        address = self._server.begin(said["answers"])
        try:
            found = _READS[said["verb"]](address, _storage())
        except StacchipError as error:
            judging()
            why = f"{said['verb']}: {reason_of(error)}"
            return Verdict(TYPED if said["answers"] else REFUSED, why, str(error))
        finally:
            self._server.end()
        judging()
        if said["verb"] in _EXPECTED and said.get("is_judged", True):
            expected = _EXPECTED[said["verb"]]
            if found != expected:
                shown = (
                    f"{len(found)} {found[:3]!r}... instead of {len(expected)}; {mutant.decode()}"
                )
                return Verdict(DIFFERS, said["verb"], shown[:3000])
        return Verdict(SAME)


def _storage() -> Any:
    from stacchip.storage import Limits, Storage, StorageOptions

    return Storage(
        options=StorageOptions(
            max_attempts=2,
            timeout_s=0.5,
            deadline_s=1.5,
            allow_local=True,
            limits=Limits(file_bytes=32 << 20, document_bytes=8 << 20),
        ),
        sign=None,
    )


def _read_range(address: str, storage: Any) -> Any:
    return bytes(storage.read_range(address + "data.bin", 100, 5000).data)


def _read_ranges(address: str, storage: Any) -> Any:
    return [bytes(part) for part in storage.read_ranges(address + "data.bin", _RANGES)]


def _read_whole(address: str, storage: Any) -> Any:
    return storage.read(address + "data.bin")


def _stat(address: str, storage: Any) -> Any:
    return str(storage.stat(address + "data.bin"))


def _open(address: str, storage: Any) -> Any:
    with storage.open(address + "data.bin") as file:
        file.seek(100)
        start = file.read(1000)
        file.seek(max(0, file.seek(0, 2) - 100))
        return [start, file.read(100)]


def _load_item(address: str, storage: Any) -> Any:
    from stacchip.items import load_items

    return [item.id for item in load_items(address + "item.json", storage=storage)]


def _load_collection(address: str, storage: Any) -> Any:
    from stacchip.items import load_items

    found = load_items(address + "collection.json", storage=storage)
    return [item.id for _, item in zip(range(5), found, strict=False)]


def _search(address: str, storage: Any) -> Any:
    from stacchip.items import search_items

    found = search_items(address + "api", ids=["scene-1"], options=storage.options)
    return [item.id for _, item in zip(range(5), found, strict=False)]


def _read_index(address: str, storage: Any) -> Any:
    from stacchip.index import read_index

    return str(read_index(address + "index", storage=storage).num_rows)


def _read_tiff(address: str, storage: Any) -> Any:
    from stacchip.raster import Window, open_reader

    reader = open_reader(address + "red.tif", storage)
    return reader.read(Window(0, 0, 130, 130)).tobytes()


def _copy(address: str, storage: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        storage.copy(address + "data.bin", place)
        return place.read_bytes()


_READS: Final[dict[str, Any]] = {
    "range": _read_range, "ranges": _read_ranges, "whole": _read_whole, "stat": _stat,
    "open": _open, "item": _load_item, "collection": _load_collection, "search": _search,
    "index": _read_index, "tiff": _read_tiff, "copy": _copy,
}  # fmt: skip
# what is read in ranges must be right, or an error, unless the server lies about all of it
_EXPECTED: Final[dict[str, Any]] = {
    "range": CONTENT[100:5100],
    "ranges": [CONTENT[start : start + length] for start, length in _RANGES],
    "open": [CONTENT[100:1100], CONTENT[-100:]],
}
