"""Every way that a read can fail, with a secret in every place that can hold one."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from servers.range_server import Fault, RangeServer
from stacchip.errors import AccessDenied, StacchipError
from stacchip.storage import Identity, Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable

SECRETS = ["SECRETKEY", "SESSIONTOKEN", "KEYID", "BEARER", "SIGNATURE", "PASSWORD", "ECHOED"]
FAULTS = {
    "403": Fault(status=403, body=b"<Code>SignatureDoesNotMatch</Code><S>ECHOED</S>"),
    "404": Fault(status=404, body=b"ECHOED"),
    "400": Fault(status=400, body=b"<Error><Code>Bad</Code><Token>ECHOED</Token></Error>"),
    "503": Fault(status=503, body=b"ECHOED"),
    "412": Fault(status=412),
    "redirect": Fault(status=302, headers={"Location": "http://u:PASSWORD@host.invalid/?sig=SIGNATURE"}),
    "bare redirect": Fault(status=301),
    "reset": Fault(reset=True),
    "cut": Fault(cut_at=3),
    "silence": Fault(hang_s=1),
    "shifted": Fault(shift_range=3),
    "changed": Fault(etag='"other"'),
    "no HTTP": Fault(status=200, headers={f"X-{i}": "ECHOED" for i in range(200)}),
}  # fmt: skip


def everything(error: BaseException) -> str:
    """Everything that a program might print of an error."""
    facts = repr(getattr(error, "facts", ""))
    chain = "".join(traceback.format_exception(error))
    return "\n".join([str(error), repr(error), facts, chain, repr(pickle.dumps(error))])


def context_of(error: BaseException) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("place", ["web", "s3", "az"])
@pytest.mark.parametrize("name", FAULTS)
def test_no_error_and_no_log_shows_a_secret(
    server: RangeServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    place: str,
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=SIGNATURE")
    caplog.set_level(logging.DEBUG)
    options = StorageOptions(
        endpoint=server.url(), access_key_id="KEYID", secret_access_key="SECRETKEY",
        session_token="SESSIONTOKEN", headers={"X-Auth": "BEARER"},
        timeout_s=0.2, deadline_s=1.0, max_attempts=1,
    )  # fmt: skip
    href = {
        "web": server.url("a.bin").replace("//", "//user:PASSWORD@") + "?sig=SIGNATURE&se=1",
        "s3": "s3://bucket/a.bin",
        "az": "az://bucket/a.bin",
    }[place]
    for path in ("/a.bin", "/bucket/a.bin", "/bucket"):
        server.always(path, FAULTS[name])
    storage = Storage(options=options, sign=None)
    expect = Identity(1_048_576, '"expected"')
    reads: list[Callable[[], object]] = [
        lambda: storage.read(href),
        lambda: storage.read_range(href, 0, 100, expect=expect),
        lambda: storage.read_ranges(href, [(0, 5), (500_000, 5)]),
        lambda: storage.stat(href),
        lambda: storage.open(href),
    ]
    if place == "s3":
        reads.append(lambda: storage.write(href, b"x"))
        reads.append(lambda: list(storage.list("s3://bucket")))
    failed = 0
    for read in reads:
        try:
            read()
        except StacchipError as error:
            failed += 1
            for each in context_of(error):
                assert isinstance(each, StacchipError), f"{each!r} is chained"
                shown = everything(each)
                assert [secret for secret in SECRETS if secret in shown] == []
    assert failed
    logged = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)
    assert [secret for secret in SECRETS if secret in logged] == []


def test_retries_are_logged_without_the_signature(
    server: RangeServer, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script("/a.bin", [Fault(status=503)])
    storage.read_range(server.url("a.bin") + "?sig=SIGNATURE", 0, 5)
    assert "urllib3.connectionpool" in {record.name for record in caplog.records}
    assert "SIGNATURE" not in caplog.text
    ours = [record for record in caplog.records if record.name.startswith("stacchip")]
    messages = [record.getMessage() for record in ours]
    assert len(messages) == 1
    assert messages[0].startswith(f"retry {server.url('a.bin')} in ")
    assert messages[0].endswith("HTTP 503 Service Unavailable")


def test_missing_credentials_are_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys obstore asks the machine's metadata service, which does not exist here."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(AccessDenied, match=r"No credentials were found.*skip_signature=True"):
        Storage().read("s3://bucket/a.bin")
