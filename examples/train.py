"""Train a small network for two epochs on the demo archive, and print chips a second.

    python examples/train.py [folder]

It writes the demo archive (generated imagery) to `folder`, or to a temporary one, indexes its
Sentinel-2-like scene, and learns to tell the classes of the scene classification from four bands.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from stacchip.datasets import ChipStreamDataset, Label
from stacchip.demo import write_archive
from stacchip.index import write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import Indexer
from stacchip.items import load_items
from stacchip.stream import ChipStream

BANDS = ["blue", "green", "red", "nir"]
CLASSES = 12  # of the scene classification
CHIP_SIZE = 64
BATCH_SIZE = 16
EPOCHS = 2


def prepare(folder: Path) -> Path:
    """The folder of an index of the archive's Sentinel-2-like scene."""
    paths = write_archive(folder / "archive", small=True)
    items = [item for path in paths for item in load_items(path)]
    (item,) = [item for item in items if "scl" in item.assets]
    table = Indexer(item, CHIP_SIZE).create_index()
    write_index(table, folder / "index", headers=gather_headers(item))
    return folder / "index"


def train(index: Path) -> None:
    stream = ChipStream(index, assets=[*BANDS, "scl"], order="shuffle", seed=1, dtype="float32")
    print(stream.explain())
    dataset = ChipStreamDataset(stream, batch_size=BATCH_SIZE, label=Label(asset="scl"))
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver",
        persistent_workers=True,
    )  # fmt: skip
    network = nn.Sequential(
        nn.Conv2d(len(BANDS), 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, CLASSES, 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for epoch in range(EPOCHS):
        dataset.set_epoch(epoch)
        begin, chips, loss_sum = time.perf_counter(), 0, 0.0
        for batch in loader:
            predicted = network(batch["pixels"] / 10_000)
            loss = nn.functional.cross_entropy(predicted, batch["label"][:, 0].long())
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(prepare(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            train(prepare(Path(temporary)))
