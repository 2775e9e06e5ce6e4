"""How far a task is: a bar on a terminal, short lines in a log, JSON lines for machines."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from rich import progress as rich_progress
from rich.text import Text

from stacchip.cli.terminal import lines
from stacchip.errors import UsageError

Style = Literal["auto", "bar", "lines", "json", "none"]
STYLES: tuple[Style, ...] = get_args(Style)

style: ContextVar[Style] = ContextVar("style", default="auto")
"""How progress is shown: that of `--progress`."""

_JSON_EVERY_S = 1.0
_LINE_EVERY_S = 60.0
_BAR_WIDTHS = (8, 30)


class Meter:
    """What is done of a task, and how fast; several threads may count.

    Args:
        task: What is done, such as "Indexing".
        total: How many units there are; None if that is not known.
        unit: What is counted, such as "items".

    Attributes:
        done: Units that are done.
        size_bytes: Bytes that were written or read so far.
        last: The name of what was done last.
        counts: Other things that are counted, by name.
    """

    def __init__(self, task: str, total: int | None, unit: str) -> None:
        self.task = task
        self.total = total
        self.unit = unit
        self.done = 0
        self.size_bytes = 0
        self.last = ""
        self.counts: dict[str, int] = {}
        self._start_s = time.monotonic()
        self._lock = threading.Lock()
        self._show: Callable[[Meter], None] = lambda _: None

    def __call__(self, last: str = "", amount: int = 1, size_bytes: int = 0, **more: int) -> None:
        """Count what is done.

        Args:
            last: Its name.
            amount: Units that were done; 0 if only something else is counted.
            size_bytes: Bytes that were written or read for it.
            **more: Other things that were done, such as `items=3`.
        """
        with self._lock:
            self.done += amount
            self.size_bytes += size_bytes
            self.last = last or self.last
            for name, count in more.items():
                self.counts[name] = self.counts.get(name, 0) + count
            self._show(self)

    def step(self, last: str, total: int | None) -> None:
        """Count one thing that is done of a total that is known only now."""
        self.total = total
        self(last)

    def reach(self, last: str, done: int, total: int) -> None:
        """Note how far a task is that counts by itself."""
        with self._lock:
            self.last, self.done, self.total = last, done, total
            self._show(self)

    @contextmanager
    def shown_by(self, show: Callable[[Meter], None]) -> Iterator[Meter]:
        """Show each step while the block runs."""
        self._show = show
        try:
            yield self
        finally:
            self._show = lambda _: None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the task began."""
        return time.monotonic() - self._start_s

    @property
    def rate(self) -> float | None:
        """Units per second so far; None before the first."""
        done = self.done
        return done / max(self.elapsed_s, 1e-3) if done else None

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest will take at this rate; None if that is not known."""
        total, rate = self.total, self.rate
        return None if total is None or not rate else max(0, total - self.done) / rate

    def describe(self, room: int | None = None) -> str:
        """Return what is done, how fast, and what is left.

        Args:
            room: The most characters to use: less important parts are left out. The count stays.
        """
        done = f"{self.done}{f'/{self.total}' if self.total else ''} {self.unit}".rstrip()
        size = format_size(self.size_bytes) if self.size_bytes else ""
        # told once: between two questions time passes, and another thread may count
        speed, left_s = self._describe_speed(), round(self.eta_s or 0.0)
        left = f"{timedelta(seconds=left_s)} left" if left_s else ""
        counts = [f"{count} {name}" for name, count in list(self.counts.items())]
        parts = [done, *counts, size, speed, left]
        for part in (*counts, speed, size, left):
            if room is not None and len(", ".join(filter(None, parts))) > room:
                parts[parts.index(part)] = ""
        return ", ".join(filter(None, parts))

    def _describe_speed(self) -> str:
        if self.size_bytes:
            return f"{format_size(self.size_bytes / max(self.elapsed_s, 1e-3))}/s"
        rate = self.rate
        return f"{rate:.3g}/s" if rate else ""

    def to_json(self) -> dict[str, Any]:
        """Return the object of a JSON line."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "time": now,
            "event": "progress",
            "task": self.task,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "bytes": self.size_bytes,
            "rate": None if self.rate is None else round(self.rate, 4),
            "eta_s": None if self.eta_s is None else round(self.eta_s, 1),
            "last": self.last,
            **self.counts,
        }


@contextmanager
def progress(task: str, total: int | None, unit: str = "items") -> Iterator[Meter]:
    """Show how far a task is, in the style of `--progress`; call what is yielded at each step.

    Args:
        task: What is done, such as "Indexing".
        total: How many units there are; None if that is not known.
        unit: What is counted.

    Example:
        >>> with progress("Indexing", 2) as advance:
        ...     advance("one.json")
        ...     advance("two.json")
    """
    meter = Meter(task, total, unit)
    with _DISPLAYS[_choose_style()](meter):
        yield meter


