"""An error of the library names options to a person, where a program reads arguments."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.terminal import console
from stacchip.cli.terminal.hints import spell_options
from stacchip.errors import AssetNotFound, UsageError
from stacchip.index import write_index
from stacchip.indexer import NoStatsChipIndexer


def said(message: str, capsys) -> str:
    """What a command with many options says of an error."""

    def command(
        *,
        assets: str | None = None,
        chip_size: int | None = None,
        stats: bool = True,
        pad: Annotated[bool, typer.Option("--pad")] = False,
        skip_signature: Annotated[bool, typer.Option("--skip-signature")] = False,
        unmeasured: str = "drop",
        form: Annotated[str | None, typer.Option("--format")] = None,
    ) -> None:
        raise UsageError(message)

    assert console.run_command(command, "here", []) == 2
    return capsys.readouterr().err.strip().removeprefix("here: ")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Pass assets=[...] to choose others.", "Pass --assets to choose others."),
        ("Name its bands (bands=, --bands).", "Name its bands (--bands)."),
        ("choose one (chip_size=, --chip-size).", "choose one (--chip-size)."),
        ("Give chip_size=512.", "Give --chip-size 512."),
        ("raise max_nodata (--max-nodata)", "raise --max-nodata"),
        ('edge="pad" (--pad) fills them up', "--pad fills them up"),
        ("Pass edge='pad' to have it padded.", "Pass --pad to have it padded."),
        ("(stats=False, --no-stats), or", "(--no-stats), or"),
        ("Pass stats=False.", "Pass --no-stats."),
        ("with --open-files (open_files=True).", "with --open-files."),
        ("header (open_files=True, or --open-files), or", "header (--open-files), or"),
        ("take them (unmeasured='keep').", "take them (--unmeasured keep)."),
        ("choose one (form=, --format).", "choose one (--format)."),
        ("pass skip_signature=True if", "pass --skip-signature if"),
        ("requester-pays bucket requester_pays=True.",
         "requester-pays bucket AWS_REQUEST_PAYER=requester."),
        ("check StorageOptions(endpoint=...).", "check AWS_ENDPOINT_URL."),
        ("StorageOptions(chip_size=4), or --chip-size 4.", "--chip-size 4."),
        ("4 of another size (--chip-size).", "4 of another size (--chip-size)."),
        ("Pass bands=red.", "Pass bands=red."),  # no value of Python's
        ("https://h/a?assets=[...] is", "https://h/a?assets=[...] is"),
        ("raise StorageOptions(max_attempts=...).", "raise StorageOptions(max_attempts=...)."),
        ("data/assets=x.tif is broken", "data/assets=x.tif is broken"),
    ],
)  # fmt: skip
def test_an_argument_is_shown_as_the_option_of_the_command(message, shown, capsys):
    assert said(message, capsys) == shown


@pytest.mark.parametrize("name", ["chip_size=256", "seed=5", "assets=True", "a stats=False"])
@pytest.mark.parametrize(
    "command", ["info {}", "stats --index {}", "prechip --index {} --target o --platform p"]
)
def test_a_path_that_looks_like_advice_stays_as_it_is(name, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([word.format(name) for word in command.split()]) == 1
    assert f"There is no index at {name}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "message",
    ["There is no index at chip_size=256: nothing", "Item 'assets=True' has no asset 'stats=False'",
     "chip_size=256/chips.parquet is broken"],
)  # fmt: skip
def test_a_name_that_looks_like_advice_stays_as_it_is(message, capsys):
    assert said(message, capsys) == message


def test_progress_is_not_spelled(capsys):
    def work(*, seed: int | None = None) -> None:
        with console.progress("Reading", 1) as advance:
            advance("Give seed=5")

    assert console.run_command(work, "here", []) == 0
    assert "Give seed=5" in capsys.readouterr().err


def test_outside_a_command_nothing_is_changed():
    assert spell_options("Pass assets=[...].") == "Pass assets=[...]."


def test_a_chip_without_an_asset_is_answered_in_the_caller_s_language(tmp_path, capsys):
    index = str(tmp_path / "index")
    write_index(NoStatsChipIndexer(make_scene(tmp_path / "scene").item).create_index(), index)
    with pytest.raises(AssetNotFound, match=r"Pass assets=\[\.\.\.\]"):
        Chipper(index, assets=["blue"]).chip(0, 0)
    chip = ["chip", index, "scene-1-0-0", "-o", str(tmp_path / "chip.npy"), "--assets", "blue"]
    assert run(chip) == 1
    error = capsys.readouterr().err
    assert "Pass --assets to choose others." in error
    assert "=[" not in error
