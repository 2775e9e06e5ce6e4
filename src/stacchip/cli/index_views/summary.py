"""The contents of an index, summed up for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from rich.table import Table

from stacchip.index.files.contents import count_tenths
from stacchip.sources import clouds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import date

    import pyarrow as pa
    from numpy.typing import NDArray

COLUMNS = (
    "platform", "item_id", "chip_size", "cloud_cover_percentage", "nodata_percentage", "bbox",
    "date",
)  # fmt: skip
"""The columns of an index that its summary needs."""

_BINS = 10
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass
class ShareSummary:
    """A share of the chips of one source, summed up.

    Attributes:
        tenths: Chips by their share, in ten steps from 0 to 1.
        unmeasured: Number of chips whose share was not measured.
        absent: What to say if no chip was measured.
    """

    absent: str = "not measured"
    tenths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    unmeasured: int = 0

    def add(self, column: pa.ChunkedArray) -> None:
        """Add the shares of chips, 0..1; null and NaN are not measured."""
        values = column.drop_null().to_numpy()
        values = values[~np.isnan(values)]
        self.tenths += count_tenths(values, np.zeros(len(values), np.int64), 1)[0]
        self.unmeasured += len(column) - len(values)

    def add_runs(self, runs: pa.Table, share: str) -> None:
        """Add chips that are counted already; see `stacchip.index.read_runs`."""
        tenths = pc.list_flatten(runs[f"{share}_tenths"]).to_numpy()
        self.tenths += tenths.reshape(-1, _BINS).sum(axis=0)
        self.unmeasured += pc.sum(runs[f"{share}_unmeasured"]).as_py() or 0

    def bars(self) -> str:
        """Return the tenths as one line of bars; even a single chip has a bar."""
        heights = np.ceil(self.tenths / max(self.tenths.max(), 1) * (len(_BARS) - 1)).astype(int)
        return self._with_unmeasured("".join(_BARS[height] for height in heights))

    def numbers(self) -> str:
        """Return the tenths as numbers of chips."""
        return self._with_unmeasured(" ".join(map(str, self.tenths)))

    def document(self) -> dict[str, Any]:
        """Return the tenths for JSON; null if no chip was measured."""
        tenths = self.tenths.tolist() if self.tenths.any() else None
        return {"chips_by_tenth": tenths, "not_measured": self.unmeasured}

    def _with_unmeasured(self, measured: str) -> str:
        if not self.tenths.any():
            return self.absent
        return f"{measured} ({self.unmeasured:,} not measured)" if self.unmeasured else measured


@dataclass
class SourceSummary:
    """The chips of one source in an index, summed up.

    Attributes:
        chips: Number of chips.
        items: Ids of its items.
        sizes: Chip sizes.
        cloud: Their share of cloud.
        nodata: Their share of nodata.
        bounds: xmin, ymin, xmax, ymax in degrees.
        dates: First and last day.
    """

    chips: int = 0
    items: set[str] = field(default_factory=set)
    sizes: set[int] = field(default_factory=set)
    cloud: ShareSummary = field(default_factory=ShareSummary)
    nodata: ShareSummary = field(default_factory=ShareSummary)
    bounds: tuple[float, float, float, float] = (np.inf, np.inf, -np.inf, -np.inf)
    dates: tuple[date, date] | None = None

    def add(self, chips: pa.Table) -> None:
        """Add chips of the source to the summary."""
        self.chips += chips.num_rows
        self.cloud.add(chips["cloud_cover_percentage"])
        self.nodata.add(chips["nodata_percentage"])
        self._add_ends(chips)

    def add_runs(self, runs: pa.Table) -> None:
        """Add chips of the source that are counted already; see `stacchip.index.read_runs`."""
        self.chips += pc.sum(runs["rows"]).as_py() or 0
        self.cloud.add_runs(runs, "cloud")
        self.nodata.add_runs(runs, "nodata")
        self._add_ends(runs)

    def _add_ends(self, chips: pa.Table) -> None:
        """Add the items of chips, or of runs of them, their sizes, bounds and days."""
        self.items.update(pc.unique(chips["item_id"]).to_pylist())
        self.sizes.update(pc.unique(chips["chip_size"]).to_pylist())
        box = chips["bbox"].combine_chunks().flatten()
        low = [pc.min(box[side]).as_py() for side in (0, 1)]
        high = [pc.max(box[side]).as_py() for side in (2, 3)]
        if None not in (*low, *high):
            self.bounds = (
                min(self.bounds[0], low[0]),
                min(self.bounds[1], low[1]),
                max(self.bounds[2], high[0]),
                max(self.bounds[3], high[1]),
            )
        days = pc.min_max(chips["date"]).as_py()
        if days["min"] is not None:
            first, last = self.dates or (days["min"], days["max"])
            self.dates = (min(first, days["min"]), max(last, days["max"]))

    def cells(self) -> tuple[str, ...]:
        """Return the summary as the cells of a row."""
        first, last = self.dates or ("", "")
        return (
            f"{self.chips:,}",
            f"{len(self.items):,}",
            ", ".join(map(str, sorted(self.sizes))),
            self.cloud.bars(),
            self.nodata.bars(),
            f"{first} to {last}" if first != last else str(first),
            _bounds(self.bounds),
        )

    def document(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        return {
            "chips": self.chips,
            "items": len(self.items),
            "chip_sizes": sorted(self.sizes),
            "cloud": self.cloud.document(),
            "nodata": self.nodata.document(),
            "dates": self.dates and [day.isoformat() for day in self.dates],
            "bbox": list(self.bounds) if np.isfinite(self.bounds).all() else None,
        }


def _all(sources: Collection[SourceSummary]) -> SourceSummary:
    """Return the numbers of all sources together, without their shares."""
    bounds = [source.bounds for source in sources] or [SourceSummary.bounds]
    west, south, east, north = zip(*bounds, strict=True)
    days = [day for source in sources for day in source.dates or ()]
    return SourceSummary(
        chips=sum(source.chips for source in sources),
        sizes={size for source in sources for size in source.sizes},
        bounds=(min(west), min(south), max(east), max(north)),
        dates=(min(days), max(days)) if days else None,
    )


_HEADINGS = ("chips", "items", "size", "cloud 0..1", "nodata 0..1", "dates", "extent (degrees)")


@dataclass(frozen=True)
class Summary:
    """The contents of an index, by source."""

    sources: dict[str, SourceSummary]

    def table(self) -> Table:
        """Return the summary as a table for a terminal."""
        table = Table("source", *_HEADINGS, box=None, header_style="bold", pad_edge=False)
        for name, source in sorted(self.sources.items()):
            table.add_row(name, *source.cells())
        if len(self.sources) > 1:
            chips = sum(source.chips for source in self.sources.values())
            items = sum(len(source.items) for source in self.sources.values())
            table.add_row("[bold]all", f"[bold]{chips:,}", f"[bold]{items:,}")
        return table

    def document(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        whole = _all(self.sources.values()).document()
        items = sum(len(source.items) for source in self.sources.values())
        return {
            "chips": whole["chips"],
            "items": items,
            "chip_sizes": whole["chip_sizes"],
            "dates": whole["dates"],
            "bbox": whole["bbox"],
            "sources": {name: each.document() for name, each in sorted(self.sources.items())},
        }

    def narrow(self) -> str:
        """Return the summary for a terminal without room for the table."""
        blocks = []
        for name, source in sorted(self.sources.items()):
            cells = zip(_HEADINGS, source.cells(), strict=True)
            lines = [f"  {column:16}  {cell}".rstrip() for column, cell in cells]
            blocks.append("\n".join([name, *lines]))
        if len(blocks) > 1:
            whole = self.document()
            blocks.append(
                f"all\n  {'chips':16}  {whole['chips']:,}\n  {'items':16}  {whole['items']:,}"
            )
        return "\n\n".join(blocks)

    def text(self) -> str:
        """Return the summary as lines of `name: value`, for a log or another program."""
        lines = []
        for name, source in sorted(self.sources.items()):
            lines.append(f"source: {name}")
            lines += [
                f"  {column}: {cell}"
                for column, cell in zip(_HEADINGS, source.cells(), strict=True)
                if "0..1" not in column
            ]
            lines.append(f"  chips by cloud, tenths from 0 to 1: {source.cloud.numbers()}")
            lines.append(f"  chips by nodata, tenths from 0 to 1: {source.nodata.numbers()}")
        return "\n".join(lines) or "no chips"


def summarise(parts: Iterable[pa.Table]) -> Summary:
    """Return the summary of an index that is read in parts."""
    return _sum_up(parts, SourceSummary.add)


def summarise_runs(runs: pa.Table) -> Summary:
    """Return the summary of an index whose chips are counted; see `stacchip.index.read_runs`."""
    return _sum_up([runs], SourceSummary.add_runs)


def _sum_up(parts: Iterable[pa.Table], add: Callable[[SourceSummary, pa.Table], None]) -> Summary:
    sources: dict[str, SourceSummary] = {}
    for part in parts:
        for name in pc.unique(part["platform"]).to_pylist():
            chosen = part.filter(pc.equal(part["platform"], name))
            if name not in sources:
                sources[name] = SourceSummary(cloud=ShareSummary(_why_absent(name)))
            add(sources[name], chosen)
    return Summary(sources)


def _why_absent(platform: str) -> str:
    """Return what to say of cloud if no chip of a source has a share of it."""
    return "does not apply" if clouds_of(platform) == "not applicable" else "not measured"


def _bounds(bounds: tuple[float, float, float, float]) -> str:
    if not np.isfinite(bounds).all():
        return ""
    west, south, east, north = bounds
    return f"{west:.2f} {south:.2f} .. {east:.2f} {north:.2f}"
