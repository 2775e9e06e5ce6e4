"""Cubes of the chips that a draw takes."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from draws.conftest import drawn_items, large, path, table
from stacchip import Chipper, ChipStream, Draw, Mix
from stacchip.cli import run
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import CubePlan, PlanSettings
from stacchip.cubes.plan_file import write_plan_file
from stacchip.cubes.prechip import Prechip
from stacchip.cubes.sinks import find_cubes
from stacchip.cubes.stored_plan import StoredPlan
from stacchip.errors import ChipNotFound, IndexFormatError, UsageError
from stacchip.index import append_to_index, read_index
from stacchip.indexer import NoStatsChipIndexer
from stream.conftest import make_item

__all__ = ["drawn_items", "large", "path", "table"]

DRAW = Draw(balance="land", chips=250, replace="repeat")


def prechip(index: str | Path, target: Path, draw: Draw | Mix | None, **settings) -> Prechip:
    imagery = Imagery(str(index), "unknown", bands=("red",), max_nodata=None)
    return Prechip(imagery, str(target), PlanSettings(seed=3, cube_size=50, draw=draw, **settings))


def expected(index: str | Path, draw: Draw | Mix) -> Counter:
    stream = ChipStream(index, draw=draw, seed=3, assets=["red"], platform="unknown")
    return Counter(stream.rows().tolist())


@pytest.mark.parametrize("draw", [DRAW, Mix({"land == 'c'": 1, "half == 'left'": 4}, chips=200)])
def test_cubes_hold_the_chips_of_the_first_epoch(path: str, tmp_path: Path, draw) -> None:
    job = prechip(path, tmp_path, draw)
    plan = job.plan()
    assert isinstance(plan, CubePlan)
    rows = np.concatenate([plan.part(number) for number in range(plan.jobs)])
    table = plan.read_rows(rows)
    named = Counter(table["chipid"].to_pylist())
    whole = read_index(path)["chipid"]
    drawn = expected(path, draw)
    assert named == Counter({whole[row].as_py(): times for row, times in drawn.items()})
    reports = [job.run(number, plan) for number in range(plan.jobs)]
    assert sum(report.chips for report in reports) == draw.chips
    again = [job.run(number) for number in range(plan.jobs)]
    assert sum(report.cubes for report in again) == 0, "all cubes are there"
    (record_file,) = tmp_path.rglob("_cubes.json")
    record = json.loads(record_file.read_text())
    assert record["draw"] == json.loads(json.dumps(draw.plain))


def test_a_chip_that_comes_again_has_its_own_pixels(path: str, tmp_path: Path) -> None:
    """Also where the process has seen another item of the same name."""
    changed = NoStatsChipIndexer(make_item(tmp_path / "other", "a", {"red": (10, 64)}).item, 32)
    changed.create_index()
    draw = Draw(weight="1 if item_id == 'a' else 0", chips=900, replace="repeat")
    job = prechip(path, tmp_path / "cubes", draw)
    plan = job.plan()
    rows = plan.rows(0)[2]
    job.run(0, plan)
    cube = find_cubes(job.folder, job.storage).reader.read(2)
    table = plan.read_rows(rows)
    xy = zip(*(table[f"chip_index_{axis}"].to_pylist() for axis in "xy"), strict=True)
    chipper = Chipper(path, assets=["red"])
    pixels = [chipper.chip(x, y, item_id="a")["red"] for x, y in xy]
    np.testing.assert_array_equal(cube["pixels"], np.array(pixels, np.float32))


def test_cubes_of_another_draw_are_refused(path: str, tmp_path: Path) -> None:
    prechip(path, tmp_path, DRAW).run(0)
    for other, said in (
        (None, "draw was {"),
        (Draw(balance="land", chips=250), "draw.replace was 'repeat' and is 'never'"),
        (Draw(balance="half", chips=250, replace="repeat"), "draw.balance was ['land'] and is"),
    ):
        with pytest.raises(UsageError, match=f"made in another way: {re.escape(said)}"):
            prechip(path, tmp_path, other).run(0)


def test_settings_of_numpy_are_kept_as_plain_values(path: str, tmp_path: Path) -> None:
    draw = Draw(
        chips=np.int64(60), by="place", place_km=np.float32(2.5), each_epoch=np.bool_(True),
        power=np.float32(0.5),
    )  # fmt: skip
    prechip(path, tmp_path, draw).run(0)
    assert json.loads(json.dumps(draw.plain))["place_km"] == 2.5
    with pytest.raises(UsageError, match="each_epoch is True or False"):
        Draw(each_epoch="no")
    with pytest.raises(UsageError, match="weight is a column"):
        Draw(weight=3)


def test_all_chips_that_are_chosen_have_one_size(path: str, drawn_items: list) -> None:
    """Also if the draw takes those of one size only."""
    table = read_index(path)
    other = NoStatsChipIndexer(drawn_items[0], 64).create_index().replace_schema_metadata()
    both = pa.concat_tables([table, other], promote_options="default")
    imagery = Imagery(both, "unknown", bands=("red",), max_nodata=None)
    settings = PlanSettings(draw=Draw(weight="1 if chip_size == 32 else 0"))
    with pytest.raises(UsageError, match="chips of 32, 64 pixels"):
        Prechip(imagery, "nowhere", settings).plan()


@pytest.mark.parametrize("draws", [(Draw(), None), (None, Draw())])
def test_a_draw_of_all_chips_is_another_than_none(path: str, tmp_path: Path, draws) -> None:
    first, second = (prechip(path, tmp_path, draw) for draw in draws)
    assert first.plan().fingerprint == second.plan().fingerprint
    first.run(0)
    with pytest.raises(UsageError, match="made in another way: draw was"):
        second.run(0)
    first.run(0)


@pytest.mark.parametrize("which", ["path", "large"])
def test_chips_that_are_not_drawn_are_counted(which: str, request, tmp_path: Path) -> None:
    index = request.getfixturevalue(which)
    for number, replace in enumerate(("never", "repeat")):
        draw = Draw(chips=1000, weight="1 + rank", replace=replace)
        plan = prechip(index, tmp_path / str(number), draw).plan()
        assert plan.chosen - plan.not_drawn == len(expected(index, draw))
        assert plan.counted is None or not plan.counted.left_out
    plan = prechip(index, tmp_path / "all", None).plan()
    assert (plan.not_drawn, plan.chosen) == (0, plan.wanted)


@pytest.mark.parametrize("which", ["path", "large"])
def test_an_index_that_grows_changes_no_draw(which: str, request, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(request.getfixturevalue(which), index)
    table = read_index(index)
    new = table.slice(0, 100).set_column(
        table.schema.get_field_index("item_id"), "item_id", pa.array(["new"] * 100)
    )
    job = prechip(index, tmp_path / "cubes", DRAW)
    before = job.plan()
    job.run(0, before)
    append_to_index(index, new.replace_schema_metadata())
    for after in (job.plan(), job.plan(renew=True)):
        assert after.record() == before.record()
        assert after.part(0).tolist() == before.part(0).tolist()


@pytest.mark.parametrize("which", ["path", "large"])
@pytest.mark.parametrize("draw", [DRAW, Draw(chips=5), Mix({"land == 'a'": 1})])
def test_nothing_to_draw_from_is_explained(which: str, draw, request, tmp_path: Path) -> None:
    imagery = Imagery(
        str(request.getfixturevalue(which)), "unknown", bands=("red",), datetime="1999-01"
    )
    job = Prechip(imagery, str(tmp_path), PlanSettings(draw=draw))
    with pytest.raises(ChipNotFound, match="of other items, periods, places or splits"):
        job.plan()


@pytest.mark.parametrize("name", ["chosen", "not_drawn"])
def test_a_plan_with_odd_numbers_is_damaged(large: Path, tmp_path: Path, name: str) -> None:
    job = prechip(large, tmp_path, DRAW)
    plan = job.plan()
    assert isinstance(plan, StoredPlan)
    seen = job.storage.stat(plan.file.href)
    head = {**plan.file.head, name: "many"}
    write_plan_file(plan.file.href, head, [plan.part(0)], job.storage, expect=seen)
    with pytest.raises(IndexFormatError, match="damaged"):
        job.plan()
    assert job.plan(renew=True).record() == plan.record()


def test_a_draw_of_a_large_index_is_planned_once(large: Path, tmp_path: Path) -> None:
    draw = Draw(balance="land", chips=400_000, replace="repeat")
    job = prechip(large, tmp_path, draw, cubes_per_job=4000)
    plan = job.plan()
    assert isinstance(plan, StoredPlan)
    assert (plan.wanted, plan.chosen) == (400_000, 172_800)
    assert not plan.counted.left_out
    rows = np.concatenate([plan.part(number) for number in range(plan.jobs)])
    assert Counter(rows.tolist()) == expected(large, draw)
    assert job.plan(renew=True).fingerprint == plan.fingerprint
    with pytest.raises(UsageError, match=r"of other settings: draw\.chips was 400000 and is 250"):
        prechip(large, tmp_path, DRAW, cubes_per_job=4000).plan()
    assert prechip(large, tmp_path, DRAW).plan(renew=True).wanted == 250


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (Mix({"naip": 1}, batches="stratified"), "is for training"),
        ("land", "draw is a Draw or a Mix"),
    ],
)
def test_what_cubes_cannot_hold_is_refused(draw, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PlanSettings(draw=draw)


def test_the_command_draws(path: str, tmp_path: Path, capfd, monkeypatch, caplog) -> None:
    caplog.set_level(logging.ERROR)
    monkeypatch.setenv("STACCHIP_CHIPS", "100")
    target = str(tmp_path / "cubes")
    asked = ["prechip", "--index", path, "--platform", "unknown", "-o", target, "--bands", "red"]
    assert run([*asked, "--balance", "land", "--cube-size", "50"]) == 0
    said = capfd.readouterr()
    assert "2 cubes written" in said.out
    told = " ".join(said.err.split())
    assert "100 chips are drawn from 1,728 of 1,728" in told
    assert "left out: 1,628 not drawn (--balance, --weight, --chips)" in told
    assert run([*asked, "--balance", "half", "--cube-size", "50"]) == 2


def test_variables_hold_expressions_with_blanks(path: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("STACCHIP_BALANCE", "floor(rank / 2) ; land")
    monkeypatch.setenv("STACCHIP_WEIGHT", "1 + rank")
    monkeypatch.setenv("STACCHIP_REPEAT", "1")
    target = str(tmp_path / "cubes")
    asked = ["prechip", "--index", path, "--platform", "unknown", "-o", target, "--bands", "red"]
    assert run([*asked, "--chips", "60", "--power", "0.5"]) == 0
    (record,) = tmp_path.rglob("_cubes.json")
    draw = Draw(balance=["floor(rank / 2)", "land"], weight="1 + rank", power=0.5, chips=60,
                replace="repeat")  # fmt: skip
    assert json.loads(record.read_text())["draw"] == draw.plain


@pytest.mark.parametrize("alone", [["--repeat"], ["--power", "0.5"]])
def test_options_without_a_draw_are_refused(alone: list[str], tmp_path: Path, capfd) -> None:
    asked = ["prechip", "--index", "index", "--platform", "naip", "-o", str(tmp_path)]
    assert run([*asked, *alone]) == 2
    assert "Give --balance, --weight or --chips, too." in capfd.readouterr().err


def test_a_table_is_drawn_from_too(table: pa.Table, drawn_items: list, tmp_path: Path) -> None:
    imagery = Imagery(table, "unknown", bands=("red",), max_nodata=None)
    job = Prechip(imagery, str(tmp_path), PlanSettings(seed=3, cube_size=50, draw=DRAW))
    assert job.plan().wanted == 250
