"""`ChipDataset`: any chip by its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.errors import UsageError
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.datasets.labels import Label


class ChipDataset(Dataset[Sample]):
    """The chips of an index, each a dictionary of tensors.

    A `DataLoader` asks for the chips of a batch together, which are then read together: all their
    blocks at the same time, and each once. A chip at random still decodes whole blocks: give the
    `Chipper` caches (`stacchip.raster.cache.Caches`), or train with `ChipStreamDataset`.

    Args:
        index: A `Chipper`, or what one is made of.
        transform: Is given each sample, and gives what the dataset gives.
        label: Where labels come from.
        dtype: Of the pixels; None for that of the files.
        **options: Of `ChipStream` and `Chipper`: `assets`, `memory_bytes`, `storage`, ...

    Raises:
        UsageError: `errors="skip"`: a chip that was asked for has to be there.

    Example:
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> dataset = ChipDataset(NoStatsChipIndexer(item))
        >>> len(dataset)
        16
    """

    def __init__(
        self,
        index: Any,
        *,
        transform: Callable[[Sample], Any] | None = None,
        label: Label | None = None,
        dtype: Any = "float32",
        **options: Any,
    ) -> None:
        if options.get("errors") == "skip":
            raise UsageError(
                "A ChipDataset gives the chip that was asked for, and can skip none: take "
                "ChipStreamDataset(ChipStream(index, errors='skip'))."
            )
        self.stream = ChipStream(index, order="index", dtype=dtype, **options)
        self.transform = transform
        self.label = label

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, number: int) -> Any:
        """One sample; see `stacchip.datasets.samples.to_tensors` for what is in it, without axis 0.

        Raises:
            ChipOutOfRange: Past the end; it is an `IndexError`.
        """
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Any]:
        """Several samples, read together, in the order asked."""
        rows = self.stream.chipper.rows
        asked = [rows.position(int(number)) for number in numbers]
        found: dict[int, Sample] = {}
        for batch in self.stream.take(asked):
            sample = to_tensors(batch, self.label)
            found.update(zip(batch.rows.tolist(), split(sample), strict=True))
        samples = [found[row] for row in asked]
        return samples if self.transform is None else [self.transform(each) for each in samples]
