"""What fuzzing has found stays mended: the mutants are tried as they were when they were found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuzz.found import files_of
from fuzz.kinds import NAMES
from fuzz.test_fuzzer import run
from fuzz.verdicts import SOUND

MUTANTS = [f"{kind}/{path.name}" for kind in NAMES for path in files_of(kind)]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Any]:
    done = run("fuzz.found")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_that_once_showed_a_fault_shows_none(mutant, verdicts):
    verdict, reason = verdicts[mutant]
    assert verdict in SOUND, reason
