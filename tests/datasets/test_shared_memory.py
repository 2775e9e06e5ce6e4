from __future__ import annotations

import os
import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest

from stacchip.chipper import Chipper
from stacchip.stream import ChipStream
from stream.conftest import index_items

torch = pytest.importorskip("torch", reason="PyTorch is absent: make torch")

from torch.multiprocessing.reductions import reduce_tensor  # noqa: E402 - after the skip
from torch.utils.data import DataLoader, IterableDataset  # noqa: E402 - after the skip

from stacchip.datasets import ChipStreamDataset  # noqa: E402 - needs torch
from stacchip.datasets.shared_memory import (  # noqa: E402 - needs torch
    SharedMemory,
    lend_when_pickled,
)

SHAPE = (4, 2, 8, 8)


@pytest.fixture(autouse=True)
def _lend():
    """Lend as a worker does, and leave PyTorch as it was."""
    lend_when_pickled()
    yield
    ForkingPickler.register(torch.Tensor, reduce_tensor)


def new_pixels(memory: SharedMemory, value: float) -> torch.Tensor:
    array = memory.array(SHAPE, np.dtype("float32"))
    array[:] = value
    return torch.from_numpy(array)


def send(sample):
    return ForkingPickler.loads(ForkingPickler.dumps(sample))


def test_memory_is_used_again_when_it_is_free():
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    place = pixels.data_ptr()
    received = send({"pixels": pixels})
    del pixels
    part = received.pop("pixels")[1, :, 2:]
    assert new_pixels(memory, 2).data_ptr() != place
    assert (part == 1).all()
    del part
    assert place in [pixels.data_ptr() for pixels in (new_pixels(memory, 3), new_pixels(memory, 4))]


@pytest.mark.parametrize("released_inside", [True, False])
def test_memory_received_in_inference_mode_is_used_again(released_inside):
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    place = pixels.data_ptr()
    with torch.inference_mode():
        received = send({"pixels": pixels})
        if released_inside:
            received.clear()
    received.clear()
    del pixels
    assert new_pixels(memory, 2).data_ptr() == place


def test_memory_stays_while_one_of_several_tensors_in_it_is_in_use():
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    received = send({"pixels": pixels, "image": pixels, "first": pixels[:2], "last": pixels[2:]})
    del pixels, received["pixels"]
    again = new_pixels(memory, 2)
    assert (again == 2).all()
    for tensor in received.values():
        assert (tensor == 1).all()


def test_memory_stays_while_a_later_sample_with_an_earlier_tensor_is_in_use():
    memory = SharedMemory()
    kept = new_pixels(memory, 1)
    first = send({"pixels": kept})
    second = send({"pixels": new_pixels(memory, 2), "before": kept})
    first.clear()
    third = send({"pixels": new_pixels(memory, 3), "before": kept})
    del kept, third["before"]
    second.pop("pixels")
    filled = [new_pixels(memory, number) for number in range(4, 8)]
    assert (second["before"] == 1).all()
    assert (third["pixels"] == 3).all()
    assert [int(pixels.max()) for pixels in filled] == [4, 5, 6, 7]


def test_the_tensors_of_a_batch_are_ordinary_ones():
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    for tensor in (pixels, pixels / 2, pixels[1], pickle.loads(pickle.dumps(pixels))):
        assert type(tensor) is torch.Tensor
    assert not pixels.is_shared()  # PyTorch copies it where it is not lent


def test_memory_that_is_dropped_without_being_sent_is_used_again():
    memory = SharedMemory()
    places = {new_pixels(memory, number).data_ptr() for number in range(20)}
    assert len(places) == 1


@pytest.mark.parametrize(
    "pack",
    [lambda it: (it,), lambda it: {"deep": [{"er": it}]}, lambda it: it, lambda it: {"x": it}],
    ids=["tuple", "nested", "alone", "other-name"],
)
def test_memory_is_lent_in_whatever_a_wrapper_makes_of_a_batch(pack):
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    place = pixels.data_ptr()
    received = send(pack(pixels))
    del pixels
    assert all(new_pixels(memory, number).data_ptr() != place for number in range(2, 5))
    while not isinstance(received, torch.Tensor):
        (received,) = received.values() if isinstance(received, dict) else received
    assert (received == 1).all()
    del received
    assert new_pixels(memory, 5).data_ptr() == place


def test_memory_that_pytorch_itself_sends_is_a_copy():
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    place = pixels.data_ptr()
    ForkingPickler.register(torch.Tensor, reduce_tensor)
    received = send({"pixels": pixels, "part": pixels[1:]})
    del pixels
    assert new_pixels(memory, 2).data_ptr() == place
    assert (received["pixels"] == 1).all()
    assert (received["part"] == 1).all()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_memory_stays_when_a_forked_child_is_done_with_it():
    memory = SharedMemory()
    received = send({"pixels": new_pixels(memory, 1)})
    child = os.fork()
    if child == 0:
        received.clear()
        os._exit(0)
    os.waitpid(child, 0)
    new_pixels(memory, 2)
    assert (received["pixels"] == 1).all()


