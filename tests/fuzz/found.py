"""What fuzzing has found: mutants that once showed a fault, in the folders `found/KIND`.

Run as a program, it tries them all and prints their verdicts as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from .campaign import loaded, replay
from .kinds import NAMES

FOUND: Final = Path(__file__).parent / "found"


def files_of(kind: str) -> list[Path]:
    """Return the mutants of a kind."""
    return sorted(path for path in (FOUND / kind).glob("*") if path.is_file())


def main() -> None:
    verdicts = {}
    with loaded([name for name in NAMES if files_of(name)]) as kinds:
        for kind in kinds:
            for path in files_of(kind.name):
                verdict = replay(kind, path.read_bytes())
                verdicts[f"{kind.name}/{path.name}"] = [verdict.name, verdict.reason]
    sys.stdout.write(json.dumps(verdicts))


if __name__ == "__main__":
    main()
