"""Keys from AWS profiles, with files in a folder of the test; boto3 is the real one, or blocked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import AccessDenied
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.aws_profile import Keys, find_profile

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import RangeServer

KEYS = "aws_access_key_id = {0}\naws_secret_access_key = secret-of-{0}\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = default\n"
SSO = "sso_session = work\nsso_account_id = 123456789012\nsso_role_name = reader\n"
PROGRAM = """
import json, pathlib, sys
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1
count.write_text(str(number))
print(json.dumps({"Version": 1, "AccessKeyId": f"KEY{number}", "SecretAccessKey": "SECRET",
                  "SessionToken": f"TOKEN{number}", "Expiration": sys.argv[2]}))
"""


def environment(tmp_path: Path, credentials: str = "", config: str = "", **more: str):
    """Variables that name two files with these contents."""
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "config").write_text(config)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        **more,
    }


def running_program(tmp_path: Path, life: timedelta) -> str:
    """A profile that runs a program, which counts how often it ran."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "count").write_text("0")
    ends = (datetime.now(UTC) + life).isoformat()
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "count"), ends]
    return f"credential_process = {shlex.join(command)}\n"


def test_a_profile_that_holds_keys_needs_no_boto3(tmp_path: Path) -> None:
    env = environment(
        tmp_path,
        credentials="[default]\n" + KEYS.format("a") + "[b]\n" + KEYS.format("b"),
        config="[profile c]\n"
        + KEYS.format("c")
        + "aws_session_token = t\n[profile d]\nregion=x\n",
    )

    def keys_of(name: str | None) -> Keys | None:
        return find_profile(env | ({"AWS_PROFILE": name} if name else {})).keys

    assert keys_of(None) == Keys("a", "secret-of-a")
    assert keys_of("b") == Keys("b", "secret-of-b")
    assert keys_of("c") == Keys("c", "secret-of-c", "t")
    assert keys_of("d") is None
    assert keys_of("absent") is None


@pytest.mark.parametrize("way", [ROLE, SSO, "web_identity_token_file = /t\nrole_arn = r\n"])
def test_a_way_to_get_keys_outranks_keys_as_in_aws_own_tools(tmp_path: Path, way: str) -> None:
    config = f"[default]\n{way}"
    env = environment(tmp_path, credentials="[default]\n" + KEYS.format("a"), config=config)
    profile = find_profile(env)
    assert profile.keys is None
    assert profile.way is not None
    assert StorageOptions().with_environment(env).access_key_id is None


def test_keys_in_the_file_of_credentials_outrank_a_program(tmp_path: Path) -> None:
    config = "[default]\ncredential_process = false\n" + KEYS.format("config")
    env = environment(tmp_path, credentials="[default]\n" + KEYS.format("a"), config=config)
    assert find_profile(env).keys == Keys("a", "secret-of-a")
    env = environment(tmp_path, config=config)
    assert (find_profile(env).keys, find_profile(env).way) == (
        None,
        "runs a program for its keys",
    )


def test_broken_or_absent_files_hold_no_profile(tmp_path: Path) -> None:
    assert find_profile({}).keys is None
    assert find_profile(environment(tmp_path, credentials="no section", config="[")).keys is None
    (tmp_path / "config").write_bytes(b"\xff\xfe\x00[default]")
    assert find_profile({"AWS_CONFIG_FILE": str(tmp_path / "config")}).keys is None
    assert find_profile({"AWS_CONFIG_FILE": str(tmp_path)}).keys is None


def test_keys_are_not_shown(tmp_path: Path) -> None:
    env = environment(tmp_path, credentials="[default]\n" + KEYS.format("a"))
    assert "secret-of-a" not in repr(find_profile(env))


