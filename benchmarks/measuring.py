"""Benchmarks: functions from a laboratory to rows, each registered under a name.

```python
@benchmark("decode", title="Decoding a block", method="Median of 9 runs, in turn.")
def decode(lab: Lab) -> list[Row]:
    samples = lab.in_turn({"floor": lab.question("floor", "chip", x=9, y=9)}, repeats=9)
    return [Row("one chip", samples["floor"].median() * 1e3, "ms", goal=at_most(60))]
```

Contenders take turns, round by round, so that a slow moment of the machine affects all of them.
Compare only the ratio of medians in one run. `run.py` imports the modules with such functions.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.contender import Contender
from benchmarks.environments import (
    ASYNC_GEOTIFF,
    DUCKDB,
    LITDATA,
    ORIGINAL,
    RASTERET,
    TORCHGEO,
    WEBDATASET,
    ZARR,
    Environment,
    EnvironmentUnavailable,
    ensure_environment,
)
from benchmarks.latency_server import serve
from benchmarks.scene import DATA, Scene, ensure_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LATENCY_S = 0.030
"""Seconds that the server of the benchmarks waits before it answers."""

CONTENDERS: dict[str, tuple[str, Environment | None]] = {
    # name in the tables: (module, environment; None is the one that runs the benchmarks)
    "stacchip": ("benchmarks.ours", None),
    "stacchip, streams": ("benchmarks.our_streams", None),
    "stacchip, archive": ("benchmarks.our_archive", None),
    "stacchip, processor": ("benchmarks.our_processor", None),
    "stacchip, big index": ("benchmarks.our_big_index", None),
    "stacchip, splits": ("benchmarks.our_splits", None),
    "stacchip, draws": ("benchmarks.our_draws", None),
    "floor": ("benchmarks.floor", None),
    "original": ("benchmarks.original", ORIGINAL),
    "original, prechip": ("benchmarks.original_prechip", ORIGINAL),
    "original, processor": ("benchmarks.original_processor", ORIGINAL),
    "rasterio, 16 threads": ("benchmarks.peers.rasterio_threads", None),
    "async-geotiff": ("benchmarks.peers.async_geotiff_reader", ASYNC_GEOTIFF),
    "rasteret": ("benchmarks.peers.rasteret_reader", RASTERET),
    "DuckDB": ("benchmarks.peers.duckdb_tables", DUCKDB),
    "torchgeo": ("benchmarks.peers.torchgeo_splits", TORCHGEO),
    "scikit-learn": ("benchmarks.peers.scikit_learn_splits", TORCHGEO),
    "torch": ("benchmarks.peers.torch_sampler", TORCHGEO),
    "litdata": ("benchmarks.peers.litdata_chips", LITDATA),
    "webdataset": ("benchmarks.peers.webdataset_chips", WEBDATASET),
    "zarr-python": ("benchmarks.peers.zarr_chips", ZARR),
    "stacchip, npz cubes": ("benchmarks.peers.npz_chips", None),
}


@dataclass(frozen=True)
class Goal:
    """A bound that was set for a row."""

    bound: float
    higher_is_better: bool

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.higher_is_better else value <= self.bound

    def __str__(self) -> str:
        return f"{'at least' if self.higher_is_better else 'at most'} {self.bound:.4g}"


def at_least(bound: float) -> Goal:
    """Make a goal that is met from `bound` upwards."""
    return Goal(bound, higher_is_better=True)


def at_most(bound: float) -> Goal:
    """Make a goal that is met up to `bound`."""
    return Goal(bound, higher_is_better=False)


@dataclass(frozen=True)
class Row:
    """One number of a table.

    Attributes:
        name: The label of the number.
        value: The number, in `unit`.
        unit: `s`, `ms`, `times`, `MB`, ...
        goal: The bound that was set, if any.
        range: Smallest and largest sample, if the value is the median of samples.
        bar: True if the row belongs in the bar chart: rows of one benchmark that share a unit.
        note: What a reader must know about this number only.
    """

    name: str
    value: float
    unit: str
    goal: Goal | None = None
    range: tuple[float, float] | None = None
    bar: bool = False
    note: str = ""


@dataclass(frozen=True)
class Samples:
    """The answers of one contender, in order."""

    answers: tuple[Mapping[str, Any], ...]

    def values(self, key: str = "seconds") -> list[float]:
        return [float(answer[key]) for answer in self.answers]

    def median(self, key: str = "seconds") -> float:
        return statistics.median(self.values(key))

    def row(
        self, name: str, unit: str, factor: float = 1.0, *, key: str = "seconds", **options: Any
    ) -> Row:
        """Make a row of the median of `key` times `factor`, with the range of the samples."""
        values = [value * factor for value in self.values(key)]
        spread = (min(values), max(values))
        return Row(name, statistics.median(values), unit, range=spread, **options)


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark.

    Attributes:
        name: The name that selects it on the command line.
        title: The heading of its table.
        method: How its numbers were measured.
        unlike: What is not like for like, one sentence each.
        measure: The function that measures.
        is_long: True if it runs only when it is named.
    """

    name: str
    title: str
    method: str
    unlike: tuple[str, ...]
    measure: Callable[[Lab], list[Row]]
    is_long: bool = False


