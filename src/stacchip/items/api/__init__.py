"""Requests to STAC APIs, for `stacchip.items.search` and the recipes of `collect`.

The files, in reading order:

```
client       an API: searches and their items, through pystac_client
bounded_io   the requests of pystac_client, with retries, deadlines and limits
pages        the next page of a search, as servers say it, and pages that lead in a circle
pace         a limit on the rate of requests
```
"""
