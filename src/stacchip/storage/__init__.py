"""Bytes by URL: local files, HTTP(S), and the object stores of Amazon, Google and Azure.

```python
storage = Storage()
identity = storage.stat("s3://sentinel-cogs/.../B04.tif")
head = storage.read_range("s3://sentinel-cogs/.../B04.tif", 0, 65536, expect=identity)
```

In reading order:

- `storage`: `Storage`, the verbs for every kind of place.
- `href`, `identity`, `options`: an address, a version of an object, and how to reach it.
- `secret_names`, `redaction`: secrets in addresses, left out of what is shown and of what is kept.
- `limits`: the most that a file, an answer or an item from outside may make us hold.
- `local_hosts`: hosts that only this machine can reach, however an address spells them.
- `aws_profile`: the keys of AWS profiles.
- `requester`: chooses options, signs, counts; everything remote passes through it.
- `origin`: the server that an address names, to which its credentials are bound.
- `retry`, `failure`: whether to try again, and the error to raise. The docstring of `retry` lists
  everything that stacchip tries again.
- `deadline`: a deadline for calls that take none.
- `contact`: what the log says of hosts that do not answer.
- `foreign_logs`: what urllib3 and botocore log of our requests, without secrets.
- `content`: what came in place of a file, such as a web page.
- `documents`: JSON from outside, within limits of size, growth and depth.
- `ranges`, `copying`, `remote_file`: join ranges, copy in parts, read an object as a file.
- `file_over`: a file that takes the place of one version, and of no other.
- `listing`: what lies below a folder of a store, page by page.
- `writable`: whether a place can be written to, before the work whose result goes there.
- `transports/`: one attempt of one request, by kind of place.
- `s3/`: operations that only S3 has, through boto3.

It imports `stacchip.errors` and `stacchip.runtime`, and knows no imagery.

Secrets are removed in one place, `redaction`: `redact` does so before an href reaches an error, a
log or a `repr`, `redact_text` in a text of another library, and `unsign` before an href is stored.
Errors of obstore, urllib3 and boto3 are translated and not chained, since their texts may hold
keys. Options hide their keys in their `repr`.

These environment variables count here: `AWS_*` (`options`, `aws_profile`), `GOOGLE_*` and
`AZURE_STORAGE_*` (obstore, `object_clients`), `http_proxy` and the like (`web_connection`), and one
of stacchip's own, `STACCHIP_PC_SAS_URL` (`planetary_computer`).

To add a kind of place, add a module in `transports/` with one function for each verb, a scheme in
`href.parse_href`, and a branch in each verb of `Storage`. An S3-compatible service needs no code,
only `StorageOptions(endpoint=...)`.
"""

from stacchip.storage.href import child_href, is_remote, join_href, local_path, parent_href
from stacchip.storage.identity import Blob, Entry, Identity
from stacchip.storage.limits import Limits
from stacchip.storage.options import StorageOptions
from stacchip.storage.redaction import redact, redact_text, unsign
from stacchip.storage.storage import Storage

__all__ = [
    "Blob",
    "Entry",
    "Identity",
    "Limits",
    "Storage",
    "StorageOptions",
    "child_href",
    "is_remote",
    "join_href",
    "local_path",
    "parent_href",
    "redact",
    "redact_text",
    "unsign",
]
