"""Chips of an index as pictures: choosing chips, and drawing them on a sheet."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from stacchip.chipper import Chipper
from stacchip.cli.index_views.colours import find_shown_bands
from stacchip.cli.terminal import console
from stacchip.errors import StacchipError, forget_frames
from stacchip.index.draws import count_rows, draw_evenly, find_drawn
from stacchip.index.table_rows import take_rows
from stacchip.items import item_datetime
from stacchip.preview import ChipPicture, MissingChip, contact_sheet, describe_chip
from stacchip.runtime.whole_file import whole_file
from stacchip.sources import clouds_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.cli.index_views.colours import ShownBands
    from stacchip.items.keys import ItemKey
    from stacchip.storage import Storage


_AT_ONCE: Final = 8  # items


def choose_chips(table: pa.Table, number: int, seed: int = 0) -> pa.Table:
    """Return at most `number` rows, in the order of the index, as `draw_evenly` draws them."""
    drawn = draw_evenly(count_rows([table]), number, seed)
    return take_rows(table, find_drawn([(np.arange(len(table)), table)], drawn))


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each value, the same for the same text, in the order of the texts."""
    names = pc.unique(column).sort()
    codes: NDArray[np.int64] = pc.index_in(column, value_set=names).to_numpy().astype(np.int64)
    return codes


class Pictures:
    """The chips of an index as pictures; files stay open for further chips.

    Args:
        chipper: Cuts the chips. The assets that it names do not matter.
    """

    def __init__(self, chipper: Chipper) -> None:
        self._chipper = chipper
        self._shown: dict[ItemKey, ShownBands] = {}
        self._cutters: dict[tuple[str, ...], Chipper] = {}
        self._failed: dict[ItemKey, StacchipError] = {}
        sizes = pc.unique(chipper.rows.table["chip_size"])
        self._has_several_sizes = len(sizes) > 1

    def draw(self, row: int) -> ChipPicture:
        """Return a row's chip in true colour, with its shares of cloud and nodata.

        Raises:
            StacchipError: It cannot be cut.
        """
        item = self._chipper.rows.key(row).item
        if item in self._failed:  # each attempt may take as long as the storage retries
            raise self._failed[item]
        try:
            shown = self._shown.get(item) or self._choose_bands(row)
            self._shown[item] = shown
            cutter = self._cutter(shown.assets)
            cutter.open(row)
        except StacchipError as error:
            forget_frames(error)
            self._failed[item] = error
            raise
        chip = cutter.cut_row(row)
        places = [chip.find_band(key, band + 1) for key, band in shown.bands]
        valid = np.asarray(chip.valid[places].all(axis=0))
        return ChipPicture(
            rgb=chip.array[places],
            valid=valid,
            platform=chip.platform,
            captions=self._describe(row, shown.note, valid),
            shown=shown.note,
        )

    def draw_or_explain(self, row: int) -> ChipPicture | MissingChip:
        """Return a row's chip, or why it cannot be cut."""
        try:
            return self.draw(row)
        except StacchipError as error:
            key = self._chipper.rows.key(row)
            return MissingChip(str(error), self._describe(row), key.platform)

    def _choose_bands(self, row: int) -> ShownBands:
        def count_bands(key: str) -> int:
            return self._cutter((key,)).open(row).placements[key].reader.count

        return find_shown_bands(self._chipper.find_item(row), count_bands)

    def _cutter(self, assets: tuple[str, ...]) -> Chipper:
        if assets not in self._cutters:  # two threads may find so, and share the first one's
            self._cutters.setdefault(assets, self._chipper.with_assets(assets))
        return self._cutters[assets]

    def _describe(
        self, row: int, shown: str = "", valid: NDArray[np.bool_] | None = None
    ) -> tuple[str, ...]:
        rows = self._chipper.rows
        key = rows.key(row)
        names = ("cloud_cover_percentage", "nodata_percentage")
        cloud, nodata = (rows.value(row, name) for name in names)
        if valid is not None and _is_unmeasured(cloud, nodata, valid):
            cloud = nodata = None
        if cloud is None and clouds_of(key.platform) == "not applicable":
            cloud = np.nan
        day = rows.value(row, "date")
        if day is None and valid is not None:
            day = item_datetime(self._chipper.find_item(row)).date()
        return describe_chip(
            key.platform,
            key.x,
            key.y,
            day,
            cloud=cloud,
            nodata=nodata,
            chip_size=key.chip_size if self._has_several_sizes else None,
            chipid=rows.value(row, "chipid") or key.chipid,
            shown=shown,
        )


