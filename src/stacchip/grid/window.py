"""Windows: rectangles of whole pixels."""

from __future__ import annotations

from dataclasses import dataclass

from stacchip.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels of a raster.

    Attributes:
        row: The first row, counted from the top; negative if the window begins above a raster.
        col: The first column, counted from the left.
        height: Number of rows, at least one.
        width: Number of columns, at least one.

    Example:
        >>> window = Window(row=10, col=20, height=256, width=128)
        >>> window.shape, window.row_stop, window.col_stop
        ((256, 128), 266, 148)
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise UsageError(f"{self!r} is empty: height and width must be at least 1.")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.height, self.width)

    @property
    def row_stop(self) -> int:
        """The row after the last."""
        return self.row + self.height

    @property
    def col_stop(self) -> int:
        """The column after the last."""
        return self.col + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The slices that cut this window out of the last two axes of an array.

        Example:
            >>> import numpy as np
            >>> np.arange(12).reshape(3, 4)[Window(1, 2, 2, 2).slices]
            array([[ 6,  7],
                   [10, 11]])
        """
        return slice(self.row, self.row_stop), slice(self.col, self.col_stop)

    def intersect(self, other: Window) -> Window | None:
        """Return the pixels that both windows hold; None if they share none.

        Example:
            >>> Window(0, 0, 4, 4).intersect(Window(2, 3, 4, 4))
            Window(row=2, col=3, height=2, width=1)
            >>> Window(0, 0, 4, 4).intersect(Window(4, 0, 1, 1)) is None
            True
        """
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row_stop, other.row_stop) - row
        width = min(self.col_stop, other.col_stop) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None

    def clip(self, shape: tuple[int, int]) -> Window | None:
        """Return the part of this window inside a raster of `shape` (height, width), or None."""
        return self.intersect(Window(0, 0, *shape))

    def contains(self, other: Window) -> bool:
        """Return whether this window holds every pixel of `other`."""
        return (
            self.row <= other.row
            and self.col <= other.col
            and self.row_stop >= other.row_stop
            and self.col_stop >= other.col_stop
        )

    def shift(self, rows: int, cols: int) -> Window:
        """Return the window moved by `rows` down and `cols` to the right."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)

    def require_inside(self, shape: tuple[int, int]) -> Window:
        """Return this window if a raster of `shape` (height, width) holds all of it.

        Raises:
            UsageError: A part of it lies outside. Clip it first: pixels are never invented.
        """
        if not Window(0, 0, *shape).contains(self):
            raise UsageError(
                f"{self!r} leaves the raster of {shape[0]} x {shape[1]} pixels (height x width). "
                "Clip it with Window.clip(shape), and pad what is missing."
            )
        return self
