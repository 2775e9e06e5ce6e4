"""From catalogues to an archive: imagery, items and indexes of many sources in one bucket.

A run works through the rows of a sample. For each row it searches a catalogue, chooses items, and
stores each item in the archive: first its files, then the item, then its index. Every object
appears whole or not at all, so a run that was killed is simply started again.

In reading order:

- `recipe`: what a source adds to the pipeline, and what a user may choose.
- `recipes/`: the sources, one module each, and how to add one.
- `sample`: the rows, from a layer or a list.
- `catalogue`: a STAC API or a static catalogue, searched.
- `choice`: the rules that choose items.
- `settings`: what a run needs to know besides the choices: where to write, how to reach stores.
- `job`: one row from start to end; `Job.archive` stores one item. Start here.
- `files`: the files of one item; `transfer`: one file, copied or converted.
- `stored_item`: the item as the archive keeps it.
- `proof`: a chip cut from what was stored, before an item counts as done.
- `run`: many rows, in threads or on a Dask cluster.
- `empty_run`: why a run found nothing, and what the catalogue has.
- `report`: what became of items, rows and the run.

This folder imports from `indexer` and the folders before it. It neither prints nor reads
environment variables; `cli.commands.collect` does.
"""
