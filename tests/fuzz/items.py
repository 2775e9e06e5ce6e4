"""STAC items: what catalogues say, and what they had better not say.

A mutant is a JSON document. It is loaded as a file and as an object; its items are indexed, and
chips are cut. The files of our own scene lie beside it, so that many mutants reach pixels. No
request leaves this machine: all go to a proxy that is not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .json_mutants import mutate_json
from .verdicts import REFUSED, SAME, TYPED, Verdict, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

_MOST_BYTES: Final = 200_000
_MOST_ITEMS: Final = 3
_MOST_ASSETS: Final = 4  # of a mutant: what is odd in one asset is found with few others, too
_SCENE: Final = "scene-1"
_NOWHERE: Final = "http://127.0.0.1:9"


def stay_here() -> None:
    """Send every request of this process to a proxy that is not there."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = _NOWHERE
    os.environ["AWS_ENDPOINT_URL"] = _NOWHERE
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ.pop("no_proxy", None)
    os.environ.pop("NO_PROXY", None)


class Items:
    """Items of the sources that stacchip knows, and of others; see `Kind`."""

    name = "items"
    suffix = ".json"

    def __init__(self) -> None:
        self._corpus: list[Any] = []
        self._files: list[Path] = []

    def prepare(self, folder: Path) -> None:
        from scenes import make_scene

        shared = Path(os.environ.get("STACCHIP_TEST_DATA", "../shared/data")) / "items"
        for number, path in enumerate(sorted(shared.rglob("*json"))):
            # what cannot be read as it is belongs to the mutants, not to the sound examples
            if path.stat().st_size <= _MOST_BYTES and path.parent.name != "awkward":
                (folder / f"{number:03}.json").write_bytes(path.read_bytes())
        scene = make_scene(folder / _SCENE)
        sources = ("sentinel-2-l2a", "landsat-c2-l2", "naip", "sentinel-1-rtc", "modis-09A1-061")
        for number, source in enumerate((None, *sources)):
            record = json.loads((scene.folder / "item.json").read_text())
            record["collection"] = source
            (folder / f"own{number}.json").write_text(json.dumps(record))

    def load(self, folder: Path) -> None:
        import odc.geo.geobox  # noqa: F401 - children find it imported
        import tifffile  # noqa: F401

        import stacchip.chipper.chipper
        import stacchip.index
        import stacchip.index.write
        import stacchip.indexer
        import stacchip.sources.registry  # noqa: F401

        self._corpus = [json.loads(p.read_bytes()) for p in sorted(folder.glob("*.json"))]
        self._files = sorted((folder / _SCENE).glob("*.tif"))

    @property
    def sound(self) -> int:
        return len(self._corpus)

    def mutant(self, number: int, dice: Random) -> bytes:
        if number < self.sound:
            return json.dumps(self._corpus[number]).encode()
        own = self._corpus[-6:]
        record = dice.choice(own)
        if dice.random() < 0.4:
            record = dice.choice(self._corpus)
            record = _with_few_assets(record, dice, [path.name for path in self._files])
        if dice.random() < 0.05:
            record = {"type": "FeatureCollection", "features": [record, record]}
        return mutate_json(record, dice)

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        stay_here()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in self._files:
            (folder / file.name).symlink_to(file)
        path = folder / "item.json"
        path.write_bytes(mutant)
        errors: list[Exception] = []
        loaded = 0
        for item in _load(path, errors):
            loaded += 1
            _use(item, folder, errors, is_written=len(mutant) % 3 == 0)
        judging()
        is_sound = False
        with contextlib.suppress(ValueError, RecursionError):
            is_sound = json.loads(mutant) in self._corpus
        if is_sound and not loaded:
            return Verdict(REFUSED, reason_of(errors[0]), str(errors[0]))
        return Verdict(TYPED, reason_of(errors[0]), str(errors[0])) if errors else Verdict(SAME)


def _load(path: Path, errors: list[Exception]) -> Iterator[Any]:
    """Yield the items of a file; then those of the same document as an object."""
    from stacchip.errors import StacchipError
    from stacchip.items import load_items

    sources: list[Any] = [str(path)]
    with contextlib.suppress(ValueError, RecursionError):
        sources.append(json.loads(path.read_bytes()))
    for source in sources:
        try:
            found = load_items(source, storage=_storage())
            for number, item in enumerate(found):
                # what is the same by both ways is used once
                if number < _MOST_ITEMS and source is sources[0]:
                    yield item
        except StacchipError as error:
            errors.append(error)


def _storage() -> Any:
    from stacchip.storage import Storage, StorageOptions

    options = StorageOptions(max_attempts=1, deadline_s=2, timeout_s=1, region="us-west-2",
                             skip_signature=True)  # fmt: skip
    return Storage(options=options, sign=None)


def _with_few_assets(record: Any, dice: Random, files: list[str]) -> Any:
    """Return an item with some of its assets, often with files that are there."""
    assets = record.get("assets") if isinstance(record, dict) else None
    if not isinstance(assets, dict):
        return record
    kept = {key: dict(assets[key]) for key in dice.sample(list(assets), len(assets))[:_MOST_ASSETS]}
    if dice.random() < 0.5:
        for asset in kept.values():
            asset["href"] = dice.choice(files)
    return {**record, "assets": kept}


def _use(item: Any, folder: Path, errors: list[Exception], *, is_written: bool) -> None:
    """Do with an item whatever can be done; keep the typed errors."""
    from stacchip.chipper import Chipper
    from stacchip.errors import StacchipError
    from stacchip.index import read_index, write_index
    from stacchip.indexer import Indexer, NoStatsChipIndexer
    from stacchip.items import read_assets, reference_asset
    from stacchip.sources import find_source

    def attempt(do: Callable[[], Any]) -> Any:
        try:
            return do()
        except StacchipError as error:
            errors.append(error)
            return None

    storage = _storage()
    infos = attempt(lambda: read_assets(item))
    attempt(lambda: reference_asset(item, infos))
    attempt(lambda: find_source(item))
    table = attempt(lambda: NoStatsChipIndexer(item, storage=storage).create_index())
    if table is None or not table.num_rows:
        return
    attempt(lambda: Chipper(table, storage=storage).cut_row(0))
    if table.num_rows > 5000 or not is_written:
        return
    attempt(lambda: Indexer(item, storage=storage).create_index())
    attempt(lambda: write_index(table, folder / "index"))
    attempt(lambda: read_index(folder / "index"))
    attempt(lambda: Chipper(folder / "index", storage=storage).cut_row(table.num_rows - 1))
