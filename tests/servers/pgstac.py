"""A real STAC API on loopback: stac-fastapi-pgstac on PostgreSQL 15 with PostGIS.

```python
with PgstacServer(tmp_path) as server:
    server.load(collections=[collection], items=[item])
    pystac_client.Client.open(server.url)
```

It uses what `install.sh` has installed, and skips the test with a reason if that is absent.
PostgreSQL refuses to run as root; for root it runs as the user `postgres`.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).parents[2]
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
POSTGIS = Path("/usr/share/postgresql/15/extension/postgis.control")
VENV = Path(os.environ.get("STACCHIP_PGSTAC_VENV", ROOT / ".venvs" / "pgstac"))
START_S = 60

# without these, pgstac sorts and compares numbers as text
NUMBERS = ("eo:cloud_cover", "s2:nodata_pixel_percentage", "gsd", "landsat:cloud_cover_land")
STRINGS = ("grid:code", "platform", "naip:year", "naip:state", "modis:tile-id")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PgstacServer:
    """PostgreSQL with the API in front of it, started in `folder`, stopped by their pids."""

    def __init__(self, folder: Path) -> None:
        self._skip_if_absent()
        self.folder = folder / "pgstac"
        self.folder.mkdir(parents=True)
        self.database_port = free_port()
        self.api_port = free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        self._user = "postgres" if os.geteuid() == 0 else None
        self._outside: Path | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def _skip_if_absent() -> None:
        needed = (POSTGRES_BIN / "postgres", POSTGIS, VENV / "bin" / "uvicorn")
        absent = [str(path) for path in needed if not path.exists()]
        if absent:
            pytest.skip(f"no pgstac here: {', '.join(absent)} (run `make servers`)")

    # -- start and stop ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._start_database()
            self._migrate()
            self._start_api()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the API, then the database; a second call does nothing."""
        while self._processes:
            process = self._processes.pop()
            process.send_signal(signal.SIGINT)  # makes PostgreSQL disconnect everyone, then stop
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._outside is not None:
            shutil.rmtree(self._outside, ignore_errors=True)

    def _start_database(self) -> None:
        data = self._database_folder()
        self._as_database_user(
            [POSTGRES_BIN / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
             "--no-locale", "--no-sync"]
        )  # fmt: skip
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "64MB",
            "jit": "off",
        }
        command = [POSTGRES_BIN / "postgres", "-D", data, "-p", str(self.database_port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._spawn(command, "postgres.log", user=self._user)
        ready = [
            POSTGRES_BIN / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.database_port),
        ]
        self._wait_for(lambda: subprocess.run(ready, check=False).returncode == 0, "postgres.log")

    def _database_folder(self) -> Path:
        """Make a folder that the database's user may enter, unlike those of pytest."""
        if self._user is None:
            return self.folder / "data"
        self._outside = Path(tempfile.mkdtemp(prefix="stacchip-pgstac-"))
        account = pwd.getpwnam(self._user)
        os.chown(self._outside, account.pw_uid, account.pw_gid)
        return self._outside / "data"

    def _as_database_user(self, command: list[Any]) -> None:
        done = subprocess.run(
            [str(word) for word in command],
            user=self._user,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]}: {done.stderr}"

    def _migrate(self) -> None:
        self._in_venv("createdb", binary=POSTGRES_BIN / "createdb", arguments=["stac"])
        self._in_venv("migrate", arguments=["migrate"])
        queryables = {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "type": "object",
            "properties": {
                **{name: {"title": name, "type": "number"} for name in NUMBERS},
                **{name: {"title": name, "type": "string"} for name in STRINGS},
            },
        }
        self._load_file("load_queryables", queryables)
        self.sql(
            "INSERT INTO pgstac.pgstac_settings (name, value) VALUES ('context', 'on') "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )

    def _start_api(self) -> None:
        command = [
            VENV / "bin" / "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory",
            "--host", "127.0.0.1", "--port", str(self.api_port), "--log-level", "warning",
        ]  # fmt: skip
        self._spawn(command, "api.log", env=self._environment())
        self._wait_for(self._answers, "api.log")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/collections", timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _spawn(self, command: list[Any], log: str, **options: Any) -> None:
        with (self.folder / log).open("wb") as out:
            self._processes.append(
                subprocess.Popen(
                    [str(word) for word in command], stdout=out, stderr=out, cwd="/", **options
                )
            )

    def _wait_for(self, ready: Any, log: str) -> None:
        until = time.monotonic() + START_S
        while not ready():
            text = (self.folder / log).read_text(errors="replace")[-2000:]
            assert self._processes[-1].poll() is None, f"{log}: {text}"
            assert time.monotonic() < until, f"not ready after {START_S} s; {log}: {text}"
            time.sleep(0.1)

    # -- what is in it -----------------------------------------------------------------------------

    def load(
        self, collections: list[dict[str, Any]] | None = None, items: list[Any] | None = None
    ) -> None:
        """Add or replace collections and items (each item's `collection` must exist)."""
        if collections:
            self._load_file("load collections", *collections)
        if items:
            self._load_file("load items", *items)

    def clear(self) -> None:
        """Remove every item and collection."""
        self.sql("SELECT pgstac.delete_collection(id) FROM pgstac.collections")

    def sql(self, statement: str) -> str:
        """Run one statement as the database's owner."""
        return self._in_venv(
            "psql", binary=POSTGRES_BIN / "psql", arguments=["-qAtc", statement, "stac"]
        )

    def _load_file(self, command: str, *records: Any) -> None:
        path = self.folder / f"{command.replace(' ', '-')}.ndjson"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        arguments = [*command.split(), str(path)]
        if command.startswith("load "):
            arguments += ["--method", "upsert"]
        self._in_venv(command, arguments=arguments)

    def _in_venv(
        self, name: str, *, arguments: list[str], binary: Path = VENV / "bin" / "pypgstac"
    ) -> str:
        done = subprocess.run(
            [str(binary), *arguments],
            env=self._environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr or done.stdout}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.database_port),
            "PGUSER": "postgres",
            "PGPASSWORD": "unused",
            "PGDATABASE": "stac",
            "DB_MIN_CONN_SIZE": "1",
            "DB_MAX_CONN_SIZE": "4",
        }
