from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import UsageError
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "SECRETKEY"}


def test_what_is_given_outranks_the_environment() -> None:
    given = StorageOptions(
        region="r", endpoint="http://e", access_key_id="i", secret_access_key="s",
        skip_signature=False, requester_pays=False,
    )  # fmt: skip
    env = {
        **KEYS, "AWS_SESSION_TOKEN": "t", "AWS_REGION": "x", "AWS_ENDPOINT_URL": "http://x",
        "AWS_NO_SIGN_REQUEST": "YES", "AWS_REQUEST_PAYER": "requester",
    }  # fmt: skip
    assert given.with_environment(env) == given


@pytest.mark.parametrize(
    ("env", "field", "value"),
    [
        ({"AWS_REGION": "a"}, "region", "a"),
        ({"AWS_DEFAULT_REGION": "b"}, "region", "b"),
        ({"AWS_ENDPOINT_URL": "http://h:1"}, "endpoint", "http://h:1"),
        (
            {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_ENDPOINT_URL": "http://h"},
            "endpoint",
            "http://s3",
        ),
        ({"AWS_S3_ENDPOINT": "h:1", "AWS_HTTPS": "NO"}, "endpoint", "http://h:1"),
        ({"AWS_S3_ENDPOINT": "h:1"}, "endpoint", "https://h:1"),
        ({"AWS_NO_SIGN_REQUEST": "YES"}, "skip_signature", True),
        ({"AWS_SKIP_SIGNATURE": "true"}, "skip_signature", True),
        ({"AWS_REQUEST_PAYER": "requester"}, "requester_pays", True),
        ({}, "requester_pays", False),
        ({**KEYS, "AWS_SESSION_TOKEN": "t"}, "session_token", "t"),
        (KEYS, "secret_access_key", "SECRETKEY"),
        ({"AWS_ACCESS_KEY_ID": "half"}, "access_key_id", None),
    ],
)
def test_the_environment_fills_in_what_is_unset(
    env: dict[str, str], field: str, value: object
) -> None:
    assert getattr(StorageOptions().with_environment(env), field) == value


def test_keys_come_from_a_profile_and_are_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert StorageOptions().with_environment(env).access_key_id is None
    text = "[default]\naws_access_key_id = {0}\naws_secret_access_key = s%\n[other]\n"
    file.write_text(text.format("one") + "aws_access_key_id = o\naws_secret_access_key = p\n")
    assert StorageOptions().with_environment(env).access_key_id == "one"
    assert StorageOptions().with_environment(env).secret_access_key == "s%"
    assert StorageOptions().with_environment({**env, "AWS_PROFILE": "other"}).access_key_id == "o"
    assert StorageOptions().with_environment({**env, "AWS_PROFILE": "none"}).access_key_id is None
    assert StorageOptions().with_environment({**env, **KEYS}).access_key_id == "id"
    file.write_text(text.format("two"))
    os.utime(file, ns=(1, 1))
    assert StorageOptions().with_environment(env).access_key_id == "two"


def test_impossible_options_are_refused() -> None:
    for wrong in ({"timeout_s": 0}, {"deadline_s": -1}, {"max_attempts": 0}):
        with pytest.raises(UsageError, match="more than 0"):
            StorageOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'etag', 'size', 'none'"):
        StorageOptions(identity="inode")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="both access_key_id and"):
        StorageOptions(access_key_id="a")
    for endpoint in ("me:SECRET@h", "http://me:p/SECRET@h", "http://h:port", "https://", "s3://b"):
        with pytest.raises(UsageError, match="endpoint") as caught:
            StorageOptions(endpoint=endpoint)
        assert "SECRET" not in str(caught.value)
    for headers in ("SECRET", [("a", "SECRET")], {"a": None}, {"a": b"SECRET"}, {5: "SECRET"}):
        with pytest.raises(UsageError, match="must map names to strings") as caught:
            StorageOptions(headers=headers)  # type: ignore[arg-type]
        assert "SECRET" not in str(caught.value)


def test_neither_options_nor_storage_show_a_secret() -> None:
    options = StorageOptions(
        access_key_id="KEYID", secret_access_key="SECRETKEY", session_token="TOKEN",
        headers={"Authorization": "Bearer BEARER"}, region="eu-central-1",
    )  # fmt: skip
    storage = Storage(options=options, overrides={"https://u:PASSWORD@h/": options})
    for text in (repr(options), str(options), repr(storage)):
        assert "eu-central-1" in text
        for secret in ("KEYID", "SECRETKEY", "TOKEN", "BEARER", "PASSWORD"):
            assert secret not in text


def test_storage_can_be_pickled_and_counts_anew(tmp_path: Path) -> None:
    storage = Storage(
        options=StorageOptions(region="r", headers={"a": "b"}),
        overrides={"s3://b/": StorageOptions(requester_pays=True)},
        sign=None,
    )
    storage.write(tmp_path / "a", b"abc")
    storage.read(tmp_path / "a")
    again = pickle.loads(pickle.dumps(storage))
    assert (again.options, again.overrides, again.sign) == (
        storage.options,
        storage.overrides,
        None,
    )
    assert again.bytes_read == 0
    assert again.read(tmp_path / "a") == b"abc"
    assert again.options_for("s3://b/x").requester_pays
