"""Later epochs: chips out of a store, beside decoding the files and beside other formats."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.contender import ContenderError
from benchmarks.epochs import CHIPS, OURS
from benchmarks.measuring import Lab, Row, Samples, at_least, at_most, benchmark
from benchmarks.random_chips import choose_chips, count_requests, write_remote_index
from benchmarks.scene import ASSETS, BANDS, DATA, ITEM_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.contender import Contender

    Ask = Callable[[], Mapping[str, Any]]

REPEATS = 5
_MS_PER_CHIP = 1e3 / CHIPS


def _store_folder(lab: Lab) -> str:
    return str(lab.scratch / "store")


def _fill(lab: Lab, path: str) -> None:
    """Fill the store of the benchmarks once."""
    if not (lab.scratch / "store" / "store.json").exists():
        lab.contender(OURS).ask("epoch", path=path, order="blocks", store_folder=_store_folder(lab))


def _epochs(contender: Contender, task: str, **arguments: Any) -> Ask:
    """Ask for one epoch after another, each with its own shuffle."""
    epochs = iter(range(1, 1000))
    return lambda: contender.ask(task, number=next(epochs), **arguments)


def _require_all_from_store(samples: Samples) -> None:
    for answer in samples.answers:
        found = answer["chips"], answer["from_store"], answer["decoded_blocks"]
        if found != (CHIPS, CHIPS, 0):
            raise ContenderError(f"not {CHIPS} chips from the store without a block: {found}")


def _files_bytes() -> int:
    """Return the bytes of the blocks of full resolution in the scene's files."""
    import tifffile

    total = 0
    for key in ASSETS:
        stem = BANDS[key][0] if key in BANDS else "SCL"
        with tifffile.TiffFile(DATA / ITEM_ID / f"{stem}.tif") as tiff:
            total += sum(tiff.pages.first.databytecounts)
    return total


@benchmark(
    "later-epochs",
    title="A second epoch, from a store, in true random order",
    method=(
        "A first epoch filled a store on local disk, from a server at 30 ms latency. Each sample "
        "is another epoch of all 1764 chips of 11 assets as arrays (64, 11, 256, 256), in one "
        "permutation of all chips, by a process that does nothing else. The server counts "
        "requests. The pixels of 25 chips were compared with the floor's. The floor decodes each "
        "block of the files once, as for the first epoch."
    ),
    unlike=(
        "The store is in the page cache, as the files are for the floor.",
        "The floor does not mix, and writes to the same two areas of memory again and again.",
        "No masks of valid pixels are made (`with_valid=False`), as in the floor.",
    ),
)
def later_epochs(lab: Lab) -> list[Row]:
    path, folder = write_remote_index(lab), _store_folder(lab)
    _fill(lab, path)
    chips = choose_chips()
    ours = lab.contender(OURS).ask(
        "checksum", path=path, chips=chips, order="shuffle", store_folder=folder
    )
    floor = lab.contender("floor").ask("chips", chips=chips)
    if (ours["checksum"], ours["found"]) != (floor["checksum"], len(chips)):
        raise ContenderError("the store and the floor have different pixels")
    before = count_requests(lab)
    streaming, loading = lab.new_contender(OURS), lab.new_contender(OURS)
    samples = lab.in_turn(
        {
            "arrays": _epochs(streaming, "epoch", path=path, order="shuffle", store_folder=folder),
            "loader": _epochs(loading, "loader_epoch", path=path, store_folder=folder),
            "single": lab.question(
                OURS, "store_chips", path=path, chips=chips, store_folder=folder
            ),
            "floor": lab.question("floor", "epoch"),
        },
        repeats=REPEATS,
        warm_ups=1,
    )
    loading.ask("end_loader")
    _require_all_from_store(samples["arrays"])
    size = lab.contender(OURS).ask("store_bytes", store_folder=folder)["bytes"]
    floor_s = samples["floor"].median()
    return [
        samples["arrays"].row(
            "stacchip: second epoch, shuffled", "ms per chip", _MS_PER_CHIP, bar=True
        ),
        samples["loader"].row(
            "stacchip: the same through a DataLoader, 2 workers", "ms per chip", _MS_PER_CHIP,
            bar=True,
        ),
        samples["floor"].row(
            "floor: each block of the files decoded once", "ms per chip", _MS_PER_CHIP, bar=True
        ),
        Row(
            "times the floor of decoding", floor_s / samples["arrays"].median(), "times",
            goal=at_least(2.5),
        ),
        Row(
            "times that floor, through a DataLoader", floor_s / samples["loader"].median(),
            "times", goal=at_least(2.0),
        ),
        samples["single"].row(
            "single random chips, concurrent", "ms per chip", 1e3 / len(chips), goal=at_most(0.6)
        ),
        Row("requests", count_requests(lab) - before, "requests", goal=at_most(0)),
        Row("blocks decoded", samples["arrays"].median("decoded_blocks"), "blocks"),
        Row("bytes of the store", size / 1e6, "MB"),
        Row(
            "share of the files' bytes, without overviews", size / _files_bytes(), "",
            goal=at_most(0.85),
        ),
    ]  # fmt: skip


