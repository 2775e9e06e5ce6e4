"""Limits on what comes from outside."""

import pickle

import pytest

from stacchip.errors import LimitExceeded, UsageError
from stacchip.storage import Limits, StorageOptions


def test_an_impossible_limit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Limits\.chips must be more than 0"):
        Limits(chips=0)


def test_the_error_names_the_limit_its_value_and_the_remedy() -> None:
    error = Limits(chips=7).exceeded("chips", "Item 'a' has 8 chips")
    assert isinstance(error, LimitExceeded)
    assert error.limit == "chips"
    assert str(error).startswith("Item 'a' has 8 chips, and the limit 'chips' is 7.")
    assert "Limits(chips=...)" in str(error)
    assert pickle.loads(pickle.dumps(error)).limit == "chips"


def test_options_carry_their_limits() -> None:
    assert StorageOptions().limits == Limits()
    assert StorageOptions(limits=Limits(chips=7)).limits.chips == 7
    assert not StorageOptions().allow_local
