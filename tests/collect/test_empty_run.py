"""Why a run found nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from collect.memory_catalogue import MemoryCatalogue, make_item
from items.stac_api import StacApi
from stacchip.collect.catalogue import OnlineCatalogue
from stacchip.collect.empty_run import explain_nothing
from stacchip.collect.job import Job
from stacchip.collect.recipes.registry import get_recipe
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.storage import Storage, StorageOptions

ROW = Row(7, "29RKH", attributes={"name": "29RKH"})
RECIPE = get_recipe("sentinel-2")
KEYS = RECIPE.assets["sentinel-2-l2a"]


class ListedCatalogue(MemoryCatalogue):
    """A catalogue in memory that knows its collections."""

    names: tuple[str, ...] = ("landsat-c2-l2", "sentinel-2-l2a")

    def collection_names(self) -> list[str]:
        return list(self.names)


@dataclass(frozen=True)
class InMemory(Settings):
    """Settings with a catalogue in memory."""

    memory: ListedCatalogue = field(default_factory=lambda: ListedCatalogue([]))

    def open_catalogue(self, *_: object) -> ListedCatalogue:
        return self.memory


def job_of(catalogue: ListedCatalogue, **wanted: object) -> Job:
    settings = InMemory("s3://archive", catalogue="https://u:secret@example.com", memory=catalogue)
    return Job(
        RECIPE, RECIPE.with_choices({"years": (2020, 2020), "year_count": 1} | wanted), settings
    )


def cloudy(cover: float, **more: object):
    return make_item(
        f"cloud-{cover:g}", "2020-02-19", collection="sentinel-2-l2a", assets=KEYS,
        grid__code="MGRS-29RKH", eo__cloud_cover=cover, s2__nodata_pixel_percentage=1.0, **more,
    )  # fmt: skip


def test_a_catalogue_without_the_collection_is_told_with_those_that_it_has():
    catalogue = ListedCatalogue([])
    catalogue.names = ("naip", "sentinel-2-c1-l2a")
    said = explain_nothing(job_of(catalogue), [ROW])
    assert said == (
        "https://example.com has no item that fits any of the 1 rows. row 7 (29RKH) asked for "
        "'sentinel-2-l2a' in 4 periods from 2020-01-01 to 2020-12-31, with at most 75% cloud and "
        "at most 20% nodata. The catalogue has no collection sentinel-2-l2a; it has: naip, "
        "sentinel-2-c1-l2a."
    )


def test_limits_that_leave_nothing_are_told_with_what_there_is_without_them():
    said = explain_nothing(job_of(ListedCatalogue([cloudy(5), cloudy(30)]), max_cloud=0.2), [ROW])
    assert "with at most 0.2% cloud and at most 20% nodata." in said
    assert said.endswith("Without these limits it offers 2 items."), "no note on a single period"


def test_a_place_without_imagery_is_told():
    said = explain_nothing(job_of(ListedCatalogue([])), [ROW, ROW])
    assert "any of the 2 rows" in said
    assert said.endswith("Without these limits it offers 0 items.")


def test_items_that_were_offered_and_do_not_fit_are_told_with_an_example():
    said = explain_nothing(job_of(ListedCatalogue([cloudy(5)]), bands=("red", "coastal")), [ROW])
    assert "It offers 1 items." in said
    assert "2020 Q1: no item fits of 1 offered (cloud-5 has no asset coastal); skipped." in said


def test_a_run_without_rows_is_told():
    assert "any of the 0 rows" in explain_nothing(job_of(ListedCatalogue([])), [])


@pytest.mark.parametrize("names", [[], ["b", "a"]])
def test_an_api_is_asked_for_its_collections(names):
    with StacApi([]) as api:
        api.collections = names
        catalogue = OnlineCatalogue(
            f"{api.url}/", storage=Storage(), options=StorageOptions(), pace=None
        )
        assert catalogue.collection_names() == sorted(names)


def test_static_files_have_no_list_of_collections(tmp_path):
    catalogue = OnlineCatalogue(
        str(tmp_path), storage=Storage(), options=StorageOptions(), pace=None
    )
    assert catalogue.collection_names() == []