CHANGES = {
    "bfloat16": lambda pixels: pixels.view(torch.bfloat16),
    "requires_grad": lambda pixels: pixels.requires_grad_(),
    "negative": torch._neg_view,
    "conjugate": lambda pixels: torch.view_as_complex(pixels.reshape(-1, 2)).conj(),
    "transposed": lambda pixels: pixels.transpose(-1, -2),
    "sparse": lambda pixels: pixels.to_sparse(),
    "parameter": torch.nn.Parameter,
    "empty": lambda pixels: pixels[:0],
    "list": lambda pixels: [pixels],
    "numpy": lambda pixels: pixels.numpy(),
}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_value_arrives_as_it_was(change):
    memory = SharedMemory()
    pixels = new_pixels(memory, 1)
    pixels += torch.arange(8)
    value = change(pixels)
    expected = change(pixels.clone())
    received = send({"value": value})["value"]
    del value, pixels
    new_pixels(memory, 9)
    if isinstance(expected, list):
        (received,), (expected,) = received, expected
    received, expected = torch.as_tensor(received), torch.as_tensor(expected)
    assert type(received) is type(expected)
    assert received.requires_grad == expected.requires_grad
    assert received.layout == expected.layout
    torch.testing.assert_close(received, expected, rtol=0, atol=0)


class Names:
    """Gives the pixels under several names, with those of the batch before."""

    def __init__(self) -> None:
        self.before = None

    def __call__(self, sample: dict) -> dict:
        before = self.before or sample
        self.before = sample
        pixels = sample["pixels"]
        return {
            "pixels": pixels, "image": pixels, "first": pixels[:2], "row": sample["row"],
            "before": before["pixels"], "row_before": before["row"],
        }  # fmt: skip


def test_what_is_kept_of_a_batch_keeps_its_pixels(archive, tmp_path):
    path = index_items([archive[0].item], tmp_path / "index")
    stream = ChipStream(path, order="shuffle", dtype="float32")
    dataset = ChipStreamDataset(stream, batch_size=8, transform=Names())
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, multiprocessing_context="forkserver"
    )
    kept = []
    for batch in loader:
        for rows, name in (("row", "image"), ("row", "first"), ("row_before", "before")):
            kept.append((batch[rows].tolist(), batch[name]))
        del batch
    chipper = Chipper(path)
    chips = {row: chipper.cut_row(row).array for row in range(144)}
    for rows, pixels in kept:
        for row, each in zip(rows, pixels, strict=False):
            np.testing.assert_array_equal(each, chips[row])


class Wrapping(IterableDataset):
    """Leaves out every second batch, keeps the one before, and gives tensors of its own making."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        before = None
        for number, batch in enumerate(self.dataset):
            if number % 2 == 0:
                pixels = batch["pixels"]
                rows = batch["row"].tolist()
                yield [(rows, pixels), (rows, pixels * 2), *([] if before is None else [before])]
                before = rows, pixels[:3]


def undouble(parts: list) -> list:
    (rows, pixels), (_, doubled), *before = parts
    assert type(pixels) is type(doubled) is torch.Tensor
    return [(rows, pixels), (rows, doubled / 2), *before]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrapping_dataset_and_a_collate_function_get_tensors(archive, tmp_path, workers):
    path = index_items([archive[0].item], tmp_path / "index")
    dataset = ChipStreamDataset(ChipStream(path, order="shuffle", dtype="float32"), batch_size=8)
    loader = DataLoader(
        Wrapping(dataset), batch_size=None, num_workers=workers, collate_fn=undouble,
        multiprocessing_context="forkserver" if workers else None, persistent_workers=workers > 0,
    )  # fmt: skip
    chipper = Chipper(path)
    chips = {row: chipper.cut_row(row).array for row in range(144)}
    for _ in range(2):
        kept = [part for parts in loader for part in parts]
        assert sum(len(rows) for rows, _ in kept) >= 144
        for rows, pixels in kept:
            for row, each in zip(rows, pixels, strict=False):
                np.testing.assert_array_equal(each, chips[row])


def file_of(tensor: torch.Tensor) -> str:
    """Return the inode of a tensor's shared memory; a freed one is not given again."""
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, inode, *_ = line.split()
        first, last = (int(number, 16) for number in span.split("-"))
        if first <= address < last:
            return inode
    raise LookupError(address)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc/*/maps")
def test_a_worker_keeps_its_memory_from_epoch_to_epoch(archive, tmp_path):
    path = index_items([archive[0].item], tmp_path / "index")
    dataset = ChipStreamDataset(ChipStream(path, order="blocks"), batch_size=8)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True, prefetch_factor=1,
        multiprocessing_context="forkserver",
    )  # fmt: skip
    epochs = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        files, count = set(), 0
        for batch in loader:
            files |= {file_of(batch[name]) for name in ("pixels", "valid")}
            count += len(batch["row"])
            del batch
        assert count == 144
        epochs.append(files)
    assert epochs[0] & epochs[1] & epochs[2]
    # pixels and valid: of the batch being filled, of one in the queue and of one in the parent
    assert len(set.union(*epochs)) <= 6


def lies_in_shared_memory(tensor: torch.Tensor) -> bool:
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if first <= address < last:
            return "torch_" in line
    return False


def test_pixels_reach_the_parent_through_shared_memory(nested):
    stream = ChipStream(nested, order="shuffle", dtype="float32")
    dataset = ChipStreamDataset(stream, batch_size=32)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True,
        multiprocessing_context="forkserver",
    )  # fmt: skip
    chipper = Chipper(nested)
    for batch in loader:
        for name in ("pixels", "valid"):
            assert lies_in_shared_memory(batch[name])
    kept = list(loader)
    for batch in kept[::8]:
        for row, pixels in zip(batch["row"].tolist(), batch["pixels"], strict=True):
            np.testing.assert_array_equal(pixels, chipper.cut_row(row).array)
