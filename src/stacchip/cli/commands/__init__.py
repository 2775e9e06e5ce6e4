"""The commands of `stacchip`, one module for each topic.

- `demo`: a sample archive to try everything on.
- `indexes`: `index`, `merge`; what `index` prints is in `index_output`,
  and what it searches for in `index_search`.
- `growing`: `add`, `remove`, `compact`.
- `looking`: `info`, `list`.
- `splitting`: `split`.
- `leakage`: `check-leakage`.
- `drawing`: `draw`.
- `warming`: `warm`.
- `headers`: the headers of files that an index keeps.
- `chips`: `chip`, `preview`.
- `collect`: imagery of a source into a bucket; its options are in `collect_options`, what it prints
  in `collect_output`, how to run failed rows again in `collect_again`, and the command behind the
  script of one source in `collect_source`.
- `prechip`: cubes of chips.
- `stats`: statistics of bands; which chips they are of is told in `stats_notes`.

A command is a function whose parameters are typer's options. It calls the library, prints its
results with `console.say`, and raises errors for `console.run_app` to report. To add one, write the
function, then add it to `cli/app.py`. If it also needs a console script, add a line to
`cli/scripts.py` and one to `[project.scripts]` in `pyproject.toml`. Modules here import from
anywhere in `stacchip`, but not from another topic.
"""
