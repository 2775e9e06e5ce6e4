"""What urllib3 and botocore log of our requests at debug level."""

from __future__ import annotations

import logging
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import StacchipError
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.foreign_logs import hide_secrets, keep_secrets_out
from stacchip.storage.s3.orphaned_uploads import abort_orphans

if TYPE_CHECKING:
    from servers.range_server import RangeServer

SECRETS = ("SECRETKEY", "SESSIONTOKEN", "BEARER", "SIGNATURE", "PASSWORD")


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'Authorization': 'Bearer abc', 'Host': 'h'}", "{'Authorization': ***, 'Host': 'h'}"),
        ("x-amz-security-token:abc/def==\nhost:h", "x-amz-security-token:***\nhost:h"),
        (
            "<SecretAccessKey>abc</SecretAccessKey><Expiration>1</Expiration>",
            "<SecretAccessKey>***</SecretAccessKey><Expiration>1</Expiration>",
        ),
        ("Signature:\n0123abc", "Signature:\n***"),
        ('{"accessToken": "abc", "region": "r"}', '{"accessToken": ***, "region": "r"}'),
        ("from https://me:pw@h/a?token=abc, twice", "from https://h/a, twice"),
        ("reading 5 bytes of s3://bucket/key", "reading 5 bytes of s3://bucket/key"),
    ],
)
def test_a_text_loses_its_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown


def test_botocore_logs_no_key(server: RangeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = StorageOptions(
        endpoint=server.url(), region="us-east-1", access_key_id="KEYID",
        secret_access_key="SECRETKEY", session_token="SESSIONTOKEN",
    )  # fmt: skip
    body = b"<Error><Code>AccessDenied</Code><SessionToken>SESSIONTOKEN</SessionToken></Error>"
    server.route("/bucket", lambda _: (403, {}, body))
    with pytest.raises(StacchipError):
        abort_orphans("s3://bucket/a", options)
    assert server.log[0].headers["x-amz-security-token"] == "SESSIONTOKEN"
    assert "botocore.endpoint" in {record.name for record in caplog.records}
    assert [secret for secret in SECRETS if secret in logged(caplog)] == []


def test_urllib3_logs_no_signature_and_no_password(
    server: RangeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = Storage(options=StorageOptions(headers={"X-Key": "BEARER"}))
    storage.read_range(f"{server.url('a.bin')}?sig=SIGNATURE".replace("//", "//me:PASSWORD@"), 0, 5)
    assert "urllib3.connectionpool" in {record.name for record in caplog.records}
    assert [secret for secret in SECRETS if secret in logged(caplog)] == []


def test_other_threads_may_make_loggers_meanwhile() -> None:
    done, before = threading.Event(), set(logging.root.manager.loggerDict)

    def make_loggers() -> None:
        for number in count():
            logging.getLogger(f"another.{number}")
            if done.is_set():
                return

    thread, interval = threading.Thread(target=make_loggers), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(100):
            keep_secrets_out()
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
        for name in set(logging.root.manager.loggerDict) - before:
            del logging.root.manager.loggerDict[name]
