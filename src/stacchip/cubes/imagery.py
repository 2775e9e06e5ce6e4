"""The chips of an index that a run wants, and where their pixels lie."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.chipper import Chipper
from stacchip.cubes.left_out import explain_nothing
from stacchip.cubes.plain_values import plain_box, plain_names, plain_number, plain_period
from stacchip.errors import ChipNotFound, UsageError
from stacchip.index import Filters, Selection, Unmeasured, conform, read_index, scan_index
from stacchip.index.draws import read_places
from stacchip.index.files.layout import index_href
from stacchip.index.files.snapshot import refusing_replaced
from stacchip.index.nulls import may_be_null
from stacchip.index.on_disk import StoredIndex
from stacchip.index.read import scan_rows
from stacchip.index.table_rows import take_rows
from stacchip.items.archive import Archive
from stacchip.sources.harmonize import require_harmonize
from stacchip.sources.training_bands import PlatformBands, get_platform
from stacchip.storage import redact
from stacchip.stream import ChipStream
from stacchip.stream.options import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from stacchip.sources import Harmonize
    from stacchip.storage import Storage

DEFAULT_MAX_NODATA = 0.05  # the original's
# What decides of an item's chips in a large index: which are wanted, and how many left out.
_OF_RUN = ("platform", "item_id", "chip_size", "datetime", "bbox", "nodata_unmeasured")


@dataclass(frozen=True)
class Imagery:
    """The chips of one platform, and where their pixels lie.

    Attributes:
        index: Path or URL of the index, or its table; a table of any library that
            `stacchip.index.conform` takes.
        platform: Name of a source.
        data: Folder, or address of a bucket, in the layout of `stacchip.items.Archive` where the
            files lie; None to read them where the items say. A bare name is a folder.
        bands: Names of bands or assets; None for those of `stacchip.sources.training_bands`.
        max_nodata: The largest share of nodata in a chip, 0..1; None for any.
        max_cloud: The largest share of cloud in a chip, 0..1; None for any.
        chip_size: The size of the chips, in pixels. Needed if the index has several.
        unmeasured: `"keep"` takes chips whose limited share was not measured, `"drop"` does not.
        harmonize: As for `stacchip.chipper.Chipper`.
        item_id: Ids of the items whose chips are wanted; None for all.
        datetime: The period of the chips, as `stacchip.index.Selection` takes it, kept as text;
            None for all.
        bbox: A box in degrees that footprints must meet; None for anywhere.
        split: Names of the splits whose chips are wanted, from the column `split`; None for all.

    Raises:
        UsageError: A value is not of its kind. Numbers of numpy, dates and collections are kept as
            plain values.
    """

    index: Any
    platform: str
    data: str | None = None
    bands: tuple[str, ...] | None = None
    max_nodata: float | None = DEFAULT_MAX_NODATA
    max_cloud: float | None = None
    chip_size: int | None = None
    unmeasured: Unmeasured = "drop"
    harmonize: Harmonize | None = None
    item_id: tuple[str, ...] | None = None
    datetime: str | None = None
    bbox: tuple[float, ...] | None = None
    split: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {
            "bands": (
                self.bands if isinstance(self.bands, str) else plain_names("bands", self.bands)
            ),
            "max_nodata": plain_number("max_nodata", self.max_nodata),
            "max_cloud": plain_number("max_cloud", self.max_cloud),
            "chip_size": (
                None if self.chip_size is None else whole_number("chip_size", self.chip_size)
            ),
            "item_id": plain_names("item_id", self.item_id),
            "datetime": plain_period("datetime", self.datetime),
            "bbox": plain_box("bbox", self.bbox),
            "split": plain_names("split", self.split),
        }
        require_harmonize(self.harmonize)
        Selection(unmeasured=self.unmeasured)  # raises if it is unknown
        if self.data is not None:  # no bare name, so that a pickle says what it means
            plain["data"] = Archive.named(self.data, bare="folder").href
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle; in those of 0.x a bare name is a bucket."""
        self.__dict__.update(state)
        if self.data is not None:
            object.__setattr__(self, "data", Archive.named(self.data, bare="bucket").href)

    @property
    def platform_bands(self) -> PlatformBands:
        """The bands of the chips.

        Raises:
            UsageError: The platform is not known, and no bands are named.
        """
        return get_platform(self.platform, self.bands)

    @property
    def limits(self) -> dict[str, Any]:
        """The limits that choose chips by their shares, as plain values."""
        names = ("max_nodata", "max_cloud", "unmeasured")
        further = ("item_id", "datetime", "bbox", "split")
        chosen = {name: getattr(self, name) for name in (*names, *further)}
        return {name: chosen[name] for name in chosen if name in names or chosen[name] is not None}

    @property
    def index_name(self) -> str:
        """The address of the index, as it may be shown; `"a table"` for one in memory."""
        return redact(os.fspath(self.index)) if self.has_path else "a table"

    @property
    def has_path(self) -> bool:
        """True if the index is somewhere, and not a table in memory."""
        return isinstance(self.index, str | os.PathLike)

    def open(self, storage: Storage, rows: int | None = None) -> Chipper:
        """Return a chipper that has one row for each wanted chip.

        Args:
            storage: Reads the index.
            rows: Take only the first rows of an index that is somewhere, of this number.

        Raises:
            ChipNotFound: No chip is within the limits.
            UsageError: The index has several chip sizes, and none was chosen.
        """
        table = self._choose_rows(storage)
        if rows is not None:
            table = table.slice(0, self._count_before(rows, storage))
        self.require_one_size(count_sizes([table]), storage)
        return self.chipper_of(table, storage)

    def draw(self, most: int, seed: int, storage: Storage) -> Chipper:
        """Return a chipper of wanted chips drawn at random, or of all if there are no more.

        Of an index that is somewhere, only the rows drawn are held.

        Args:
            most: Number of chips to draw.
            seed: Seed of the draw.
            storage: Reads the index.

        Raises:
            ChipNotFound: No chip is within the limits.
            UsageError: The index has several chip sizes, and none was chosen.
        """
        if not self.has_path:
            table = self._choose_rows(storage)
            self.require_one_size(count_sizes([table]), storage)
            if most < table.num_rows:
                table = take_rows(table, _draw(table.num_rows, most, seed))
            return self.chipper_of(table, storage)
        with refusing_replaced([index_href(self.index)], storage):
            filters = self.filters(storage)
            chips = self.count(storage)
            if most >= chips:
                table = self._choose_rows(storage)
            else:
                table = read_places(self.index, _draw(chips, most, seed), storage, filters)
        return self.chipper_of(table, storage)

    def count(self, storage: Storage) -> int:
        """Return the number of wanted chips; of an index that is somewhere, none is held.

        Raises:
            ChipNotFound: No chip is within the limits.
            UsageError: The index has several chip sizes, and none was chosen.
        """
        if self.has_path:
            parts = scan_index(
                self.index,
                columns=["chip_size"],
                storage=storage,
                explains_nothing=True,
                **self.filters(storage),
            )
        else:
            parts = iter([self._choose_rows(storage)])
        sizes = count_sizes(parts)
        self.require_one_size(sizes, storage)
        return sizes.total()

    def open_stored(self, storage: Storage, first: int | None = None) -> StoredIndex | None:
        """Open a large index, whose rows stay on disk; None if it is small, or in memory.

        Args:
            storage: Reads it.
            first: As for `StoredIndex.open`.
        """
        return StoredIndex.open(self.index, storage, first=first) if self.has_path else None

    def stream(
        self, storage: Storage, *, index: StoredIndex | None = None, **options: Any
    ) -> ChipStream:
        """Return a stream of the wanted chips of an index that is somewhere.

        Args:
            storage: Reads the index and the files.
            index: The index, if it is open.
            **options: Options of `ChipStream`.
        """
        return ChipStream(
            self.index if index is None else index,
            mountpath=self.data,
            assets=self.platform_bands.assets,
            harmonize=self.harmonize,
            storage=storage,
            **options,
            **self.filters(storage),
        )

    def of_items(self, index: StoredIndex) -> pa.Table:
        """Return the runs of a large index that may have chips of the items wanted.

        Limits of shares and the chip size do not matter here.
        """
        chosen = Selection(
            platform=self.platform, item_id=self.item_id, datetime=self.datetime, bbox=self.bbox
        )
        return index.read_runs(_OF_RUN).filter(chosen.of_items)

    def filters(self, storage: Storage) -> Filters:
        """Return the filters of the index that leave the wanted chips."""
        filters: Filters = {
            "platform": self.platform,
            "item_id": self.item_id,
            "datetime": self.datetime,
            "bbox": self.bbox,
            "split": self.split,
            "max_nodata": self.max_nodata,
            "max_cloud": self.max_cloud,
            "chip_size": self.chip_size,
            "unmeasured": self.unmeasured,
        }
        # a chip wholly outside the Earth's edge has no pixels and no location
        if not self.has_path or may_be_null(self.index, "bbox", storage):
            filters["where"] = pc.is_valid(pc.field("bbox"))
        return filters

    def require_one_size(self, sizes: Mapping[int, int], storage: Storage) -> None:
        """Refuse wanted chips that are none, or of several sizes.

        Args:
            sizes: The number of wanted chips of each chip size.
            storage: Reads the index, to say why there are none.

        Raises:
            ChipNotFound: There are none.
            UsageError: They are of several sizes.
        """
        if not sizes:
            raise ChipNotFound(explain_nothing(self, storage))
        if len(sizes) > 1:
            raise UsageError(
                f"The index has chips of {', '.join(map(str, sorted(sizes)))} pixels: choose one "
                "(chip_size=, --chip-size)."
            )

    def _choose_rows(self, storage: Storage) -> pa.Table:
        """Return the rows of the wanted chips."""
        filters = self.filters(storage)
        if self.has_path:
            return read_index(self.index, storage=storage, explains_nothing=True, **filters)
        return Selection.of(filters).apply(conform(self.index))

    def _count_before(self, rows: int, storage: Storage) -> int:
        """Return how many chips are wanted of the first rows of an index."""
        chosen = Selection.of(self.filters(storage))
        parts = scan_rows(self.index, ["chip_size"], chosen, storage)
        return sum(int((numbers < rows).sum()) for numbers, _ in parts)

    def chipper_of(self, table: pa.Table, storage: Storage) -> Chipper:
        """Return a chipper of some of the rows."""
        if self.data is not None:
            table = _with_item_hrefs(table, Archive(self.data))
        assets = self.platform_bands.assets
        return Chipper(table, self.data, assets, harmonize=self.harmonize, storage=storage)


def count_sizes(parts: Iterable[pa.Table]) -> Counter[int]:
    """Return the number of chips of each size in parts of an index."""
    sizes: Counter[int] = Counter()
    for part in parts:
        for pair in pc.value_counts(part["chip_size"]).to_pylist():
            sizes[pair["values"]] += pair["counts"]
    return sizes


def _draw(chips: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of chips that are drawn of all, rising."""
    return np.sort(np.random.default_rng(seed).choice(chips, most, replace=False))


def _with_item_hrefs(table: pa.Table, archive: Archive) -> pa.Table:
    """Fill in missing item hrefs of one platform's rows with the items' places in the bucket."""
    column = table["item_href"]
    if not column.null_count:
        return table
    platform = table["platform"][0].as_py()
    ids = pc.unique(table["item_id"])
    hrefs = [archive.place(platform, each).item_href for each in ids.to_pylist()]
    places = pa.array(hrefs, pa.string()).take(pc.index_in(table["item_id"], value_set=ids))
    filled = pc.coalesce(column, places)
    return table.set_column(table.schema.get_field_index("item_href"), "item_href", filled)
