"""Planetary Computer's signing against a token service and a store of our own on loopback.

The store's host ends in `.blob.core.windows.net`, as the rule asks; a proxy variable leads the
requests for it to loopback.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from servers.range_server import Fault, RangeServer
from stacchip.errors import AccessDenied, StorageError
from stacchip.storage import Storage, StorageOptions, unsign
from stacchip.storage.transports.planetary_computer import (
    ENDPOINT_VARIABLE,
    RENEW_BEFORE_S,
    SIGNER,
    Signer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.range_server import Answer, Request

HREF = "http://modiseuwest.blob.core.windows.net/modis-061/a.bin"
CONTENT = bytes(range(256))


class Service:
    """Gives out numbered tokens, and serves a container that accepts only the latest."""

    def __init__(self) -> None:
        self.given = 0
        self.lifetime_s = 2700.0
        self.lock = threading.Lock()

    def give(self, request: Request) -> Answer:
        if not request.path.endswith("/modiseuwest/modis-061"):
            return 404, {}, b'{"detail": "not known"}'
        with self.lock:
            self.given += 1
            number = self.given
        ends = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
        answer = {
            "msft:expiry": ends.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "token": f"st=1&se=2&sp=rl&sv=3&sr=c&sig=SIGNATURE{number}",
        }
        return 200, {}, json.dumps(answer).encode()

    def serve(self, request: Request) -> Answer:
        if not request.query.endswith(f"sig=SIGNATURE{self.given}"):
            return 403, {"x-ms-error-code": "AuthenticationFailed"}, b"<Error/>"
        return 206, {"Content-Range": "bytes 0-255/256"}, CONTENT


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def pc(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as server:
        server.route("/token", service.give)
        server.route("/modis-061", service.serve)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        # each test has an endpoint, and so tokens, of its own
        monkeypatch.setenv(ENDPOINT_VARIABLE, server.url("token"))
        yield server


def read(storage: Storage, href: str = HREF) -> bytes:
    return bytes(storage.read_range(href, 0, 256).data)


def test_an_href_is_signed_when_it_is_read_with_one_token(
    pc: RangeServer, service: Service, storage: Storage
) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(storage), range(16))) == {CONTENT}
    assert service.given == 1
    assert pc.by_path["/token/modiseuwest/modis-061"] == 1
    assert "sig=SIGNATURE1" in pc.log[-1].query


def test_a_token_is_renewed_before_it_ends(
    pc: RangeServer, service: Service, storage: Storage
) -> None:
    service.lifetime_s = RENEW_BEFORE_S + 0.8
    assert read(storage) == CONTENT
    assert read(storage) == CONTENT
    assert service.given == 1
    time.sleep(0.9)
    assert read(storage) == CONTENT
    assert service.given == 2


def test_a_refused_token_is_renewed_once(
    pc: RangeServer, service: Service, storage: Storage
) -> None:
    assert read(storage) == CONTENT
    service.given = 5  # the store no longer accepts the current token
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: read(storage), range(8))) == {CONTENT}
    assert service.given == 6
    pc.always("/modis-061/a.bin", Fault(status=403))
    pc.reset_counters()
    with pytest.raises(AccessDenied) as caught:
        read(storage)
    assert pc.by_path["/modis-061/a.bin"] == 2
    assert "SIGNATURE" not in str(caught.value)


def test_a_busy_token_service_is_waited_for(
    pc: RangeServer, service: Service, storage: Storage
) -> None:
    path = "/token/modiseuwest/modis-061"
    pc.script(path, [Fault(status=429, headers={"Retry-After": "1"}), Fault(reset=True)])
    assert read(storage) == CONTENT
    first, second, _ = pc.times_s(path)
    assert second - first > 0.95


def test_a_token_service_that_failed_is_not_asked_for_each_file(
    pc: RangeServer, service: Service
) -> None:
    path = "/token/modiseuwest/modis-061"
    pc.always(path, Fault(status=500))
    storage = Storage(options=StorageOptions(max_attempts=2))
    for _ in range(3):
        with pytest.raises(StorageError, match="500"):
            read(storage)
    assert pc.by_path[path] == 2


def test_a_token_service_that_failed_is_asked_again_after_a_while(
    pc: RangeServer, service: Service
) -> None:
    path = "/token/modiseuwest/modis-061"
    pc.always(path, Fault(status=500))
    signer, options = Signer(ask_again_s=0.5), StorageOptions(max_attempts=1)
    for _ in range(2):
        with pytest.raises(StorageError, match="500"):
            signer.sign(HREF, options)
    assert pc.by_path[path] == 1
    pc.always(path, None)
    time.sleep(0.5)
    assert "sig=SIGNATURE1" in signer.sign(HREF, options)


def test_other_hrefs_are_left_alone(pc: RangeServer, service: Service, storage: Storage) -> None:
    options = StorageOptions()
    for href in (
        "http://own.blob.core.windows.net/private/a.bin",  # not an account of theirs
        HREF + "?sv=1&sig=users-own",
        "https://example.com/a.blob.core.windows.net/a.bin",
        "https://modiseuwest.blob.core.windows.net.evil.example/modis-061/a.bin",
        "https://modiseuwest.blob.core.windows.net/",
        "https://evil.example\\@modiseuwest.blob.core.windows.net/modis-061/a.bin",
        "https://modiseuwest.blob.core.windows.net\\@evil.example/modis-061/a.bin",
        "https://modiseuwest.blob.core.windows.net:1@evil.example/modis-061/a.bin",
        "https://evil.example#@modiseuwest.blob.core.windows.net/modis-061/a.bin",
        "https://a.modiseuwest.blob.core.windows.net/modis-061/a.bin",
    ):
        assert SIGNER.sign(href, options) == href
    assert service.given == 0
    assert Storage(sign=None).sign is None
    with pytest.raises(AccessDenied):
        read(Storage(sign=None))
    assert service.given == 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault(status=403), AccessDenied), (Fault(status=500), StorageError)],
)
def test_an_error_of_the_token_service_names_the_file_first(
    pc: RangeServer, fault: Fault, kind: type[StorageError]
) -> None:
    pc.always("/token/modiseuwest/modis-061", fault)
    storage = Storage(options=StorageOptions(max_attempts=1))
    for _ in range(2):  # the second time without a request
        with pytest.raises(kind, match=f"^{HREF} cannot be read") as caught:
            read(storage)
        assert caught.value.href == HREF
        assert "/token/modiseuwest/modis-061" in str(caught.value)
        assert "Storage(sign=" in str(caught.value)


def test_an_answer_without_a_token_is_an_error(pc: RangeServer, service: Service) -> None:
    signer, options = Signer(ask_again_s=0.0), StorageOptions(max_attempts=2)
    for body in (b"<html>", b"{}", b'{"token": 5, "msft:expiry": "2030-01-01T00:00:00Z"}', b"[1]"):
        pc.route("/token", lambda _, body=body: (200, {}, body))
        with pytest.raises(StorageError, match="did not answer with a token"):
            signer.sign(HREF, options)
    pc.route("/token", lambda _: (200, {}, b" " * 100_000))
    with pytest.raises(StorageError, match="larger than"):
        signer.sign(HREF, options)


def test_the_password_of_the_token_service_is_not_shown(
    pc: RangeServer, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT_VARIABLE, pc.url("token").replace("//", "//me:PASSWORD@"))
    pc.route("/token", lambda _: (200, {}, b"{}"))
    storage = Storage(options=StorageOptions(max_attempts=1))
    for _ in range(2):  # the second time without a request
        with pytest.raises(StorageError, match="did not answer with a token") as caught:
            read(storage)
        cause = caught.value.__cause__
        assert "PASSWORD" not in f"{caught.value}{cause}{vars(caught.value)}{vars(cause)}"


def test_a_signature_is_stripped_before_it_is_stored(pc: RangeServer) -> None:
    signed = SIGNER.sign(HREF, StorageOptions())
    assert "sig=" in signed
    assert unsign(signed) == HREF


def test_a_function_of_the_users_own_signs(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with RangeServer(tmp_path) as server:
        storage = Storage(sign=lambda href: f"{href}?sig=own")
        assert storage.read(server.url("a.bin")) == CONTENT
        assert server.log[0].query == "sig=own"


def test_the_token_service_gets_no_header_of_the_file_server(
    pc: RangeServer, service: Service
) -> None:
    keyed = StorageOptions(headers={"X-Key": "SECRET"})
    storage = Storage(overrides={"http://modiseuwest.blob.core.windows.net/": keyed})
    assert read(storage) == CONTENT
    seen = {request.path: request.headers.get("x-key") for request in pc.log}
    assert seen["/token/modiseuwest/modis-061"] is None
    assert "SECRET" in seen.values()


@pytest.mark.parametrize("service", ["", "https://127.0.0.1:1/token", "ftp://127.0.0.1/token"])
@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_a_token_never_goes_over_http(
    scheme: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless its service sends it over http itself, as that of the other tests does."""
    monkeypatch.setenv(ENDPOINT_VARIABLE, service)
    href = HREF.replace("http", scheme, 1)
    assert Signer().sign(href, StorageOptions()) == href  # and no token was asked for
    assert not Signer().renew(href, href)
