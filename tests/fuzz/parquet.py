"""Files of an index: damaged, cut off, or written by others with odd values.

A mutant is a line of JSON (which file of the index, and whether its values must stay) before the
bytes of that file. It is read by everything that reads an index, from a folder or over HTTP.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .damage import damage, odd_number
from .json_mutants import HREFS, NUMBERS, TEXTS, mutate_json
from .kinds import weighted
from .verdicts import DIFFERS, REFUSED, SAME, TYPED, Verdict, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_FOLDER: Final = "index"
_SINGLE: Final = "single.parquet"


class Indexes:
    """Files of an index that our writer wrote; see `Kind`."""

    name = "parquet"
    suffix = ".parquet-mutant"

    def __init__(self) -> None:
        self._corpus: dict[str, bytes] = {}
        self._place = Path()
        self._values: dict[str, Any] | None = None
        self._server: Any = None

    def prepare(self, folder: Path) -> None:
        from index.tables import make_header, make_tables
        from scenes import make_scene
        from stacchip.index import concat_indexes, gather_headers, write_index
        from stacchip.indexer import NoStatsChipIndexer

        scene = make_scene(folder / "scene-1")
        own = NoStatsChipIndexer(scene.item).create_index()
        table = concat_indexes([own, *make_tables(5)])
        headers: dict[Any, Any] = dict(gather_headers([scene.item], storage=None))
        headers["item-001"] = {"red": make_header()}
        write_index(table, folder / _FOLDER, headers=headers)
        write_index(own, folder / _SINGLE)

    def load(self, folder: Path) -> None:
        import pyarrow.dataset
        import pyarrow.parquet  # noqa: F401
        import rasterio.io  # noqa: F401
        import tifffile  # noqa: F401

        import servers.range_server  # noqa: F401
        import stacchip.chipper.chipper
        import stacchip.index.files.item_records_lookup
        import stacchip.index.read
        import stacchip.storage.transports.web  # noqa: F401

        self._place = folder
        names = [f"{_FOLDER}/{path.name}" for path in sorted((folder / _FOLDER).iterdir())]
        self._corpus = {name: (folder / name).read_bytes() for name in [*names, _SINGLE]}

    @property
    def sound(self) -> int:
        return len(self._corpus)

    def mutant(self, number: int, dice: Random) -> bytes:
        names = list(self._corpus)
        if number < self.sound:
            return _join(names[number], self._corpus[names[number]], is_judged=True)
        name = dice.choice([each for each in names if each.endswith("parquet")])
        if dice.random() < 0.03:
            name = next(each for each in names if each.endswith(".json"))
        data = self._corpus[name]
        if name.endswith(".json"):
            mutant = mutate_json(json.loads(data), dice)
            return _join(name, mutant, is_judged=False)
        if dice.random() < 0.25:
            return _join(name, _rewrite(data, dice), is_judged=False)
        for _ in range(weighted(dice, {1: 6, 2: 2, 5: 1})):
            data = _damage_parquet(data, dice, list(self._corpus.values()))
        return _join(name, data, is_judged=True)

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        head, _, data = mutant.partition(b"\n")
        said = json.loads(head)
        if self._values is None:
            self._values = {name: self._read(name, self._place) for name in (_FOLDER, _SINGLE)}
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        top = said["file"].split("/")[0]
        if top == _FOLDER:
            shutil.copytree(self._place / _FOLDER, copy / _FOLDER)
        (copy / said["file"]).write_bytes(data)
        found = self._read(top, copy, over_http=len(data) % 4 == 0)
        judging()
        is_sound = data == self._corpus.get(said["file"])
        return _judge(self._values[top], found, is_judged=said["is_judged"], is_sound=is_sound)

    def _read(self, top: str, place: Path, *, over_http: bool = False) -> dict[str, Any]:
        """Return what each reader gives, or its error."""
        from stacchip.errors import StacchipError
        from stacchip.storage import Storage, StorageOptions

        storage = Storage(options=StorageOptions(allow_local=True, max_attempts=1, deadline_s=5))
        where = str(place / top)
        if over_http:
            where = self._serve(place) + top
        found: dict[str, Any] = {}
        for name, read in _READS.items():
            if top == _SINGLE and name in ("records", "lookup"):
                continue
            try:
                found[name] = read(where, storage)
            except StacchipError as error:
                found[name] = error
        return found

    def _serve(self, place: Path) -> str:
        from servers.range_server import RangeServer

        if self._server is None:
            self._server = RangeServer(place)
            self._server.__enter__()
        return str(self._server.url())


def _read_table(where: str, storage: Any) -> Any:
    from stacchip.index import read_index

    return _plain(read_index(where, storage=storage))


def _read_some(where: str, storage: Any) -> Any:
    from stacchip.index import read_index

    columns = ["chipid", "item_id", "datetime"]
    return _plain(
        read_index(where, storage=storage, columns=columns, chip_size=256, max_nodata=0.4)
    )


def _plain(table: Any) -> Any:
    return table.replace_schema_metadata(None)


def _read_records(where: str, storage: Any) -> Any:
    from stacchip.index import read_records

    return [_record(each) for each in read_records(where, storage=storage)]


def _record(each: Any) -> Any:
    headers = {key: header.to_record() for key, header in each.headers.items()}
    return (each.platform, each.item_id, each.item_href, each.item, headers)


def _look_up(where: str, storage: Any) -> Any:
    from stacchip.index.files.item_records_lookup import RecordLookup

    lookup = RecordLookup(where, storage)
    ids = [("sentinel-2-l2a", "item-000"), ("landsat-c2l2-sr", "item-001")]
    return [record and _record(record) for record in (lookup.find(*key) for key in ids)]


def _cut(where: str, storage: Any) -> Any:
    from stacchip.chipper import Chipper

    chipper = Chipper(where, storage=storage, assets=["red", "swir"])
    pixels = chipper.chip(1, 0, item_id="scene-1")
    return {key: array.tobytes() for key, array in pixels.items()}


_READS: Final[dict[str, Any]] = {
    "table": _read_table,
    "some": _read_some,
    "records": _read_records,
    "lookup": _look_up,
    "chip": _cut,
}


def _judge(
    sound: dict[str, Any], found: dict[str, Any], *, is_judged: bool, is_sound: bool
) -> Verdict:
    errors = {name: each for name, each in found.items() if isinstance(each, Exception)}
    if is_sound and errors:
        name, error = next(iter(errors.items()))
        return Verdict(REFUSED, f"{name}: {reason_of(error)}", str(error))
    for name, value in found.items():
        if is_judged and name not in errors and not _equal(value, sound[name]):
            return Verdict(DIFFERS, name, _difference(value, sound[name]))
    if errors:
        name, error = next(iter(errors.items()))
        return Verdict(TYPED, reason_of(error), str(error))
    return Verdict(SAME)


def _equal(one: Any, other: Any) -> bool:
    return bool(one.equals(other)) if hasattr(one, "equals") else bool(one == other)


def _difference(found: Any, sound: Any) -> str:
    """Say where two values differ first."""
    if hasattr(found, "equals"):
        if found.schema != sound.schema or found.num_rows != sound.num_rows:
            return (
                f"{found.num_rows} rows of {found.schema}, not {sound.num_rows} of {sound.schema}"
            )
        name = next(n for n in found.column_names if not found[n].equals(sound[n]))
        found, sound = found[name].to_pylist(), sound[name].to_pylist()
        place = next(
            i for i, pair in enumerate(zip(found, sound, strict=True)) if pair[0] != pair[1]
        )
        return f"{name}, row {place}: {found[place]!r}, not {sound[place]!r}"
    return f"{str(found)[:1500]}\ninstead of\n{str(sound)[:1500]}"


def _join(name: str, data: bytes, *, is_judged: bool) -> bytes:
    return json.dumps({"file": name, "is_judged": is_judged}).encode() + b"\n" + data


def _damage_parquet(data: bytes, dice: Random, others: list[bytes]) -> bytes:
    """Damage pages, the footer, its length or the magic."""
    length = int.from_bytes(data[-8:-4], "little") if len(data) > 12 else 0
    footer = max(4, len(data) - 8 - length)
    part = weighted(dice, {"pages": 4, "footer": 5, "length": 0.5, "end": 0.5, "splice": 0.5})
    if part == "pages":
        return damage(data, dice, 4, footer)
    if part == "footer":
        return _with_length(damage(data, dice, footer, len(data) - 8), len(data), length, dice)
    if part == "length":
        return data[:-8] + (odd_number(dice, len(data)) % 2**32).to_bytes(4, "little") + data[-4:]
    if part == "splice":
        other = dice.choice(others)
        return other[: dice.randrange(len(other))] + data[dice.randrange(len(data)) :]
    return damage(data, dice, max(0, len(data) - 12))


def _with_length(data: bytes, before: int, length: int, dice: Random) -> bytes:
    """Mostly give a footer that grew or shrank its new length, so that it is read."""
    if len(data) == before or data[-4:] != b"PAR1" or dice.random() < 0.3:
        return data
    grown = max(0, length + len(data) - before) % 2**32
    return data[:-8] + grown.to_bytes(4, "little") + b"PAR1"


def _rewrite(data: bytes, dice: Random) -> bytes:
    """Write the table again, as another writer might have: with odd columns and values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    for _ in range(dice.choice((1, 1, 2))):
        try:
            table = _odd_table(table, dice)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError):
            continue
    out = io.BytesIO()
    is_checked = dice.random() < 0.6
    try:
        pq.write_table(table, out, write_page_checksum=is_checked, **_odd_options(table, dice))
    except (pa.ArrowException, OSError):  # a type that does not go with its encoding
        return data
    made = out.getvalue()
    if is_checked or dice.random() < 0.2:
        return made
    length = int.from_bytes(made[-8:-4], "little")
    return damage(made, dice, 4, len(made) - 8 - length)  # no checksum tells it


