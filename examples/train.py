"""Train a small network for two epochs on the demo archive, and print chips per second.

    python examples/train.py [folder]

The script writes the demo archive (generated imagery) to `folder`, or to a temporary folder, and
indexes its Sentinel-2-like scene; an archive that is in the folder already is used. The network
learns to predict the classes of the scene classification from four bands.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from stacchip import ChipStream, index_items, load_items
from stacchip.datasets import ChipStreamDataset, Label
from stacchip.demo import write_archive

BANDS = ["blue", "green", "red", "nir"]
CLASSES = 12  # in the scene classification
CHIP_SIZE = 64
BATCH_SIZE = 16
EPOCHS = 2


def prepare(folder: Path) -> Path:
    """Index the archive's Sentinel-2-like scene, and return the folder of the index."""
    archive = folder / "archive"
    paths = sorted(archive.glob("*/*/stac_item.json")) or write_archive(archive, small=True)
    items = [item for path in paths for item in load_items(path)]
    scenes = [item for item in items if "scl" in item.assets]
    index_items(scenes, folder / "index", chip_size=CHIP_SIZE)
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(prepare(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            train(prepare(Path(temporary)))
