"""What exists is listed with the names first that may have been meant."""

from __future__ import annotations

from stacchip.runtime.near_names import list_names


def test_names_like_the_wanted_come_first_and_many_are_counted():
    names = [f"other-{number:02}" for number in range(12)] + ["sentinel-2-l2a"]
    listed = list_names(names, near=["sentinel-2"])
    assert listed.startswith("sentinel-2-l2a, other-00, ")
    assert listed.endswith("other-08 and 3 more")


def test_a_name_is_listed_once_and_none_is_lost():
    assert list_names(["b", "a", "b"], near=["b", "a"]) == "b, a"
    assert list_names([]) == ""
