"""nginx with Lua in front of a real server: delay, 429 and 503, dropped connections, counts.

```python
with Nginx(tmp_path, upstream=store_url, delay_s=0.03, requester_pays=("usgs-landsat",)) as proxy:
    ...                                    # talk to proxy.url
    proxy.count("GET", "/sentinel-cogs/")  # requests so far whose path begins with this
    proxy.set(fail_rate=0.2, fail_status=503, retry_after_s=1)
```

It passes on the host that the client named, so that S3 signatures stay valid. It logs every request
as a line of JSON.

It also stands in for Azure and the Planetary Computer's token service. As an HTTP proxy for
`http://{account}.blob.core.windows.net/...` it demands a signature that it has given out under
`/sas/{account}/{container}`, and passes the request on to `/public-bucket/...` behind it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from .pgstac import free_port

NGINX = Path("/usr/sbin/nginx")
MODULES = Path("/usr/lib/nginx/modules")
START_S = 20

# Decides about a request before it is passed on. The state is a shared dictionary, which a test can
# change while the server runs (through /__set).
ACCESS = """
local state = ngx.shared.state
local method, path = ngx.req.get_method(), ngx.var.uri
local delay = state:get("delay_s") or 0
if delay > 0 then ngx.sleep(delay) end
for bucket in string.gmatch(state:get("requester_pays") or "", "[^,]+") do
  local inside = string.sub(path, 1, #bucket + 2) == "/" .. bucket .. "/"
  if inside and ngx.req.get_headers()["x-amz-request-payer"] ~= "requester" then
    return ngx.exit(403)
  end
end
local host = ngx.var.host
if string.sub(host, -22) == ".blob.core.windows.net" then
  -- a signature is the moment it was made; Azure answers 403 to one that has ended
  local made = tonumber(ngx.var.arg_sig)
  if made == nil or ngx.now() > made + (state:get("sas_life_s") or 3600) then
    return ngx.exit(403)
  end
  ngx.req.set_uri("/public-bucket" .. path)
  ngx.req.set_uri_args({})
end
local only = state:get("fail_methods") or ""
local prefix = state:get("fail_prefix") or ""
local eligible = (only == "" or string.find("," .. only .. ",", "," .. method .. ",", 1, true))
  and string.sub(path, 1, #prefix) == prefix
local budget = state:get("fail_count")
if budget ~= nil then
  eligible = eligible and budget > 0
end
if eligible and math.random() < (state:get("fail_rate") or 0) then
  if budget ~= nil then state:incr("fail_count", -1) end
  local status = state:get("fail_status") or 503
  if status == 444 then return ngx.exit(444) end  -- nginx's own: close without an answer
  local wait = state:get("retry_after_s")
  if wait ~= nil then ngx.header["Retry-After"] = tostring(wait) end
  return ngx.exit(status)
end
"""

CONFIG = """
{modules}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 1;
daemon off;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  log_format requests escape=json
    '{{"method":"$request_method","path":"$uri","query":"$args","status":$status,'
    '"sent":$body_bytes_sent,"received":$request_length,"time":$msec,"range":"$http_range"}}';
  lua_shared_dict state 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  tcp_nopush off;                 # on, it stalls small ranges by 40 ms on loopback
  keepalive_requests 1000000;
  init_worker_by_lua_block {{ math.randomseed({seed}) }}
  upstream behind {{ server {upstream}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port};
    location = /__set {{
      content_by_lua_block {{
        for name, value in pairs(ngx.req.get_uri_args()) do
          local typed = value
          if name ~= "requester_pays" and name ~= "fail_methods" and name ~= "fail_prefix" then
            typed = tonumber(value)
          end
          if value == "none" then typed = nil end
          ngx.shared.state:set(name, typed)
        end
        ngx.say("ok")
      }}
    }}
    location /sas/ {{
      access_log {folder}/requests.log requests;
      content_by_lua_block {{
        local life = ngx.shared.state:get("sas_life_s") or 3600
        ngx.say(string.format(
          '{{"token": "sig=%.3f", "msft:expiry": "%s"}}',
          ngx.now(), os.date("!%Y-%m-%dT%H:%M:%SZ", ngx.now() + life)
        ))
      }}
    }}
    location / {{
      access_log {folder}/requests.log requests;
      access_by_lua_block {{ {access} }}
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout 120s;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Request:
    """One request as nginx saw it."""

    method: str
    path: str
    query: str
    status: int
    sent: int
    received: int
    time: float
    range: str


class Nginx:
    """A proxy before `upstream` (`http://host:port`), started in `folder`, stopped by its pid.

    Args:
        folder: Folder for its configuration and logs, such as a pytest `tmp_path`.
        upstream: The server behind it.
        seed: Seed of the draws that decide which request fails.
        **behaviour: The arguments of `set`.
    """

    def __init__(self, folder: Path, *, upstream: str, seed: int = 0, **behaviour: Any) -> None:
        self._skip_if_absent()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder / f"nginx-{self.port}"
        self.folder.mkdir(parents=True)
        self._behaviour = behaviour
        self._config = self.folder / "nginx.conf"
        self._config.write_text(
            CONFIG.format(
                modules="\n".join(
                    f"load_module {MODULES / name};"
                    for name in ("ndk_http_module.so", "ngx_http_lua_module.so")
                ),
                folder=self.folder,
                user="user root;" if os.geteuid() == 0 else "",
                seed=seed,
                upstream=upstream.removeprefix("http://"),
                port=self.port,
                access=ACCESS,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @staticmethod
    def _skip_if_absent() -> None:
        needed = (NGINX, MODULES / "ngx_http_lua_module.so", MODULES / "ndk_http_module.so")
        absent = [str(path) for path in needed if not path.exists()]
        if absent:
            pytest.skip(f"no nginx with Lua here: {', '.join(absent)} (run `make servers`)")

    def __enter__(self) -> Self:
        with (self.folder / "start.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(NGINX), "-c", str(self._config), "-p", str(self.folder)],
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
            if self._behaviour:
                self.set(**self._behaviour)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait(self) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                self.set()
                return
            except (urllib.error.URLError, OSError):
                log = (self.folder / "start.log").read_text(errors="replace")
                assert self._process is not None
                assert self._process.poll() is None, log
                assert time.monotonic() < until, log
                time.sleep(0.05)

    def set(
        self,
        *,
        delay_s: float | None = None,
        fail_rate: float | None = None,
        fail_status: int | None = None,
        fail_methods: tuple[str, ...] | None = None,
        fail_prefix: str | None = None,
        fail_count: int | None = None,
        retry_after_s: int | None = None,
        requester_pays: tuple[str, ...] | None = None,
        sas_life_s: float | None = None,
    ) -> None:
        """Change its behaviour from now on; what is not named stays as it is.

        Args:
            delay_s: Wait before each request.
            fail_rate: Share of requests that fail (0..1).
            fail_status: Status of failures: 503, 429, ..., or 444 to hang up unanswered.
            fail_methods: Only these methods fail; empty for all.
            fail_prefix: Only paths that begin with this fail.
            fail_count: At most this many more requests fail; -1 for no limit.
            retry_after_s: The Retry-After header of a failure; -1 for none.
            sas_life_s: Lifetime of a token of `/sas/` for hosts of Azure.
            requester_pays: Buckets that answer 403 without `x-amz-request-payer: requester`.
        """
        words = {
            "delay_s": delay_s,
            "sas_life_s": sas_life_s,
            "fail_rate": fail_rate,
            "fail_status": fail_status,
            "fail_methods": None if fail_methods is None else ",".join(fail_methods),
            "fail_prefix": fail_prefix,
            "fail_count": "none" if fail_count == -1 else fail_count,
            "retry_after_s": "none" if retry_after_s == -1 else retry_after_s,
            "requester_pays": None if requester_pays is None else ",".join(requester_pays),
        }
        query = "&".join(f"{name}={value}" for name, value in words.items() if value is not None)
        with urllib.request.urlopen(f"{self.url}/__set?{query}", timeout=5) as reply:
            assert reply.read() == b"ok\n"

    # -- what it saw -------------------------------------------------------------------------------

    def requests(self) -> list[Request]:
        """Return the requests since the start or the last `forget`, in the order they ended."""
        path = self.folder / "requests.log"
        if not path.exists():
            return []
        with path.open("rb") as log:
            log.seek(self._read_from)
            lines = log.read().decode().splitlines()
        return [Request(**json.loads(line)) for line in lines]

    def forget(self) -> None:
        """Forget the requests so far."""
        path = self.folder / "requests.log"
        self._read_from = path.stat().st_size if path.exists() else 0

    def count(self, method: str | None = None, prefix: str = "", status: int | None = None) -> int:
        """Return the number of requests with this method, beginning of the path, and status."""
        return sum(
            (method is None or request.method == method)
            and request.path.startswith(prefix)
            and (status is None or request.status == status)
            for request in self.requests()
        )
