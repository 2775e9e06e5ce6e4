"""Threads, memory, state and files, for every process. Nothing here knows imagery.

In reading order:

- `per_process`: a value that each process makes for itself, so that it never crosses a fork.
- `workers`: threads that start on demand and stop before the interpreter exits.
- `pools`: all threads that live as long as the process, and which of them may wait for which.
- `task_name`: the name of the task that a thread works on, for the log.
- `tasks`: tasks that one caller gives to a pool, and waits for together.
- `concurrently`: many calls at once, within one call of our own.
- `memory`: reusable buffers.
- `open_files`: how many files a reader keeps open.
- `registry`: values by name, to which other packages add theirs by entry point.
- `percent`: shares as percentages, for messages.
- `counts`: numbers of things, for messages.
- `near_names`: lists of what exists, for messages about a name that does not.
- `names`: names that a caller gives: several, or one as a plain string.
- `odd_values`: the errors that values raise where nobody expected them.
- `lazy_names`: names of a package that are loaded when they are first used.
- `unwritable`: errors of what cannot be written, with the path.
- `presence`: whether something is at a local path, for a user who may not look.
- `whole_file`: local files that appear whole or not at all, scratch folders, locks.
- `key_hash`: numbers that look random, and depend on a key alone.
- `cache_folder`: the folder of what can be made again, shared by a user's processes.

This folder imports only `stacchip.errors`.

How to run things at the same time:

- For many calls that each wait for a store, use `map_concurrently` if the caller needs all results
  at once, or `stream_concurrently` if it needs them one by one, in order. A function that one of
  them runs must call neither.
- For tasks that decode, or that outlive the call that submits them, use a pool of `pools`. Its
  threads never delay the end of the process, and a task must report its own errors.
- If the calls themselves call `map_concurrently` (whole items, whole files), or if the user sets
  their number (`--workers`), use a `ThreadPoolExecutor` that one function makes and ends.

A value that must not cross a fork (a connection, a lock, a thread) is a `PerProcess`; no module
compares process ids by itself. To add a pool, add a line to `pools`; its place in the table there
says what its tasks may wait for.
"""
