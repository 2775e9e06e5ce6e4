"""Requests to STAC APIs, for `stacchip.items.search` and the recipes of `collect`.

The files, in reading order:

```
client   an API: searches and their items, with retries and limits; the home of pystac_client
pages    the next page of a search, as servers say it, and pages that lead in a circle
pace     a limit on the rate of requests
```
"""
