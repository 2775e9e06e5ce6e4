"""No command shows the signature or the password of an address, whatever it says of it."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenes import make_scene
from servers.range_server import Fault, RangeServer
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.terminal import console
from stacchip.collect.sample import read_layer
from stacchip.errors import StacchipError, UsageError
from stacchip.index import read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items import load_items
from stacchip.raster import read_header
from stacchip.storage import Storage, StorageOptions

SECRETS = ("SECRETSIG", "PASSWORD", "SECRETKEY", "SESSIONTOKEN")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangeServer]:
    """A web server with an index, an empty file and a file of bytes."""
    root = tmp_path_factory.mktemp("www")
    scene = make_scene(root / "scene")
    scene.item.make_asset_hrefs_absolute()
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, root / "index.parquet")
    write_index(table.slice(0, 0), root / "empty.parquet")
    (root / "index").mkdir()
    (root / "empty.txt").write_text("# none\n")
    (root / "bytes.bin").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with RangeServer(root) as running:
        yield running


@pytest.fixture
def said(server, tmp_path, capsys) -> Callable[[str], str]:
    """Runs a command, in which `@name` is a signed address; gives all that it printed."""
    base = server.url().replace("//", "//user:PASSWORD@")

    def run_it(command: str) -> str:
        words = [
            word.replace("@", base) + "?X-Amz-Signature=SECRETSIG" if "@" in word else word
            for word in command.replace("TMP", str(tmp_path)).split()
        ]
        run(words)
        return "".join(capsys.readouterr())

    return run_it


COMMANDS = """
info @index.parquet
info @absent.parquet
info @index
list @index.parquet
list @index.parquet --platform naip
list @index.parquet --item scene-2
list @empty.parquet
preview @index.parquet -o TMP/a.png --platform naip
preview @index.parquet -o TMP/a.png --unmeasured keep
chip @index.parquet scene-9-0-0 -o TMP/a.tif
chip @index.parquet scene-1-99-0 -o TMP/a.tif
chip @index.parquet scene-1-0-0 -o TMP/a.tif --chip-size 3
headers @index.parquet
headers @empty.parquet
headers @index
remove @index.parquet --item scene-2
remove @index.parquet --item scene-1
merge @index.parquet -o TMP/merged
merge @empty.parquet -o TMP/merged
merge @absent.parquet -o @merged
merge @index.parquet -o s3://bucket/merged?X-Amz-Signature=SECRETSIG --endpoint @s3
index @bytes.bin -o TMP/made
index @absent.json -o @made
index --api @api -o TMP/made
prechip --index @index.parquet --platform naip --target TMP/cubes
prechip --index @index.parquet --platform unknown --target TMP/cubes --bands red --data @data
prechip --index @index.parquet --platform unknown --target @cubes --bands red
stats --index @index.parquet --platform naip
stats --index @index.parquet --bands red --max-chips 1 -o TMP/stats.yaml
stats --index @empty.parquet
stats --index @index.parquet -o @stats.yaml
stats --cubes @cubes
stats --merge @index
collect linz --bucket TMP/archive --sample @bytes.bin
collect linz --bucket TMP/archive --sample @absent.txt
collect linz --bucket TMP/archive --catalogue @catalogue --rows 0
collect linz --bucket TMP/archive --catalogue @catalogue --source-endpoint @s3 --rows 0
collect linz --bucket @archive --rows 0
collect naip --bucket TMP/archive --sample @bytes.bin
collect linz --bucket TMP/archive --catalogue @catalogue --rows 0 --failed @failed.txt
"""


@pytest.fixture(autouse=True)
def keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that no command needs here."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "SESSIONTOKEN")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=SECRETSIG")


def written(folder: Path) -> bytes:
    """All bytes that were written into a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", COMMANDS.strip().splitlines())
@pytest.mark.parametrize("is_verbose", [False, True], ids=["", "verbose"])
def test_no_command_shows_a_secret(
    command: str, is_verbose: bool, said, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    text = said(f"-v {command}" if is_verbose else command)
    assert text, "nothing was said, and nothing was looked at"
    logged = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)
    assert [secret for secret in SECRETS if secret in text + logged] == []
    assert [secret for secret in SECRETS if secret.encode() in written(tmp_path)] == []


