"""What every process needs, whatever it reads: threads, memory, state, files. Knows no imagery.

In reading order:

- `per_process`: a value that each process makes for itself, so that a fork shares none of it.
- `workers`: threads that start on demand and stop before the interpreter exits.
- `pools`: the list of all threads that live as long as the process, and which may wait for which.
- `concurrently`: many calls at once, within one call of our own.
- `memory`: buffers that are used again.
- `registry`: values by name, to which other packages add theirs by entry point.
- `whole_file`: local files that appear whole or not at all, scratch folders, locks.

It imports `stacchip.errors` only.

How to run things at the same time:

- The calls are many, each waits for a store, and the caller needs all results:
  `map_concurrently`. If it needs them one by one, in order: `stream_concurrently`. Neither may be
  called from a function that one of them runs.
- Tasks outlive the call that submits them, or decode: a pool of `pools`. Its threads never delay
  the end of the process, and a task must report its own errors.
- The calls themselves call `map_concurrently` (whole items, whole files), or their number is the
  user's (`--workers`): a `ThreadPoolExecutor`, made and ended within one function.

A value that must not cross a fork (a connection, a lock, a thread) is a `PerProcess`; no module
compares process ids by itself. A new pool is a line in `pools`, in the place that says what its
tasks may wait for.
"""