def make_picture(chipper: Chipper, row: int) -> ChipPicture:
    """Return a row's chip in true colour; see `Pictures.draw`."""
    return Pictures(chipper).draw(row)


def _is_unmeasured(cloud: float | None, nodata: float | None, valid: NDArray[np.bool_]) -> bool:
    """Return True if a padded chip's shares, both 0, were never measured.

    Indexes of earlier versions, and those by `NoStatsChipIndexer`, hold 0 for what was not
    measured. A measured index counts padding, the last rows or columns of a chip, as nodata. For
    chips without padding, a measured 0 cannot be told from one that was never measured.
    """
    is_padded = not (valid[-1].any() and valid[:, -1].any())
    return is_padded and cloud == 0 and nodata == 0


@dataclass(frozen=True)
class Sheet:
    """What became of the chips of a contact sheet.

    Attributes:
        pictures: Number of chips that it shows.
        reasons: Why others could not be cut: a reason, and the number of its chips.
    """

    pictures: int
    reasons: dict[str, int]


def draw_sheet(table: pa.Table, path: Path, storage: Storage, *, title: str) -> Sheet:
    """Draw a contact sheet of all rows of an index; a chip that cannot be cut leaves a hole.

    Raises:
        StacchipError: None of several chips can be cut. No file is written then.
    """
    drawn = _draw_all(Pictures(Chipper(table, storage=storage)), table)
    reasons = Counter(each.reason for each in drawn if isinstance(each, MissingChip))
    if drawn and reasons.total() == len(drawn):
        reason, _ = reasons.most_common(1)[0]
        what = "The only chip" if len(drawn) == 1 else f"Each of {len(drawn)} chips"
        raise StacchipError(f"{what} could not be cut. {reason}")
    with whole_file(path) as part:
        contact_sheet(drawn, title=title).save(part, "PNG")
    return Sheet(len(drawn) - reasons.total(), dict(reasons))


def _draw_all(pictures: Pictures, table: pa.Table) -> list[ChipPicture | MissingChip]:
    """Return the pictures of all rows; several items are read at the same time.

    A store that does not answer is waited for minutes, which must not add up.
    """
    numbers = _codes(table["platform"]) * (table.num_rows + 1) + _codes(table["item_id"])
    chipids = table["chipid"].to_pylist()
    drawn: dict[int, ChipPicture | MissingChip] = {}

    def draw_item(number: int) -> None:
        for row in np.flatnonzero(numbers == number).tolist():
            drawn[row] = pictures.draw_or_explain(row)
            advance(chipids[row])

    pool = ThreadPoolExecutor(_AT_ONCE, "stacchip-picture")
    with console.progress("Cutting", table.num_rows, "chips") as advance:
        try:
            for done in [
                pool.submit(draw_item, number) for number in dict.fromkeys(numbers.tolist())
            ]:
                done.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return [drawn[row] for row in range(table.num_rows)]


def count_by_platform(counts: Mapping[ItemKey, int]) -> str:
    """Return the number of chips of each source, such as `"120 naip, 64 sentinel-2-l2a"`."""
    total: Counter[str] = Counter()
    for key, chips in counts.items():
        total[key.platform] += chips
    return ", ".join(f"{chips:,} {platform}" for platform, chips in total.items())
