"""Hostile catalogues, and secrets that must not be shown."""

from __future__ import annotations

import copy
import http.server
import json
import threading
import time

import pytest

from collect.worlds import linz_world, naip_world, sentinel_1_world
from servers.outside import everywhere

pytestmark = [pytest.mark.servers, pytest.mark.timeout(200)]

SURVEY = "otago/hostile_2020_0.3m/rgb/2193"
# ".." is harmless here, since the survey's name goes before it
HOSTILE_IDS = ["../../../evil", "a/b", "a b", "a\nb", "%2e%2e%2fevil", "x" * 300]


@pytest.fixture
def survey(outside, shared_data, tmp_path):
    """Load a survey of three sheets, and return its list of rows."""
    world = linz_world(shared_data, tmp_path, SURVEY, sheets=3)
    outside.load(world)
    path = tmp_path / "survey.txt"
    path.write_text(SURVEY)
    return path


def spoil(outside, change):
    """Change the second sheet's item; return a function that changes it back."""
    href = f"s3://nz-imagery/{SURVEY}/BX24_500_025021.json"
    item = json.loads(outside.storage.read(href))
    original = copy.deepcopy(item)
    change(item)
    outside.storage.write(href, json.dumps(item).encode())
    return lambda: outside.storage.write(href, json.dumps(original).encode())


def run_linz(outside, survey, bucket):
    return outside.run(
        "collect", "linz", "--sample", str(survey), "--bucket", bucket, check=False,
        STACCHIP_CATALOGUE="s3://nz-imagery/",
    )  # fmt: skip


@pytest.mark.parametrize("item_id", HOSTILE_IDS)
def test_an_item_id_cannot_leave_its_prefix(outside, survey, item_id):
    before = {entry.href for entry in outside.storage.list("s3://archive/")}
    mend = spoil(outside, lambda item: item.update(id=item_id))
    try:
        done = run_linz(outside, survey, "s3://archive/hostile/deep")
    finally:
        mend()
    assert done.returncode == 1
    said = ("Nothing was written", "Give it another id")  # a name we refuse, or no name at all
    assert any(words in done.stderr for words in said)
    assert "Traceback" not in done.stderr
    after = {entry.href for entry in outside.storage.list("s3://archive/")} - before
    assert all(href.startswith("s3://archive/hostile/deep/") for href in after)
    assert not [href for href in after if "evil" in href or "025021" in href]


@pytest.mark.parametrize("href", ["file:///etc/passwd", "/etc/passwd"])
def test_a_remote_catalogue_cannot_make_us_read_local_files(outside, survey, href):
    mend = spoil(outside, lambda item: item["assets"]["visual"].update(href=href))
    try:
        done = run_linz(outside, survey, "s3://archive/local-files")
    finally:
        mend()
    assert done.returncode == 1
    assert not [
        entry.href
        for entry in outside.storage.list("s3://archive/local-files/")
        if "passwd" in entry.href
    ]


def test_a_file_that_is_not_a_collection_is_an_error(outside, survey):
    href = f"s3://nz-imagery/{SURVEY}/collection.json"
    whole = outside.storage.read(href)
    for text in (b"<html>", b'{"links": [{"rel": "item"}]}', b"[]", b"\x00" * 100):
        outside.storage.write(href, text)
        done = run_linz(outside, survey, "s3://archive/no-collection")
        assert done.returncode == 1
        assert "is not a STAC collection" in done.stderr
        assert done.stderr.count(" failed: ") == 1, "and where it writes, and how to run it again"
    outside.storage.write(href, whole)


class BadApi(http.server.BaseHTTPRequestHandler):
    """Answers every request with what the test sets."""

    answer = b""
    endless = False

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if not self.endless:
            self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        try:
            self.wfile.write(self.answer)
            for _ in range(4096 if self.endless else 0):
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            pass

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("answer", "endless"),
    [(b"<html>", False), (b"[]", False), (b'{"type": "Catalog"}', False), (b"{", True)],
    ids=["html", "list", "fields missing", "endless"],
)
def test_a_malformed_or_huge_answer_is_an_error_and_does_not_hang(
    outside, shared_data, answer, endless
):
    handler = type("Handler", (BadApi,), {"answer": answer, "endless": endless})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    layer = outside.sample("bad-api", n=[0], geometry=everywhere((0, 0, 1, 1), 1))
    started = time.monotonic()
    try:
        done = outside.run(
            "naip", "--rows", "0", "--sample", str(layer), check=False,
            STACCHIP_BUCKET="s3://archive/bad-api",
            STACCHIP_CATALOGUE=f"http://127.0.0.1:{server.server_port}",
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 1
    assert "row 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 60


def test_no_key_is_shown_when_access_is_denied(outside, shared_data):
    world = naip_world(shared_data)
    outside.load(world)
    layer = outside.sample("denied", n=[0], geometry=everywhere(tuple(world.items[0]["bbox"]), 1))
    done = outside.run(
        "naip", "--rows", "0", "--sample", str(layer), "-v", check=False,
        STACCHIP_BUCKET="s3://archive/denied", AWS_ACCESS_KEY_ID="AKIAWRONGWRONG",
        AWS_SECRET_ACCESS_KEY="wrong-secret-wrong",
    )  # fmt: skip
    assert done.returncode == 2, "AWS Batch does not try again"
    assert "s3://archive/denied cannot be written to: the store refuses it" in done.stderr
    for secret in ("AKIAWRONGWRONG", "wrong-secret-wrong", "Signature"):
        assert secret not in done.stdout + done.stderr


def test_no_signature_is_shown_or_stored(outside, shared_data, tmp_path):
    world = sentinel_1_world(shared_data, tmp_path)
    outside.load(world)
    broken = next(iter(world.objects))
    whole = outside.storage.read(f"s3://{broken}")
    outside.storage.write(f"s3://{broken}", whole[: len(whole) // 2])
    layer = outside.sample("signed", n=[0], geometry=everywhere(tuple(world.items[0]["bbox"]), 1))
    try:
        done = outside.run(
            "sentinel_1", "--rows", "0", "--sample", str(layer), "-v", check=False,
            STACCHIP_BUCKET="s3://archive/signed",
        )  # fmt: skip
    finally:
        outside.storage.write(f"s3://{broken}", whole)
    assert done.returncode == 1
    assert "sig=" not in done.stdout + done.stderr
    content = outside.content("s3://archive/signed")
    assert len([name for name in content if name.endswith("stac_item.json")]) == 7
    assert not [name for name, data in content.items() if b"sig=" in data]
