"""Options that a stream hands on to the chipper that it makes."""

from __future__ import annotations

import pytest

from stacchip import Chipper, ChipStream
from stacchip.errors import UsageError


def test_an_option_that_neither_stream_nor_chipper_has_is_named(nested):
    for index in (nested, Chipper(nested)):
        with pytest.raises(UsageError, match=r"Neither ChipStream nor Chipper .* batch_size"):
            ChipStream(index, batch_size=4)


def test_options_of_a_chipper_are_refused_beside_one(nested):
    with pytest.raises(UsageError, match="Pass assets to the Chipper"):
        ChipStream(Chipper(nested), assets=["red"])


def test_options_of_a_chipper_reach_the_one_that_is_made(nested):
    assert ChipStream(nested, assets=["red"]).chipper.choice.assets == ("red",)


@pytest.mark.parametrize("dtype", ["2024-01-01", "no type", "U5", object, [("a", "u1")]])
def test_a_type_that_pixels_cannot_have_is_refused(dtype, nested):
    with pytest.raises(UsageError, match="dtype must be"):
        ChipStream(nested, dtype=dtype)
