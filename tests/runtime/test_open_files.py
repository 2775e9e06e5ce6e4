"""How many files a reader keeps open follows from what the process may."""

from __future__ import annotations

import resource

import pytest

from stacchip.runtime.open_files import most_open_files


@pytest.mark.parametrize(("allowed", "most"), [(256, 64), (1024, 128)])
def test_a_reader_keeps_an_eighth_open_or_64(allowed: int, most: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, before[1]))
        assert most_open_files() == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
