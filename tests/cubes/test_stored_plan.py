"""The plan of a large index is made once; jobs read their rows, and nothing else of the index."""

from __future__ import annotations

import contextlib
import logging
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kills import files_of
from stacchip.chipper.stored_rows import StoredRows
from stacchip.cli import run
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.left_out import ChipCount, count_left_out
from stacchip.cubes.plan import CubePlan, PlanSettings
from stacchip.cubes.planner import Planner
from stacchip.cubes.prechip import Prechip
from stacchip.cubes.stored_plan import StoredPlan
from stacchip.errors import (
    AssetChanged,
    ChipNotFound,
    IndexFormatError,
    IndexReplaced,
    UsageError,
)
from stacchip.index import (
    append_to_index,
    compact_index,
    on_disk,
    read_index,
    read_records,
    write_index,
)
from stacchip.index.on_disk import StoredIndex
from stacchip.statistics.measure import index_statistics
from stacchip.storage import Storage
from stacchip.stream import ChipStream
from stream.conftest import index_items, make_item

PLATFORM = "unknown"
SETTINGS = {"seed": 3, "cube_size": 500, "cubes_per_job": 2}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two items of 57,600 chips of 8 px, of which some are cloudy and some have no place."""
    folder = tmp_path_factory.mktemp("large")
    items = [make_item(folder / name, name, {"red": (10, 1920)}).item for name in "ab"]
    path = index_items(items, folder / "plain", chip_size=8)
    table = read_index(path)
    numbers = np.arange(table.num_rows)
    shares = {
        "cloud_cover_percentage": pa.array((numbers % 10) / 10, pa.float32()),
        "nodata_percentage": pa.array(
            np.where(numbers % 7 == 0, np.nan, (numbers % 3) / 20), pa.float32(), from_pandas=True
        ),
        "bbox": pc.if_else(pa.array(numbers % 1000 == 5), None, table["bbox"]),
    }
    for name, column in shares.items():
        table = table.set_column(table.schema.get_field_index(name), table.field(name), column)
    write_index(table, folder / "index", items=[each.item for each in read_records(path)])
    return str(folder / "index")


@pytest.fixture(scope="module")
def table(index: str) -> pa.Table:
    return read_index(index)


def run_of(index, target: Path, *, limits: dict | None = None, **settings) -> Prechip:
    imagery = Imagery(index, PLATFORM, bands=("red",), **(limits or {}))
    return Prechip(imagery, str(target), PlanSettings(**{**SETTINGS, **settings}))


def plan_path(target: Path) -> Path:
    return target / f"mode_v1_chipper_v2/{PLATFORM}/_cubes.plan"


LIMITS = [
    ({}, "keep"),
    ({"max_nodata": None, "max_cloud": None}, "drop"),
    ({"max_nodata": None, "max_cloud": 0.45, "item_id": ("b",)}, "drop"),
    ({"max_nodata": 0.05, "unmeasured": "keep"}, "keep"),
]


@pytest.mark.parametrize(("limits", "last_cube"), LIMITS)
def test_it_is_the_plan_of_a_table_in_memory(index, table, tmp_path, limits, last_cube) -> None:
    options = {"limits": limits, "last_cube": last_cube}
    plan = run_of(index, tmp_path, **options).plan()
    expected = run_of(table, tmp_path, **options).plan()
    assert isinstance(plan, StoredPlan)
    assert isinstance(expected, CubePlan)
    assert plan.record() == expected.record()
    assert plan.wanted == expected.wanted
    whole = table["chipid"].to_pylist()
    for job in (0, 3, plan.jobs - 1, plan.jobs):
        cubes, others = plan.rows(job), expected.rows(job)
        assert cubes.keys() == others.keys()
        for number, rows in cubes.items():
            ids = expected.read_rows(others[number])["chipid"].to_pylist()
            assert [whole[row] for row in rows] == ids
    assert plan.rows(plan.jobs) == {}


def test_jobs_go_on_with_cubes_of_a_table_and_make_the_same(index, table, tmp_path) -> None:
    runs = [run_of(each, tmp_path / name) for each, name in ((table, "table"), (index, "index"))]
    for each in runs:
        each.run(1)
    ours, theirs = files_of(tmp_path / "index"), files_of(tmp_path / "table")
    folder = f"mode_v1_chipper_v2/{PLATFORM}"
    assert ours.keys() - theirs.keys() == {f"{folder}/_cubes.plan"}
    differing = {name for name in theirs if theirs[name] != ours[name]}
    assert differing == {f"{folder}/_cubes.json"}, "only the index names its files"
    report = run_of(index, tmp_path / "table").run(1)
    assert (report.cubes, report.cubes_there) == (0, 2)


def test_it_is_made_once_and_a_job_reads_its_rows_alone(index, tmp_path, monkeypatch) -> None:
    job = run_of(index, tmp_path)
    made = job.plan()

    def fail(*_, **__):
        raise AssertionError("the index is scanned")

    monkeypatch.setattr(Planner, "_make", fail)
    monkeypatch.setattr(StoredIndex, "scan_numbered", fail)
    monkeypatch.setattr(StoredIndex, "read", fail)
    taken: list[int] = []
    take = StoredIndex.take

    def count(self, rows, columns):
        taken.append(len(rows))
        return take(self, rows, columns)

    monkeypatch.setattr(StoredIndex, "take", count)
    assert job.run(2).cubes == 2
    assert taken == [1000]
    again = pickle.loads(pickle.dumps(made))
    assert {n: rows.tolist() for n, rows in again.rows(5).items()} == {
        n: rows.tolist() for n, rows in made.rows(5).items()
    }


def test_a_stream_gives_the_parts_of_its_sequence_one_after_another(index, table) -> None:
    for order in ("shuffle", "blocks", "index"):
        stream = ChipStream(index, order=order, seed=1, memory_bytes=64 << 20, max_cloud=0.3)
        parts = list(stream.rows_in_parts(3000, 20_500))
        assert [len(part) for part in parts] == [3000] * 6 + [2500]
        for number, part in enumerate(parts):
            between = stream.rows_between(number * 3000, number * 3000 + len(part))
            assert part.tolist() == between.tolist()
        assert len({*np.concatenate(parts).tolist()}) == 20_500
        whole = np.concatenate(list(stream.rows_in_parts(7000)))
        assert (
            sorted(whole.tolist())
            == np.flatnonzero(
                pc.less_equal(table["cloud_cover_percentage"], pa.scalar(0.3, pa.float32()))
            ).tolist()
        )


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("seed", {"seed": 4}),
        ("cubes_per_job", {"cubes_per_job": 3}),
        ("last_cube", {"last_cube": "drop"}),
        ("max_cloud", {"limits": {"max_cloud": 0.5}}),
        ("item_id", {"limits": {"item_id": ("a",)}}),
    ],
)
def test_a_plan_of_other_settings_is_refused_or_made_anew(index, tmp_path, named, options) -> None:
    run_of(index, tmp_path).plan()
    other = run_of(index, tmp_path, **options)
    with pytest.raises(UsageError, match=rf"of other settings: {named} was .* prechip --plan"):
        other.run(0)
    assert other.plan(renew=True).jobs
    assert other.run(0).cubes
    with pytest.raises(UsageError, match=named):
        run_of(index, tmp_path).run(0)
    before = plan_path(tmp_path).read_bytes()
    if named in ("seed", "cubes_per_job"):
        with pytest.raises(UsageError, match=f"made in another way: {named}"):
            run_of(index, tmp_path).plan(renew=True)
        assert plan_path(tmp_path).read_bytes() == before, "the cubes that are there keep theirs"


def test_the_same_settings_in_other_values_have_the_same_plan(index, tmp_path) -> None:
    limits = {"item_id": ("b", "a"), "datetime": date(2024, 5, 1), "max_cloud": np.float64(0.5)}
    plan = run_of(index, tmp_path, limits=limits, seed=np.int64(3)).plan()
    limits = {"item_id": ["a", "b", "a"], "datetime": "2024-05-01", "max_cloud": 0.5}
    again = run_of(index, tmp_path, limits=limits)
    assert again.plan().fingerprint == plan.fingerprint
    assert again.run(0).cubes
    other = run_of(index, tmp_path, limits={**limits, "item_id": ["a"]})
    with pytest.raises(UsageError, match="item_id was"):
        other.plan()


def test_a_plan_of_an_index_that_was_replaced_is_refused(index, tmp_path) -> None:
    table = read_index(index)
    write_index(table, tmp_path / "index")
    job = run_of(tmp_path / "index", tmp_path / "cubes")
    job.run(0)
    write_index(table.slice(0, 60_000), tmp_path / "index")
    with pytest.raises(IndexReplaced, match="prechip --plan"):
        job.run(1)
    with pytest.raises(UsageError, match="made in another way: chips was"):
        job.plan(renew=True)
    fresh = run_of(tmp_path / "index", tmp_path / "others")
    fresh.plan()
    write_index(table, tmp_path / "index")
    assert fresh.plan(renew=True).wanted == job.plan(renew=True).wanted


def test_jobs_go_on_with_the_chips_that_were_planned_when_the_index_grows(
    index, tmp_path, caplog
) -> None:
    folder = tmp_path / "index"
    table = read_index(index)
    write_index(table.slice(0, 60_000), folder)
    job = run_of(folder, tmp_path / "cubes", limits={"max_nodata": None})
    before = job.plan()
    append_to_index(folder, table.slice(60_000))
    job.run(1)
    again = job.plan()
    assert again.record() == before.record()
    assert again.rows(1)[2].tolist() == before.rows(1)[2].tolist()
    path = plan_path(tmp_path / "cubes")
    planned = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert job.plan(renew=True).record() == before.record()
    assert "are in none of these cubes" in caplog.text
    path.unlink()
    assert job.run(2).cubes == 2
    assert path.read_bytes() == planned, "a lost plan is made anew of the chips that were planned"
    path.write_bytes(planned[:-1] + b"?")
    job.plan(renew=True)
    assert path.read_bytes() == planned
    grown = run_of(folder, tmp_path / "others", limits={"max_nodata": None}).plan()
    assert grown.wanted > before.wanted


def test_a_new_plan_has_the_chips_of_an_index_that_grew_before_there_were_cubes(
    index, tmp_path
) -> None:
    folder = tmp_path / "index"
    table = read_index(index)
    write_index(table.slice(0, 60_000), folder)
    job = run_of(folder, tmp_path / "cubes")
    before = job.plan()
    append_to_index(folder, table.slice(60_000))
    assert job.plan().fingerprint == before.fingerprint
    after = job.plan(renew=True)
    assert after.wanted == run_of(index, tmp_path / "others").plan().wanted > before.wanted
    assert job.plan().fingerprint == after.fingerprint


def test_a_plan_holds_when_an_append_makes_the_index_one_of_many_files(
    index, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "index"
    table = read_index(index)
    write_index(table.slice(0, 60_000), folder)
    job = run_of(folder, tmp_path / "cubes")
    before = job.plan()
    for part in (table.slice(60_000, 10), table.slice(60_010)):
        append_to_index(folder, part)
    monkeypatch.setattr(on_disk, "most_open_files", lambda: 2)
    assert StoredIndex.open(folder, Storage()) is None
    assert isinstance(job.plan(), StoredPlan)
    job.run(0)
    plan_path(tmp_path / "cubes").unlink()
    assert job.plan(renew=True).record() == before.record()


def test_a_plan_of_an_index_that_was_compacted_is_refused(index, tmp_path) -> None:
    folder = tmp_path / "index"
    table = read_index(index)
    write_index(table.slice(0, 60_000), folder)
    job = run_of(folder, tmp_path / "cubes")
    job.run(0)
    append_to_index(folder, table.slice(60_000))
    compact_index(folder)
    with pytest.raises(IndexReplaced, match=r"compacted .* another target"):
        job.run(1)
    with pytest.raises(UsageError, match=r"made in another way.* another target"):
        job.plan(renew=True)


@pytest.mark.parametrize("is_small", [True, False])
def test_cubes_of_a_small_index_go_on_when_it_grows(index, tmp_path, is_small) -> None:
    folder = tmp_path / "index"
    table = read_index(index)
    write_index(table.slice(0, 2000), folder)
    job = run_of(folder, tmp_path / "cubes", limits={"max_nodata": None}, cube_size=50)
    before = job.plan()
    assert isinstance(before, CubePlan)
    job.run(0)
    append_to_index(folder, table.slice(2000, 3000 if is_small else None))
    for renew in (True, False):
        after = job.plan(renew=renew)
        assert after.record() == before.record()
        assert {n: rows.tolist() for n, rows in after.rows(1).items()} == {
            n: rows.tolist() for n, rows in before.rows(1).items()
        }
    assert sum(job.run(each).cubes for each in range(after.jobs)) == after.cubes - 2
    count = count_left_out(job.imagery, Storage(), after.state.rows)
    assert count == ChipCount(2000, {"no_place": 2})
    compact_index(folder)
    with pytest.raises(UsageError, match=r"made in another way.* another target"):
        job.run(0)


def test_a_plan_of_an_index_that_became_small_is_removed(index, tmp_path) -> None:
    table = read_index(index)
    write_index(table, tmp_path / "index")
    job = run_of(tmp_path / "index", tmp_path / "cubes")
    job.plan()
    shutil.rmtree(tmp_path / "index")
    write_index(table.slice(0, 2000), tmp_path / "index")
    with pytest.raises(IndexReplaced, match="prechip --plan"):
        job.plan()
    plan = job.plan(renew=True)
    assert isinstance(plan, CubePlan)
    assert not plan_path(tmp_path / "cubes").exists()
    assert job.plan().record() == plan.record()


def test_a_damaged_plan_is_refused_or_made_anew(index, tmp_path) -> None:
    job = run_of(index, tmp_path)
    job.plan()
    path = plan_path(tmp_path)
    whole = path.read_bytes()
    for place in (20, len(whole) - 3):
        path.write_bytes(whole[:place] + b"?" + whole[place + 1 :])
        with pytest.raises(IndexFormatError, match="prechip --plan"):
            job.run(job.plan().jobs - 1)
        job.plan(renew=True)
        assert path.read_bytes() == whole
    for damaged in (whole[:20], whole[:-200]):
        path.write_bytes(damaged)
        job.plan(renew=True)
        assert path.read_bytes() == whole
    path.unlink()
    job.run(0)
    assert path.read_bytes() == whole, "a job makes the plan that it does not find"


def test_jobs_that_begin_at_once_make_the_same_plan(index, tmp_path) -> None:
    with ThreadPoolExecutor(3) as pool:
        plans = list(pool.map(lambda _: run_of(index, tmp_path).plan(), range(3)))
    assert {tuple(plan.rows(7)[14].tolist()) for plan in plans} == {
        tuple(plans[0].rows(7)[14].tolist())
    }
    assert [path.name for path in plan_path(tmp_path).parent.iterdir()] == ["_cubes.plan"]


class Meanwhile(Storage):
    """Something else happens once, just after a file was looked for.

    Args:
        name: The end of the file's address.
        change: What happens.
    """

    def __init__(self, name: str, change: Callable[[], object]) -> None:
        super().__init__()
        self.name, self.changes = name, [change]

    def read(self, href, **options):
        with self._then(href):
            return super().read(href, **options)

    def read_range(self, href, *args, **options):
        with self._then(href):
            return super().read_range(href, *args, **options)

    @contextlib.contextmanager
    def _then(self, href):
        try:
            yield
        finally:
            if str(href).endswith(self.name) and self.changes:
                self.changes.pop()()


def test_the_first_plan_stays_when_the_index_grows_while_others_plan(index, tmp_path) -> None:
    folder, table = tmp_path / "index", read_index(index)
    write_index(table.slice(0, 60_000), folder)
    first = run_of(folder, tmp_path / "cubes", limits={"max_nodata": None})
    made = []

    def plan_and_grow() -> None:
        made.append(first.plan())
        append_to_index(folder, table.slice(60_000))

    second = replace(first, storage=Meanwhile("_cubes.plan", plan_and_grow))
    plan = second.plan()
    assert plan.record() == made[0].record()
    first.run(0, made[0])
    second.run(1)
    assert second.run(0).cubes_there == 2


def test_a_plan_that_is_gone_leaves_no_record(index, tmp_path) -> None:
    job = run_of(index, tmp_path)
    plan = job.plan()
    path = plan_path(tmp_path)
    path.unlink()
    with pytest.raises(AssetChanged, match="run the job again"):
        job.run(0, plan)
    run_of(index, tmp_path, seed=9).plan()
    with pytest.raises(AssetChanged, match="run the job again"):
        job.run(0, plan)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert run_of(index, tmp_path, seed=9).run(0).cubes


def test_the_first_record_stays_when_another_job_writes_its_own(index, tmp_path) -> None:
    other = run_of(read_index(index), tmp_path, seed=4)
    job = replace(
        run_of(read_index(index), tmp_path), storage=Meanwhile("_cubes.json", lambda: other.run(0))
    )
    with pytest.raises(UsageError, match="made in another way: seed was 4"):
        job.run(0)
    assert other.run(0).cubes_there == 2


def test_chips_that_cannot_be_planned_are_refused_as_of_a_table(index, table, tmp_path) -> None:
    for each in (index, table):
        with pytest.raises(ChipNotFound, match="no chip of platform 'naip'"):
            Prechip(Imagery(each, "naip"), str(tmp_path)).plan()
        with pytest.raises(ChipNotFound, match="is within these limits"):
            run_of(each, tmp_path, limits={"chip_size": 99}).plan()
    assert not plan_path(tmp_path).exists()


def test_the_command_plans_once_and_says_what_is_taken(index, tmp_path, capsys, caplog) -> None:
    asked = [
        "prechip", "--index", index, "--platform", PLATFORM, "--target", str(tmp_path),
        "--bands", "red", "--cube-size", "500", "--cubes-per-job", "2",
    ]  # fmt: skip
    with caplog.at_level(logging.INFO):
        assert run([*asked, "--plan"]) == 0
    planned = capsys.readouterr()
    assert "chips in" in planned.out
    assert plan_path(tmp_path).exists()
    assert [path.name for path in plan_path(tmp_path).parent.iterdir()] == ["_cubes.plan"]
    assert run([*asked, "--job", "4"]) == 0
    done = capsys.readouterr()
    assert "job 4 of" in done.out
    notes = [
        [line for line in said.err.splitlines() if line.startswith(f"{PLATFORM}: ")]
        for said in (planned, done)
    ]
    assert notes[0] == notes[1]
    assert "whose nodata was not measured" in notes[0][-1]
    assert run([*asked, "--job", "4", "--seed", "9"]) == 2
    assert "prechip --plan" in " ".join(capsys.readouterr().err.split())
    assert run([*asked, "--plan", "--seed", "9"]) == 2, "there are cubes"


@pytest.mark.parametrize("max_chips", [None, 1_000_000])
def test_statistics_of_a_large_index_leave_its_rows_on_disk(
    index, table, monkeypatch, max_chips
) -> None:
    limits = {"max_cloud": 0.05, "item_id": ("b",), "max_nodata": 0.04, "datetime": "2024"}
    monkeypatch.setattr(StoredRows, "table", property(lambda _: pytest.fail("all rows are read")))
    monkeypatch.setattr(Imagery, "draw", lambda *_: pytest.fail("all rows are drawn"))
    both = [
        index_statistics(
            Imagery(each, PLATFORM, bands=("red",), **limits), Storage(), max_chips=most
        )
        for each, most in ((index, max_chips), (table, None))
    ]
    assert both[0].chips == both[1].chips > 1000
    assert both[0].bands[0].moments == both[1].bands[0].moments
    assert both[0].sample.left_out == both[1].sample.left_out
