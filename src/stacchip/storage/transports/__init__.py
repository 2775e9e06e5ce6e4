"""Transports: make one attempt of one request, for each kind of place.

- `local`: files; their errors are translated here, and nothing is tried again.
- `web`: HTTP(S) reads, with ranges, redirects and encodings checked.
- `web_failure`: errors of urllib3 and of sockets, as ours.
- `redirects`: where a redirect may lead.
- `web_connection`: urllib3's connections below it, with one deadline for head and body.
- `host_lookup`: addresses of hosts, within a deadline, and which of them are refused.
- `encoded_body`: decompresses bodies, no further than a limit.
- `objects`: S3, Google and Azure through obstore, with its errors translated.
- `object_clients`: obstore's clients, one for each bucket and set of options; regions of buckets.
- `planetary_computer`: signs web addresses of Planetary Computer.

A function here makes one attempt. It raises `failure.TransientError` if another attempt may
succeed, and a `StorageError` if not; `storage.retry` decides what follows. The folder imports the
modules of `storage` that describe things (`href`, `identity`, `options`, `failure`, `retry`), never
`Storage` itself.
"""