def test_boto3_runs_a_program_once_while_its_keys_hold(tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    config = "[profile p]\n" + running_program(tmp_path, timedelta(hours=1))
    env = environment(tmp_path, config=config, AWS_PROFILE="p")
    for _ in range(3):
        options = StorageOptions().with_environment(env).with_profile_keys(env)
        assert (options.access_key_id, options.session_token) == ("KEY1", "TOKEN1")
        assert options.secret_access_key == "SECRET"
    assert (tmp_path / "count").read_text() == "1"


def test_boto3_renews_keys_that_are_about_to_expire(tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    config = "[profile p]\n" + running_program(tmp_path, timedelta(minutes=2))
    env = environment(tmp_path, config=config, AWS_PROFILE="p")
    seen = {StorageOptions().with_profile_keys(env).access_key_id for _ in range(3)}
    assert len(seen) == 3


def test_a_program_that_fails_is_an_error_that_names_the_profile(tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    failing = f"""'{sys.executable}' -c 'import sys; sys.exit("SECRET")'"""
    config = f"[profile broken]\ncredential_process = {failing}\n"
    env = environment(tmp_path, config=config, AWS_PROFILE="broken")
    with pytest.raises(AccessDenied, match=r"'broken'.*CredentialRetrievalError") as caught:
        StorageOptions().with_profile_keys(env)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "options",
    [
        StorageOptions(skip_signature=True),
        StorageOptions(access_key_id="a", secret_access_key="b"),
    ],
)
def test_requests_that_need_no_profile_do_not_ask_for_it(
    tmp_path: Path, options: StorageOptions
) -> None:
    config = "[default]\n" + running_program(tmp_path, timedelta(hours=1))
    env = environment(tmp_path, config=config)
    assert options.with_profile_keys(env) is options
    assert (tmp_path / "count").read_text() == "0"


def test_requests_are_signed_with_the_keys_that_boto3_gets(
    tmp_path: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3")
    (server.root / "bucket").mkdir()
    (server.root / "bucket" / "a.bin").write_bytes(b"0123456789")
    config = "[profile p]\n" + running_program(tmp_path, timedelta(hours=1))
    for name, value in environment(tmp_path, config=config, AWS_PROFILE="p").items():
        monkeypatch.setenv(name, value)
    storage = Storage(options=StorageOptions(endpoint=server.url(), region="r"))
    assert bytes(storage.read_range("s3://bucket/a.bin", 2, 3).data) == b"234"
    headers = server.log[-1].headers
    assert "Credential=KEY1/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "TOKEN1"


@pytest.mark.parametrize(
    ("lines", "said"),
    [(ROLE, "assumes a role"), (SSO, "signs in by SSO"), ("credential_process = x\n", "program")],
)
def test_without_boto3_such_a_profile_is_an_error_with_the_remedy(
    tmp_path: Path, lines: str, said: str
) -> None:
    env = environment(tmp_path, config=f"[profile work]\n{lines}", AWS_PROFILE="work")
    script = (
        "import json, sys\n"
        "sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from stacchip.errors import AccessDenied\n"
        "from stacchip.storage import Storage\n"
        "try: Storage().read('s3://bucket/key')\n"
        "except AccessDenied as error: print(json.dumps(str(error)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **env}, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    message = json.loads(run.stdout)
    assert "'work'" in message
    assert said in message
    assert "pip install 'stacchip[processors]'" in message
    assert "AWS_ACCESS_KEY_ID" in message


def test_without_boto3_a_profile_that_holds_keys_signs(tmp_path: Path, server: RangeServer) -> None:
    (server.root / "bucket").mkdir()
    (server.root / "bucket" / "a.bin").write_bytes(b"0123456789")
    env = environment(tmp_path, credentials="[default]\n" + KEYS.format("PLAIN"))
    script = (
        "import sys\n"
        "sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from stacchip.storage import Storage, StorageOptions\n"
        "options = StorageOptions(endpoint=sys.argv[1], region='r')\n"
        "assert Storage(options=options).read('s3://bucket/a.bin') == b'0123456789'\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, server.url()],
        env={**os.environ, **env}, check=True, timeout=60,
    )  # fmt: skip
    assert "Credential=PLAIN/" in server.log[-1].headers["authorization"]