BENCHMARKS: dict[str, Benchmark] = {}
"""All benchmarks by name, in the order of their definition."""


def benchmark(
    name: str, *, title: str, method: str, unlike: Sequence[str] = (), is_long: bool = False
) -> Callable[[Callable[[Lab], list[Row]]], Callable[[Lab], list[Row]]]:
    """Register a function as the benchmark `name`."""

    def register(measure: Callable[[Lab], list[Row]]) -> Callable[[Lab], list[Row]]:
        BENCHMARKS[name] = Benchmark(name, title, method, tuple(unlike), measure, is_long)
        return measure

    return register


@dataclass
class Lab:
    """The things that benchmarks share in one run: scene, server, and contenders that stay alive.

    Attributes:
        effort: Multiplies the number of repeats; below 1 for a quick look.
        left_out: Contenders that are not available here, and why.
    """

    effort: float = 1.0
    left_out: dict[str, str] = field(default_factory=dict)
    _exits: ExitStack = field(default_factory=ExitStack)
    _contenders: dict[str, Contender] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @cached_property
    def scene(self) -> Scene:
        return ensure_scene()

    @cached_property
    def url(self) -> str:
        """The address that serves `DATA` with latency."""
        return self._exits.enter_context(serve(DATA, LATENCY_S))

    @cached_property
    def scratch(self) -> Path:
        """A folder that is removed at the end."""
        import tempfile

        return Path(
            self._exits.enter_context(tempfile.TemporaryDirectory(prefix="stacchip-bench-"))
        )

    def contender(self, name: str) -> Contender:
        """Return the contender of that name; its process lives until the end of the run.

        Raises:
            EnvironmentUnavailable: Its environment cannot be made on this machine.
        """
        if name not in self._contenders:
            self._contenders[name] = self.new_contender(name)
        return self._contenders[name]

    def new_contender(self, name: str, environment: Mapping[str, str] | None = None) -> Contender:
        """Start a new process, for measures that a used one would falsify: memory, first calls."""
        module, needed = CONTENDERS[name]
        python = ensure_environment(needed) if needed else sys.executable
        contender = Contender(module, python, environment)
        self.callback(contender.close)
        return contender

    def callback(self, close: Callable[[], object]) -> None:
        """Call this at the end of the run."""
        self._exits.callback(close)

    def question(self, name: str, task: str, **arguments: Any) -> Callable[[], Mapping[str, Any]]:
        """Return a call that asks this contender to do this task, for `in_turn`."""
        return partial(self.contender(name).ask, task, **arguments)

    def available(self, *names: str) -> Iterator[str]:
        """Yield the contenders that are available here; note the others in `left_out`."""
        for name in names:
            try:
                self.contender(name)
            except EnvironmentUnavailable as reason:
                self.left_out[name] = str(reason)
            else:
                yield name

    def repeats(self, count: int) -> int:
        """Return `count` times the effort, but at least three."""
        return max(3, round(count * self.effort))

    def in_turn(
        self,
        cases: Mapping[str, Callable[[], Mapping[str, Any]]],
        *,
        repeats: int,
        warm_ups: int = 1,
    ) -> dict[str, Samples]:
        """Call every case once per round; the warm-up rounds before do not count."""
        rounds = [
            {name: case() for name, case in cases.items()}
            for _ in range(warm_ups + self.repeats(repeats))
        ]
        return {
            name: Samples(tuple(answers[name] for answers in rounds[warm_ups:])) for name in cases
        }
