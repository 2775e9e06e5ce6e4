"""Fuzz stacchip: mutants of what comes from outside, each in a process with limits.

    python -m fuzz --seconds 60 --seed 1            all kinds, 15 s each
    python -m fuzz --kind tiff --count 20000        so many of one kind
    python -m fuzz --replay tiff:1:4711             one mutant again
    python -m fuzz --replay tests/fuzz/found/tiff/a.tif

The same seed gives the same mutants, with the same versions of the libraries that write the corpus.
Exit code 1 says that a fault was found: an error that is no StacchipError, a crash, a hang, more
than 1 GB, or values that differ from the oracle's.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .campaign import Campaign, loaded, replay
from .kinds import NAMES, dice_of


def main(arguments: list[str] | None = None) -> int:
    """Run as the command line says; return the exit code."""
    options = _parse(arguments)
    if options.replay:
        return _replay(options.replay)
    seed = options.seed if options.seed is not None else int(time.time())
    kinds = options.kind or list(NAMES)
    seconds = options.seconds if options.count is None or options.seconds else None
    seconds = seconds or (3600.0 if options.count is None else 1e9)
    limit = f"{options.count} mutants each" if options.count else f"{seconds:.0f} s"
    _say(f"fuzzing {', '.join(kinds)} with seed {seed}, {limit}")
    campaign = Campaign(seed, faults=options.faults, say=_say)
    campaign.run(kinds, seconds=seconds, count=options.count)
    _say(campaign.tally.table())
    _say(campaign.tally.why())
    if campaign.tally.faults:
        _say(f"{campaign.tally.faults} faults; the mutants are in {options.faults}")
    return int(campaign.tally.faults > 0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--kind", action="append", choices=NAMES, help="a kind; several may be given"
    )
    parser.add_argument("--seconds", type=float, help="of all kinds together; 3600 without --count")
    parser.add_argument("--count", type=int, help="mutants of each kind")
    parser.add_argument("--seed", type=int, help="by default the clock's")
    parser.add_argument("--faults", type=Path, default=Path("fuzz-faults"), help="where faults go")
    parser.add_argument("--replay", help="KIND:SEED:NUMBER, or a file")
    return parser.parse_args(arguments)


def _replay(which: str) -> int:
    path = Path(which)
    if path.exists():
        (name,) = [name for name in NAMES if name in path.parts or path.name.startswith(name)][:1]
    else:
        name = which.partition(":")[0]
    with loaded([name]) as (kind,):
        if path.exists():
            mutant = path.read_bytes()
        else:
            _, seed, number = which.split(":")
            mutant = kind.mutant(int(number), dice_of(name, int(seed), int(number)))
        verdict = replay(kind, mutant)
    _say(f"{verdict.name}: {verdict.reason}\n{verdict.detail}")
    return int(verdict.is_fault)


if __name__ == "__main__":
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others reserve gigabytes
    sys.exit(main())
