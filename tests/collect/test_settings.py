"""The access options of each store, by the settings of a run."""

from __future__ import annotations

import pickle

import pytest

from stacchip.collect.recipes.registry import RECIPES, get_recipe
from stacchip.collect.settings import Settings
from stacchip.items.api.pace import pace_of

AWS_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT")


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch):
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def options_of(name, href, **given):
    storage = Settings(root="s3://archive", **given).open_storage(get_recipe(name))
    return storage.options_for(href)


@pytest.mark.parametrize(
    ("name", "href"),
    [("landsat", "s3://usgs-landsat/a.TIF"), ("naip", "s3://naip-analytic/a.tif")],
)
def test_requests_to_requester_pays_buckets_say_so_and_are_signed(name, href):
    options = options_of(name, href)
    assert options.requester_pays
    assert not options.skip_signature
    assert options.region == "us-west-2"


@pytest.mark.parametrize(
    ("name", "href", "region"),
    [
        ("sentinel-2", "s3://sentinel-cogs/a.tif", "us-west-2"),
        ("linz", "s3://nz-imagery/a.tiff", "ap-southeast-2"),
    ],
)
def test_public_buckets_are_read_without_keys_at_aws_only(name, href, region):
    options = options_of(name, href)
    assert options.skip_signature
    assert options.region == region
    mirror = options_of(name, href, source_endpoint="http://127.0.0.1:9")
    assert mirror.endpoint == "http://127.0.0.1:9"
    assert not mirror.skip_signature


def test_an_archive_elsewhere_does_not_move_the_source():
    given = {"endpoint": "http://127.0.0.1:9"}
    assert options_of("sentinel-2", "s3://archive/a", **given).endpoint == "http://127.0.0.1:9"
    assert options_of("sentinel-2", "s3://sentinel-cogs/a", **given).endpoint is None


def test_requests_to_the_archive_are_signed_and_not_paid_for_others():
    for recipe in RECIPES:
        options = options_of(recipe.name, "s3://archive/a")
        assert not options.requester_pays
        assert not options.skip_signature


def test_settings_and_recipes_travel_to_workers():
    for recipe in RECIPES:
        assert pickle.loads(pickle.dumps(recipe)) == recipe
    settings = Settings(root="s3://archive/", requests_per_second=3)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_jobs_of_a_process_take_turns():
    assert pace_of("https://a", 2.0) is pace_of("https://a", 2.0)
    assert pace_of("https://a", 2.0) is not pace_of("https://b", 2.0)
