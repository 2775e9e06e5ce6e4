"""The fuzzer itself: it finds what is planted, and a mutant can be had again.

Each test runs it in a process of its own, since it forks, and the process of the tests has threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.damage import damage
from fuzz.json_mutants import mutate_json
from fuzz.kinds import dice_of
from fuzz.planted import EXPECTED, EXPECTED_OF_TIFFS
from fuzz.tiff_structure import Form, append_directory

TESTS = Path(__file__).parents[1]


def run(
    module: str, *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=200,
        env={**os.environ, "PYTHONPATH": paths},
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = run("fuzz.planted")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", EXPECTED)
def test_what_is_planted_in_a_process_gets_its_verdict(what, found):
    assert found[what] == EXPECTED[what]


@pytest.mark.parametrize("what", EXPECTED_OF_TIFFS)
def test_what_is_planted_in_a_reader_gets_its_verdict(what, found):
    assert found[what] == EXPECTED_OF_TIFFS[what]


def test_damage_is_the_same_for_the_same_seed_and_number():
    data = bytes(range(256)) * 4
    made = [damage(data, dice_of("tiff", 1, number)) for number in range(50)]
    assert made == [damage(data, dice_of("tiff", 1, number)) for number in range(50)]
    assert len(set(made)) > 45
    assert made != [damage(data, dice_of("tiff", 2, number)) for number in range(50)]


def test_documents_that_are_deep_or_hold_nothing_have_mutants_too():
    deep = json.loads("[" * 400 + "]" * 400)
    for number in range(200):
        for record in (deep, {}, "text", 1):
            assert isinstance(mutate_json(record, dice_of("items", 1, number)), bytes)


def test_a_directory_of_many_overlapping_values_is_not_written_out():
    form = Form("<", is_big=False)
    with pytest.raises(ValueError, match="share"):
        append_directory(bytes(1 << 20), form, [(256, 1, 1 << 20, bytes(1 << 20))] * 6, 4, 0)


def test_sound_files_are_read_and_the_table_counts_them(tmp_path):
    done = run("fuzz", "--kind", "tiff", "--count", "20", "--seed", "1", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    kind, mutants, _, same = done.stdout.splitlines()[2].split()
    assert (kind, mutants, same) == ("tiff", "20", "20")
    assert not list(tmp_path.iterdir())