@contextmanager
def stages(task: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a task that reports its own progress: (stage, amount done, total amount)."""
    meter = Meter(task, None, "")
    chosen = _choose_style()
    with _show_stages(meter) if chosen == "lines" else _DISPLAYS[chosen](meter):
        yield meter.reach


def _choose_style() -> Style:
    chosen = style.get()
    if chosen == "bar" and not lines.err.is_terminal:
        raise UsageError("--progress bar needs a terminal: take lines or json.")
    return ("bar" if lines.err.is_terminal else "lines") if chosen == "auto" else chosen


@contextmanager
def _show_nothing(_meter: Meter) -> Iterator[None]:
    yield


@contextmanager
def _show_lines(meter: Meter) -> Iterator[None]:
    """Write a line for each tenth of a task, or once a minute: this keeps a log short.

    Without a total, a line comes after 10 units, 20, 40, and so on.
    """
    shown_s, shown, due = 0.0, -1, max(1, (meter.total or 100) // 10)

    def show(meter: Meter) -> None:
        nonlocal shown_s, shown, due
        is_late = meter.elapsed_s - shown_s >= _LINE_EVERY_S
        is_last = meter.done == meter.total != shown
        if meter.done >= due or is_last or is_late:
            step = max(1, meter.total // 10 if meter.total else meter.done)
            shown_s, shown = meter.elapsed_s, meter.done
            due = meter.done - meter.done % step + step
            lines.note(f"{meter.task}: {meter.describe()}: {meter.last}".rstrip(": "))

    with meter.shown_by(show):
        yield


@contextmanager
def _show_stages(meter: Meter) -> Iterator[None]:
    seen: set[str] = set()

    def show(meter: Meter) -> None:
        if meter.last not in seen:
            seen.add(meter.last)
            lines.note(f"{meter.task}: {meter.last}")

    with meter.shown_by(show):
        yield


@contextmanager
def _show_json(meter: Meter) -> Iterator[None]:
    """Write a JSON object a second at most, and those of the begin and the end."""
    shown_s = 0.0
    lines.note(json.dumps(meter.to_json()))

    def show(meter: Meter) -> None:
        nonlocal shown_s
        if meter.elapsed_s - shown_s >= _JSON_EVERY_S:
            shown_s = meter.elapsed_s
            lines.note(json.dumps(meter.to_json()))

    try:
        with meter.shown_by(show):
            yield
    finally:
        lines.note(json.dumps(meter.to_json()))


@contextmanager
def _show_bar(meter: Meter) -> Iterator[None]:
    """Draw a bar on a line of its own, below what is printed meanwhile."""
    bar = rich_progress.Progress(
        _OneLine(meter),
        console=lines.err,
        # else a result that is piped to a file would be printed on the terminal
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        number = bar.add_task(meter.task, total=meter.total)
        with meter.shown_by(lambda meter: bar.update(number, completed=meter.done)):
            yield


class _OneLine(rich_progress.ProgressColumn):
    """The whole bar: what does not fit into the width is left out from the right."""

    max_refresh = 0.2

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: rich_progress.Task) -> Text:  # noqa: ARG002 - the meter knows more
        marks = "━ " if (lines.err.encoding or "").startswith("utf") else "#-"
        text = draw_line(self._meter, lines.err.width, marks)
        return Text(text, no_wrap=True, overflow="crop")


def draw_line(meter: Meter, width: int, marks: str = "#-") -> str:
    """Return a bar as text that is not wider than a terminal.

    Args:
        meter: What is done.
        width: The terminal's.
        marks: The characters for what is done and what is not.

    Example:
        >>> meter = Meter("Cutting", 4, "chips")
        >>> meter.done = 1
        >>> draw_line(meter, 27)
        'Cutting ##------ 1/4 chips'
    """
    least, most = _BAR_WIDTHS if meter.total else (0, 0)
    name = f"{meter.task} "
    room = width - 1 - len(name)  # a full last column makes some terminals fold the line
    text = meter.describe(room - least - 1)
    last = f"  {meter.last}" if meter.last else ""
    free = room - len(text)
    bar = max(least, min(most, free - len(last) - 1))
    line = f"{name}{_draw_bar(meter, bar, marks)}{text}"
    rest = width - 1 - len(line)
    if len(last) > rest >= least + 2:
        last = f"{last[: rest - 1]}…"
    return f"{line}{last if len(last) <= rest else ''}"[: width - 1]


def _draw_bar(meter: Meter, width: int, marks: str) -> str:
    if not meter.total:
        return ""
    filled = round(width * min(1.0, meter.done / meter.total))
    return f"{marks[0] * filled}{marks[1] * (width - filled)} "


def format_size(size_bytes: float) -> str:
    """Return a size for people to read.

    Example:
        >>> format_size(999), format_size(1_500_000)
        ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.4g} TB"


_DISPLAYS: dict[Style, Callable[[Meter], contextlib.AbstractContextManager[None]]] = {
    "bar": _show_bar,
    "lines": _show_lines,
    "json": _show_json,
    "none": _show_nothing,
}
