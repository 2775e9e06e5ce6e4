"""The options that say how far to trust what comes from outside."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from stacchip.cli.options import make_storage
from stacchip.cli.terminal import console
from stacchip.cli.trust import parse_limits
from stacchip.collect.recipes import get_recipe
from stacchip.collect.settings import Settings
from stacchip.errors import StacchipError, UsageError
from stacchip.storage import Limits


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (None, Limits()),
        ("", Limits()),
        ("chips=5", Limits(chips=5)),
        ("block_bytes=1GiB,chips=5", Limits(block_bytes=2**30, chips=5)),
        ("file_bytes = 3 MB ,", Limits(file_bytes=3 << 20)),
        ("document_bytes=7k", Limits(document_bytes=7 << 10)),
        ("document_bytes=7B", Limits(document_bytes=7)),
    ],
)
def test_limits_are_names_and_sizes(text: str | None, limits: Limits) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize("text", ["chips", "chips=", "chips=-1", "chips=many", "cats=5", "5"])
def test_what_is_no_limit_is_refused_with_the_names_that_exist(text: str) -> None:
    with pytest.raises(UsageError, match=r"The limits are block_bytes, .*\bchips\b"):
        parse_limits(text)


def test_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 0"):
        parse_limits("chips=0")


def test_a_commands_storage_has_them() -> None:
    options = make_storage(limits="chips=5", allow_local=True).options_for("https://a.org/b.tif")
    assert options.limits.chips == 5
    assert options.allow_local


def test_every_place_of_a_collection_has_them() -> None:
    settings = Settings("s3://bucket", limits=Limits(chips=5), allow_local=True)
    storage = settings.open_storage(get_recipe("landsat"))
    places = "s3://bucket/a", "s3://usgs-landsat/a", "https://a.org/b.tif"
    found = [storage.options_for(place) for place in places]
    assert [each.limits.chips for each in found] == [5, 5, 5]
    assert all(each.allow_local for each in found)


def said(error: StacchipError, capsys: pytest.CaptureFixture[str]) -> str:
    def command(
        *,
        limits: Annotated[str | None, typer.Option("--limits")] = None,
        allow_local: Annotated[bool, typer.Option("--allow-local")] = False,
    ) -> None:
        raise error

    console.run_command(command, "here", [])
    return " ".join(capsys.readouterr().err.split())


def test_a_command_names_the_option_that_raises_a_limit(capsys) -> None:
    error = Limits(chips=7).exceeded("chips", "Item 'a' has 8 chips")
    assert said(error, capsys).endswith("raise it: --limits chips=SIZE.")


def test_a_command_names_the_option_that_allows_local_files(capsys) -> None:
    error = UsageError("Pass StorageOptions(allow_local=True).")
    assert said(error, capsys) == "here: Pass --allow-local."
