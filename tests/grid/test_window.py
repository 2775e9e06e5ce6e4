"""Windows: rectangles of whole pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import UsageError
from stacchip.raster import Window

WINDOWS = st.builds(
    Window, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9)
)


def cells(window: Window | None) -> set[tuple[int, int]]:
    if window is None:
        return set()
    return {
        (row, col)
        for row in range(window.row, window.row_stop)
        for col in range(window.col, window.col_stop)
    }


@given(WINDOWS, WINDOWS)
def test_intersection_is_that_of_the_pixels(one: Window, other: Window) -> None:
    assert cells(one.intersect(other)) == cells(one) & cells(other)
    assert one.contains(other) == (cells(other) <= cells(one))


@settings(deadline=None)  # a busy machine may stop for longer
@given(WINDOWS)
def test_clip_leaves_what_an_array_has(window: Window) -> None:
    array = np.arange(35).reshape(5, 7)
    clipped = window.clip((5, 7))
    if clipped is not None:
        assert array[clipped.slices].shape == clipped.shape
        assert clipped.require_inside((5, 7)) is clipped
    if clipped != window:
        with pytest.raises(UsageError, match="5 x 7"):
            window.require_inside((5, 7))


@pytest.mark.parametrize("shape", [(0, 1), (1, 0), (-1, 5)])
def test_empty_windows_do_not_exist(shape: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="empty"):
        Window(0, 0, *shape)


@given(WINDOWS, st.integers(-5, 5), st.integers(-5, 5))
def test_shift_moves_every_pixel(window: Window, rows: int, cols: int) -> None:
    moved = {(row + rows, col + cols) for row, col in cells(window)}
    assert cells(window.shift(rows, cols)) == moved
