"""`ChipDataset`: any chip by its number."""

from __future__ import annotations

from collections import defaultdict, deque
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

    A `DataLoader` asks for the chips of a batch together. They are then read together: all blocks
    at the same time, and each block once. A chip drawn at random still decodes whole blocks.
    So give the `Chipper` caches (`stacchip.raster.cache.Caches`), or train with
    `ChipStreamDataset`.

    Args:
        index: A `Chipper`, or anything that a `Chipper` can be made from.
        transform: Called with each sample; the dataset gives what it returns.
        label: Gives a sample its label.
        dtype: Type of the pixels; None for that of the files. float32 is the default, because
            PyTorch lacks most operations on uint16, the type of most imagery.
        **options: Options of `ChipStream` and `Chipper`, and filters: `assets`, `memory_bytes`,
            `storage`, `max_cloud`, `bbox`, ... Chips are numbered without those left out.

    Raises:
        UsageError: `errors="skip"` was given; a dataset by number cannot leave a chip out.

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
                "A ChipDataset gives chips by number and cannot skip any: use "
                "ChipStreamDataset(ChipStream(index, errors='skip'))."
            )
        self.stream = ChipStream(index, order="index", dtype=dtype, **options)
        self.transform = transform
        self.label = label
        self._cut_label_apart()

    def _cut_label_apart(self) -> None:
        self.stream.cut_apart(None if self.label is None else self.label.apart)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cut_label_apart()  # streams in older pickles do not know that they should

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, number: int) -> Any:
        """Return one sample, with the keys of `stacchip.datasets.samples.to_tensors`.

        The tensors have no axis for chips.

        Raises:
            ChipOutOfRange: The number is past the end. It is an `IndexError`.
        """
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Any]:
        """Return several samples, read together, in the order of the numbers.

        A number that comes twice gives two samples, which share no memory.
        """
        asked = self.stream.rows_at(numbers).tolist()
        found: defaultdict[int, deque[Sample]] = defaultdict(deque)
        for batch in self.stream.take(asked):
            sample = to_tensors(batch, self.label)
            for row, each in zip(batch.rows.tolist(), split(sample), strict=True):
                found[row].append(each)
        samples = [found[row].popleft() for row in asked]
        return samples if self.transform is None else [self.transform(each) for each in samples]