@benchmark(
    "filling-epoch",
    title='A first epoch that fills a store, 30 ms latency, order "blocks"',
    method=(
        "An epoch without a store and one that fills an empty store take turns, each in a process "
        "of its own that has read an epoch before; the store's folder is deleted in between."
    ),
    unlike=("Writing ends in the page cache.",),
)
def filling_epoch(lab: Lab) -> list[Row]:
    path, folder = write_remote_index(lab), lab.scratch / "filling"
    plain = _epochs(lab.new_contender(OURS), "epoch", path=path, order="blocks")

    def fill() -> Mapping[str, Any]:
        shutil.rmtree(folder, ignore_errors=True)
        contender = lab.new_contender(OURS)
        contender.ask("epoch", path=path, order="blocks")
        answer = contender.ask("epoch", path=path, order="blocks", store_folder=str(folder))
        contender.close()
        return answer

    samples = lab.in_turn({"plain": plain, "filling": fill}, repeats=REPEATS, warm_ups=1)
    shutil.rmtree(folder, ignore_errors=True)
    if set(samples["filling"].values("kept")) != {CHIPS}:
        raise ContenderError("an epoch did not fill the store")
    ratio = samples["filling"].median() / samples["plain"].median()
    return [
        samples["plain"].row("stacchip: first epoch", "ms per chip", _MS_PER_CHIP, bar=True),
        samples["filling"].row(
            "stacchip: first epoch, filling a store", "ms per chip", _MS_PER_CHIP, bar=True
        ),
        Row("times as long while filling", ratio, "times", goal=at_most(1.25)),
    ]


PEERS = ("litdata", "webdataset", "zarr-python", "stacchip, npz cubes")


@benchmark(
    "kept-chips",
    title="Shuffled epochs of chips that are kept locally, beside other formats",
    method=(
        "All contenders have the same 1764 chips of 11 bands on local disk, in the form in which "
        "each was fastest; the module of each in `benchmarks/peers` says what was tried. They take "
        "turns with shuffled epochs in batches (64, 11, 256, 256): in one process, and through a "
        "DataLoader of two workers that stay alive. First epochs do not count."
    ),
    unlike=(
        "Everything is in the page cache.",
        "stacchip mixes all chips. litdata, webdataset and npz cubes mix within windows or shards.",
        "The others have bands of 20 m doubled, as they keep chips of one size.",
    ),
)
def kept_chips(lab: Lab) -> list[Row]:
    path, folder = write_remote_index(lab), _store_folder(lab)
    _fill(lab, path)
    streaming, loading = lab.new_contender(OURS), lab.new_contender(OURS)
    cases: dict[str, Ask] = {
        "stacchip": _epochs(streaming, "epoch", path=path, order="shuffle", store_folder=folder),
        "stacchip, DataLoader": _epochs(loading, "loader_epoch", path=path, store_folder=folder),
    }
    ended = [loading]
    sizes = {"stacchip": lab.contender(OURS).ask("store_bytes", store_folder=folder)["bytes"]}
    for name in lab.available(*PEERS):
        own, item = str(lab.scratch / name.replace(" ", "-")), lab.scene.item()
        contenders = [lab.new_contender(name), lab.new_contender(name)]
        contenders[0].ask("write", item=item, path=own)
        sizes[name] = contenders[0].ask("size", path=own)["bytes"]
        cases[name] = _epochs(contenders[0], "epoch", path=own)
        cases[f"{name}, DataLoader"] = _epochs(contenders[1], "loader_epoch", path=own)
        ended.append(contenders[1])
    samples = lab.in_turn(cases, repeats=REPEATS, warm_ups=1)
    for contender in ended:
        contender.ask("end_loader")
    rows = [each.row(name, "ms per chip", _MS_PER_CHIP, bar=True) for name, each in samples.items()]
    for kind, what in (("", "arrays"), (", DataLoader", "DataLoader")):
        peers = [f"{name}{kind}" for name in sizes if name != "stacchip"]
        if peers:
            fastest = min(peers, key=lambda name: samples[name].median())
            times = samples[fastest].median() / samples[f"stacchip{kind}"].median()
            goal = at_least(2.5)
            rows.append(
                Row(f"times the fastest other ({what})", times, "times", goal, note=fastest)
            )
    rows += [Row(f"bytes of {name}", size / 1e6, "MB") for name, size in sizes.items()]
    return rows
