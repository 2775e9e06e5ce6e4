"""Labels: what a model learns to predict from a chip.

The type of a label depends on its source, not on the batch or on the type of the pixels:

| values | label |
|---|---|
| whole numbers of any width, and booleans | int64 |
| other numbers of any width | float32 |
| anything else: text, dates, lists | a list of Python values |

A function may also return tensors, of any float type and also ones that require gradients. Lists of
numbers must have one length for all chips.

A column is judged as a whole. If it holds numbers with a fraction, a null becomes NaN. If it holds
whole numbers, a null has no value that a loss would take for a gap, so the column is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import torch

from stacchip.errors import UsageError
from stacchip.stream.batch import Apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from stacchip.chipper import Chip
    from stacchip.stream import ChipBatch

_MOST: Final = np.iinfo(np.int64).max
_EMPTY: Final = "an empty list"


@dataclass(frozen=True)
class Label:
    """The source of labels: exactly one of a function, a column and an asset.

    Args:
        function: Returns the label of a `Chip`: a number, array or tensor, of one type and shape
            for all chips. It must be picklable to reach worker processes, so define it in a module.
        column: Name of a column of the index, or of the table that the stream was made from.
        asset: Key of a raster asset. It is cut like a band, but kept out of the pixels: their
            `dtype` does not touch it, and whole numbers stay exact.

    Raises:
        UsageError: None of them was given, or several.

    Example:
        >>> Label(column="cloud_cover_percentage").asset is None
        True
    """

    function: Callable[[Chip], Any] | None = None
    column: str | None = None
    asset: str | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.function, self.column, self.asset) if value is not None]
        if len(given) != 1:
            raise UsageError("Give a Label exactly one of function=, column= and asset=.")

    @property
    def apart(self) -> Apart | None:
        """The label's asset, which a stream cuts in a type of its own; None for other labels."""
        return None if self.asset is None else Apart(self.asset, choose_type)

    def of(self, batch: ChipBatch) -> Any:
        """Return the labels of a batch: a tensor of int64 or float32, or a list.

        Raises:
            UsageError: There is no such column; or its values, or those of the function, are of
                several types.
        """
        if self.function is not None:
            return _from_function(batch, self.function)
        if self.column is not None:
            return _from_column(batch, self.column)
        cut: Any = batch.apart  # the dataset told the stream to cut the asset apart
        return _to_tensor(cut.array, self.asset)


def choose_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the array that holds an asset's labels.

    It holds all values of the file. uint64 becomes int64 later, when the values are known to fit.

    Example:
        >>> [choose_type(np.dtype(name)).name for name in ("uint8", "int32", "float64")]
        ['int64', 'int64', 'float32']
    """
    if dtype.kind == "f":
        return np.dtype(np.float32)
    is_whole = dtype.kind in "bi" or (dtype.kind == "u" and dtype.itemsize < 8)
    return np.dtype(np.int64) if is_whole else dtype


def _to_tensor(values: NDArray[Any], source: Any) -> torch.Tensor:
    """Return numbers as a tensor of int64 or float32.

    Raises:
        UsageError: A number does not fit into int64.
    """
    return torch.from_numpy(np.ascontiguousarray(_to_numbers(values, source)))


def _to_numbers(values: NDArray[Any], source: Any) -> NDArray[Any]:
    """Return numbers as int64 or float32.

    Raises:
        UsageError: A number does not fit into int64.
    """
    if values.dtype == np.uint64:
        if values.size and values.max() > _MOST:
            raise UsageError(
                f"A label of {source} is {values.max()}, which int64 cannot hold: "
                "number the classes anew, from 0."
            )
        values = values.astype(np.int64)
    return values.astype(choose_type(values.dtype), copy=False)


def _from_function(batch: ChipBatch, function: Callable[[Chip], Any]) -> Any:
    values = [function(chip) for chip in batch]
    arrays = [_as_array(value) for value in values]
    name = getattr(function, "__name__", repr(function))
    examples = {_name_kind(array): chip for array, chip in zip(arrays, batch, strict=True)}
    kinds = examples.keys() - {_EMPTY}
    if len(kinds) > 1 or "nothing" in kinds:
        examples.pop(_EMPTY, None)
        raise UsageError(
            f"The label function {name} returns {_say(examples)}: return values of one type for "
            "all chips. float(...) makes one of whole numbers and fractions, and nan stands for no "
            "value."
        )
    if kinds <= {"other values"}:
        return values
    shapes = {array.shape: chip for array, chip in zip(arrays, batch, strict=True)}
    if len(shapes) > 1:
        are_lists = {len(each) for each in shapes} == {1}
        what = "lists of different lengths" if are_lists else "arrays of several shapes"
        raise UsageError(
            f"The label function {name} returns {what}, {_say(shapes)}: return one shape for all "
            "chips."
        )
    # each is converted by itself: numpy would stack int64 and uint64 as float64
    source = f"the function {name}"
    return torch.from_numpy(np.stack([_to_numbers(array, source) for array in arrays]))


def _as_array(value: Any) -> NDArray[Any]:
    """Return a label as an array; one of objects if numpy can make no other of it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        value = value.float() if value.dtype == torch.bfloat16 else value  # which numpy lacks
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # such as lists of several lengths in a list
        array = np.empty((), object)
        array[()] = value
    if isinstance(value, list | tuple) and not array.size:
        return array.astype(object)  # numpy would call it float64, but it has no values
    return array


def _say(examples: Mapping[Any, Chip]) -> str:
    return " and ".join(f"{what} for chip {chip.chipid}" for what, chip in examples.items())


def _name_kind(value: NDArray[Any]) -> str:
    if value.dtype == object and not value.size:
        return _EMPTY
    if value.dtype == object and value.shape == () and value.item() is None:
        return "nothing"
    names = {"b": "whole numbers", "i": "whole numbers", "u": "whole numbers", "f": "fractions"}
    return names.get(value.dtype.kind, "other values")


def _from_column(batch: ChipBatch, name: str) -> Any:
    values = batch.column(name)
    if pa.types.is_dictionary(values.type):  # a way to store values, which are what counts
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _to_tensor(values.cast(pa.float64()).to_numpy(), name)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return values.to_pylist()
    nulls, rows = batch.count_nulls(name)
    if nulls:
        raise UsageError(
            f"The label's column {name!r} holds whole numbers, and {nulls} of its "
            f"{rows} rows hold none. Leave those rows out, fill them with a class of their own "
            "(such as the ignore_index of the loss), or cast the column to float: a null is NaN "
            "then."
        )
    # a copy, because nobody may write to memory of Arrow
    return _to_tensor(values.to_numpy().copy(), name)
