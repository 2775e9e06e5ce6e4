"""Train a small network on the demo archive, and score it on ground it never saw.

    python examples/train.py [folder]

The script writes the demo archive (generated imagery) to `folder`, or to a temporary folder,
indexes its Sentinel-2-like scene, and splits the chips by place; an archive that is in the folder
already is used. The network learns to predict the classes of the scene classification from four
bands. Each epoch draws chips such that rare classes come more often. The script prints what the
draw gives, chips per second, and the share of pixels of the test chips that are right.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from stacchip import ChipStream, Draw, Split, add_column, add_split, index_items, load_items
from stacchip.datasets import ChipStreamDataset, Label
from stacchip.demo import write_archive

BANDS = ["blue", "green", "red", "nir"]
CLASSES = 12  # in the scene classification
CHIP_SIZE = 64
BATCH_SIZE = 16
EPOCHS = 12
# a scene of 10 km takes small cells; those of 100 km suit archives
SPLIT = Split(train=0.6, val=0, test=0.4, cell_km=2, buffer_km=0.05)
# the test is not balanced: its score is that of the scene as it is
DRAW = Draw(balance="land", power=0.5, replace="repeat")


def prepare(folder: Path) -> Path:
    """Index the archive's Sentinel-2-like scene, and return the folder of the index."""
    archive = folder / "archive"
    paths = sorted(archive.glob("*/*/stac_item.json")) or write_archive(archive, small=True)
    items = [item for path in paths for item in load_items(path)]
    scenes = [item for item in items if "scl" in item.assets]
    index_items(scenes, folder / "index", chip_size=CHIP_SIZE)
    print(add_split(folder / "index", SPLIT, replace=True))
    add_column(folder / "index", find_classes(folder / "index"), "land", replace=True)
    return folder / "index"


def find_classes(index: Path) -> list[int]:
    """Return the class that most pixels of each chip have, row by row."""
    found = {}
    for batch in ChipStream(index, assets=["scl"]).batches(BATCH_SIZE):
        for row, pixels in zip(batch.rows.tolist(), batch.array, strict=True):
            found[row] = int(np.bincount(pixels.ravel()).argmax())
    return [found[row] for row in sorted(found)]


def load(index: Path, split: str) -> tuple[ChipStreamDataset, DataLoader]:
    """Return the chips of a split, and a loader of them."""
    stream = ChipStream(
        index, assets=[*BANDS, "scl"], order="shuffle", seed=1, dtype="float32", split=split,
        draw=DRAW if split == "train" else None,
    )  # fmt: skip
    dataset = ChipStreamDataset(stream, batch_size=BATCH_SIZE, label=Label(asset="scl"))
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver",
        persistent_workers=True,
    )  # fmt: skip
    return dataset, loader


def train(index: Path) -> nn.Module:
    dataset, loader = load(index, "train")
    print(dataset.stream.explain())
    print(dataset.stream.report_draw())
    network = nn.Sequential(
        nn.Conv2d(len(BANDS), 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, CLASSES, 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for epoch in range(EPOCHS):
        dataset.set_epoch(epoch)
        begin, chips, loss_sum = time.perf_counter(), 0, 0.0
        for batch in loader:
            predicted = network(batch["pixels"] / 10_000)
            loss = nn.functional.cross_entropy(predicted, batch["label"][:, 0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            chips += len(batch["chipid"])
            loss_sum += float(loss.detach()) * len(batch["chipid"])
        seconds = time.perf_counter() - begin
        print(
            f"epoch {epoch}: {chips} chips, loss {loss_sum / chips:.3f}, "
            f"{chips / seconds:.0f} chips/s"
        )
    return network


def score(network: nn.Module, index: Path) -> float:
    """Return the share of pixels of the test chips whose class is right."""
    right = pixels = 0
    with torch.no_grad():
        for batch in load(index, "test")[1]:
            predicted = network(batch["pixels"] / 10_000).argmax(1)
            right += int((predicted == batch["label"][:, 0]).sum())
            pixels += predicted.numel()
    return right / pixels


def run(folder: Path) -> None:
    index = prepare(folder)
    print(f"test: {score(train(index), index):.1%} of the pixels are right")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            run(Path(temporary))