PLACES = [
    "http://user:PASSWORD@127.0.0.1:{port}/{name}?sig=SECRETSIG",
    "http://127.0.0.1:{port}/{name}?api_key=SECRETKEY&v=1",
    "http://127.0.0.1:{port}/{name}?v=1&subscription-key=SECRETKEY#access_token=SESSIONTOKEN",
    "http://127.0.0.1:{port}/{name}#token=SESSIONTOKEN",
    "/vsicurl/http://user:PASSWORD@127.0.0.1:{port}/{name}?token=SECRETKEY",
    "htp://user:PASSWORD@127.0.0.1:{port}/{name}?sig=SECRETSIG",
    "s3://user:PASSWORD@bucket/{name}?X-Amz-Signature=SECRETSIG",
    "http://user:PASSWORD@127.0.0.1:1/{name}?sig=SECRETSIG",
    "http://user:PASSWORD@[::x]/{name}?sig=SECRETSIG",
]
ANSWERS = {
    "404": Fault(status=404, body=b"SECRETKEY"),
    "401": Fault(status=401, headers={"WWW-Authenticate": "Bearer SECRETKEY"}),
    "500": Fault(status=500, body=b"SECRETKEY"),
    "HTML": Fault(status=200, body=b"<html><a href='http://h/?sig=SECRETSIG'>"),
    "redirect": Fault(status=302, headers={"Location": "http://u:PASSWORD@h.invalid/?sig=SECRETSIG"}),
    "no HTTP": Fault(status=302, headers={"Location": "ftp://u:PASSWORD@h/?sig=SECRETSIG"}),
    "reset": Fault(reset=True),
    "silence": Fault(hang_s=0.3),
}  # fmt: skip
READERS: dict[str, Callable[[str, Storage], object]] = {
    "load_items": lambda href, storage: list(load_items(href, storage=storage)),
    "read_index": lambda href, storage: read_index(href, storage=storage),
    "Chipper": lambda href, storage: Chipper(href, storage=storage),
    "read_header": lambda href, storage: read_header(storage, href),
    "exists": lambda href, storage: storage.exists(href),
}


# each place, answer and reader with the first of the others, and all answers with all places
TRIED = [
    (place, answer, reader)
    for place in PLACES for answer in ANSWERS for reader in READERS
    if reader == "load_items" or answer == "404" or place == PLACES[0]
]  # fmt: skip


@pytest.mark.parametrize(("place", "answer", "reader"), TRIED)
def test_no_function_shows_a_secret(
    server: RangeServer, caplog: pytest.LogCaptureFixture, place: str, answer: str, reader: str
) -> None:
    caplog.set_level(logging.DEBUG)
    server.always("/odd.json", ANSWERS[answer])
    options = StorageOptions(
        headers={"X-Key": "SECRETKEY"}, max_attempts=1, timeout_s=0.2, deadline_s=0.5
    )
    storage = Storage(options=options, sign=None)
    texts = [repr(storage), repr(options)]
    try:
        READERS[reader](place.format(port=server.port, name="odd.json"), storage)
    except StacchipError as error:
        chain: BaseException | None = error
        while chain is not None:
            texts += [*traceback.format_exception_only(chain), repr(getattr(chain, "facts", ""))]
            texts.append(repr(pickle.dumps(chain)) if isinstance(chain, StacchipError) else "")
            chain = chain.__cause__ or chain.__context__
    texts += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    assert [secret for secret in SECRETS if secret in "\n".join(texts)] == []


def test_rows_of_a_signed_list_are_refused_without_its_signature(server, tmp_path, capsys) -> None:
    for name in ("empty.txt", "absent.txt", "bytes.bin"):
        rows = f"@{server.url(name)}?X-Amz-Signature=SECRETSIG"
        assert run(["collect", "linz", "--bucket", str(tmp_path), "--rows", rows]) == 2
        text = "".join(capsys.readouterr())
        assert name in text
        assert "SECRETSIG" not in text


def test_a_layer_that_cannot_be_read_is_named_without_its_signature(server) -> None:
    signed = f"X-Amz-Signature={SECRETS[0]}"
    for name in ("absent.fgb", "bytes.bin", "absent.parquet"):
        with pytest.raises(UsageError, match=name) as caught:
            read_layer(f"{server.url(name)}?{signed}")
        assert "SECRETSIG" not in "".join(traceback.format_exception(caught.value))


def test_a_command_to_run_next_has_no_secret_and_keeps_paths_as_they_are() -> None:
    signed = "https://user:PASSWORD@example.com/index.parquet?sig=SECRETSIG"
    shown = console.command("list", signed, "what?key=1")
    assert shown.endswith("list https://example.com/index.parquet 'what?key=1'")


def test_an_address_printed_as_a_result_has_no_secret(capsys) -> None:
    console.say("row\thttps://example.com/a.tif?sig=SECRETSIG\t9 MB")
    assert capsys.readouterr().out == "row\thttps://example.com/a.tif\t9 MB\n"
