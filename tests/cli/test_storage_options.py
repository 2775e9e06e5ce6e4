"""The options that reach stores have one home; a command says which of them it has."""

from __future__ import annotations

import pytest
from typer.main import get_command

from stacchip.cli.app import app
from stacchip.cli.options import with_storage
from stacchip.cli.terminal import console
from stacchip.storage import Storage

ALL = ["endpoint", "region", "skip_signature", "requester_pays", "identity"]


def test_a_command_gets_a_storage_of_its_options(capsys):
    @with_storage()
    def command(*, name: str = "red", storage: Storage) -> None:
        chosen = storage.options
        console.say(f"{name} {chosen.endpoint} {chosen.skip_signature} {chosen.identity}")

    options = ["--endpoint", "http://127.0.0.1:9", "--skip-signature", "--identity", "size"]
    assert console.run_command(command, "here", ["--name", "nir", *options]) == 0
    assert capsys.readouterr().out == "nir http://127.0.0.1:9 True size\n"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("index", ALL), ("headers", ALL), ("chip", ALL), ("preview", ALL),
        ("merge", ALL[:4]), ("info", ALL[:3]), ("list", ALL[:3]), ("remove", ALL[:2]),
    ],
)  # fmt: skip
def test_each_command_has_the_options_that_it_needs(command, options):
    names = [each.name for each in get_command(app).commands[command].params]
    assert [name for name in names if name in ALL] == options
    assert "storage" not in names
