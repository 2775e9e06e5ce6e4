"""Run the benchmarks: `python -m benchmarks.run [NAME ...]`, as `make bench` does.

The first run makes the scene (a minute or two, 1.1 GB in `benchmarks/data`), the environments of
the peers (`benchmarks/.venvs`) and many small indexes (another minute, 0.3 GB). `processor` needs
10 GB for temporary files while it runs. `scale` runs only if it is named: it makes an index of 10^8
chips first, which takes 20 minutes and 20 GB.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from importlib import import_module

from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.measuring import BENCHMARKS, Lab
from benchmarks.results import FOLDER, make_result, print_result, save

# importing a module registers its benchmarks, in this order
for _module in (
    "indexing",
    "random_chips",
    "epochs",
    "later_epochs",
    "archive",
    "processor",
    "scale",
    "splits",
    "draws",
):
    import_module(f"benchmarks.{_module}")


def main() -> int:
    """Run the named benchmarks, or all; a missed goal is reported and is not an error."""
    # exit as after Ctrl-C, so that servers and contenders end, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _parse_arguments()
    console = Console()
    if options.list:
        for each in BENCHMARKS.values():
            console.print(f"{each.name:16s} {each.title}", highlight=False)
        return 0
    machine = describe_machine()
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average_1min']}",
        highlight=False,
    )
    results = {}
    with Lab(effort=options.effort) as lab:
        for name in options.names or _usual():
            begin = time.perf_counter()
            lab.left_out.clear()
            rows = BENCHMARKS[name].measure(lab)
            context = {"left_out": dict(lab.left_out), "machine": machine}
            results[name] = make_result(BENCHMARKS[name], rows, context)
            print_result(console, results[name])
            console.print(
                f"  ({time.perf_counter() - begin:.0f} s)\n", style="dim", highlight=False
            )
    if not options.dry_run:
        save(results, list(BENCHMARKS))
        console.print(f"written to {FOLDER}", highlight=False)
    return 0


def _usual() -> list[str]:
    return [each.name for each in BENCHMARKS.values() if not each.is_long]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], metavar="NAME")
    parser.add_argument("--list", action="store_true", help="list the names and exit")
    parser.add_argument("--effort", type=float, default=1.0, help="multiply the number of repeats")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the results, and write no file"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
