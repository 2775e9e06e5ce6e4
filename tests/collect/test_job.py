from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

import pystac
import pytest

from collect.survey import SURVEY, Survey
from stacchip.collect import job
from stacchip.collect.choice import Chosen
from stacchip.collect.job import Job
from stacchip.collect.recipes.linz import RECIPE
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.errors import IndexReplaced
from stacchip.items import parse_item


def make_item(collection: str) -> pystac.Item:
    item = pystac.Item(
        "quad", None, None, datetime(2024, 1, 1, tzinfo=UTC), {}, collection=collection
    )
    item.add_asset("data", pystac.Asset(f"/nowhere/{collection}.tif"))
    return item


def job_of(tmp_path, *collections: str, platform: str | None) -> Job:
    items = tuple(make_item(collection) for collection in collections)
    recipe = dataclasses.replace(RECIPE, platform=platform, choose=lambda *_: Chosen(items))
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path))
    return Job(recipe, recipe.choices, settings)


def test_two_items_of_one_place_in_the_archive_are_refused(tmp_path):
    job = job_of(tmp_path, "january", "february", platform="basemap")
    (error,) = job.run(Row(0, "a row")).errors
    assert "'quad' (basemap): collection is 'january' and 'february'" in error
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize(
    ("collections", "platform"), [(("january", "february"), None), (("january",) * 2, "basemap")]
)
def test_items_of_their_own_places_are_chosen_each_once(tmp_path, collections, platform):
    job = job_of(tmp_path, *collections, platform=platform)
    chosen = job.choose(Row(0, "a row")).items
    assert [item.collection_id for item in chosen] == list(dict.fromkeys(collections))


@pytest.mark.parametrize("copies", ["threads", "processes"])
def test_rows_that_share_an_item_bring_it_once(copies, tmp_path):
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"))
    job = Job(RECIPE, RECIPE.choices, settings)
    rows = [Row(number, SURVEY) for number in range(4)]
    if copies == "threads":
        with ThreadPoolExecutor(4) as pool:
            reports = list(pool.map(job.run, rows))
    else:
        with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
            reports = list(pool.map(job.run, rows))
    assert [report.errors for report in reports] == [()] * 4
    assert sum(item.files_written for report in reports for item in report.items) == 1
    assert sum(report.there for report in reports) == 3


def test_an_item_of_an_api_is_brought_into_a_folder_without_a_link_to_itself(tmp_path):
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    record = json.loads((survey.folder / "CE17.json").read_text())
    record["assets"]["visual"]["href"] = str(survey.folder / "CE17.tiff")
    item = parse_item(record, origin="https://example.com/stac")
    recipe = dataclasses.replace(RECIPE, converts=False, choose=lambda *_: Chosen((item,)))
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"))
    report = Job(recipe, recipe.choices, settings).run(Row(0, "a row"))
    assert report.errors == ()
    assert report.items[0].chips == 1


@pytest.mark.parametrize("step", ["write_index", "cut_one_chip"])
def test_another_job_that_indexes_the_same_item_costs_nothing(step, tmp_path, monkeypatch):
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"))
    own, calls = getattr(job, step), []

    def come_second(*args, **options):
        calls.append(step)
        if len(calls) == 1:
            raise IndexReplaced("Another writer changed the index.", href="s3://archive")
        return own(*args, **options)

    monkeypatch.setattr(job, step, come_second)
    report = Job(RECIPE, RECIPE.choices, settings).run(Row(0, SURVEY))
    assert report.errors == ()
    assert report.items[0].chips > 0
    assert len(calls) > 1