def _odd_options(table: Any, dice: Random) -> dict[str, Any]:
    """Return options of a writer: how values are encoded, in which pages."""
    import pyarrow as pa

    options: dict[str, Any] = {
        "data_page_version": dice.choice(("1.0", "2.0")),
        "compression": dice.choice(("none", "none", "snappy", "gzip", "zstd", "brotli", "lz4")),
        "data_page_size": dice.choice((100, 1 << 20)),
    }
    if dice.random() < 0.5:
        return options
    encodings = {
        each.name: dice.choice(("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"))
        for each in table.schema
        if pa.types.is_string(each.type) or pa.types.is_binary(each.type)
    }
    return {**options, "use_dictionary": False, "column_encoding": encodings}


def _odd_table(table: Any, dice: Random) -> Any:
    import pyarrow as pa

    at = dice.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at)
    act = dice.choice(("drop", "null", "type", "value", "value", "value", "value", "rows", "double",
                       "meta", "rename"))  # fmt: skip
    if act == "drop":
        return table.remove_column(at)
    if act == "null":
        return table.set_column(at, name, pa.nulls(table.num_rows, column.type))
    if act == "type":
        kind = dice.choice((pa.string(), pa.large_string(), pa.int64(), pa.int8(), pa.float64(),
                            pa.binary(), pa.bool_(), pa.timestamp("ns"), pa.null()))  # fmt: skip
        return table.set_column(at, name, column.cast(kind, safe=False))
    if act == "rows":
        return (
            table.slice(0, dice.choice((0, 1)))
            if dice.random() < 0.5
            else pa.concat_tables([table] * 2)
        )
    if act == "double":
        return table.append_column(name, column)
    if act == "rename":
        return table.rename_columns(
            [each if i != at else "x" for i, each in enumerate(table.column_names)]
        )
    if act == "meta":
        found = dict(table.schema.metadata or {})
        key = dice.choice([*found, b"geo", b"new"])
        found[key] = dice.choice(
            (b"", b"{}", b"[" * 5000, b"\xff", b"null", found.get(key, b"")[:-9])
        )
        return table.replace_schema_metadata(found)
    values = column.to_pylist()
    if not values:
        return table
    place = dice.randrange(len(values))
    values[place] = _odd_cell(values[place], dice)
    return table.set_column(at, name, pa.array(values, column.type))


def _odd_cell(value: Any, dice: Random) -> Any:
    """Return another value for a cell: an odd one, or a mutant of the JSON that it holds."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        return mutate_json(json.loads(value), dice).decode("utf-8", "replace")
    if isinstance(value, str):
        made = dice.choice((*TEXTS, *HREFS))
        return made.encode("utf-8", "replace").decode()
    if isinstance(value, bytes):
        return damage(value, dice)
    if isinstance(value, dict):
        key = dice.choice(list(value))
        return {**value, key: _odd_cell(value[key], dice)}
    if isinstance(value, list | tuple) and value:
        at = dice.randrange(len(value))
        found = [*value[:at], _odd_cell(value[at], dice), *value[at + 1 :]]
        return tuple(found) if isinstance(value, tuple) else found
    if isinstance(value, int | float):
        return type(value)(dice.choice(NUMBERS[:17]))
    return None
