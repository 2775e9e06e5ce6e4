"""Splits that cannot leak: training, validation and test by place, time, or a column."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final

import shapely

from stacchip.errors import UsageError
from stacchip.index.foreign.tables import as_table
from stacchip.selection.region import fold_area
from stacchip.selection.split_cells import balance_cells
from stacchip.selection.split_report import count_chips
from stacchip.splits.by_cell import CellRule
from stacchip.splits.by_column import ColumnRule
from stacchip.splits.by_region import RegionRule
from stacchip.splits.by_time import TimeRule
from stacchip.splits.rules import BothRules, rule_from_dict
from stacchip.splits.shares import make_shares, name_splits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from PIL import Image

    from stacchip.selection.split_report import SplitReport
    from stacchip.splits.rules import Rule
    from stacchip.storage import Storage

__all__ = ["Split"]

_PERIODS: Final = {2: ("train", "test"), 3: ("train", "val", "test")}


class Split:
    """A rule that says whether a chip is for training, validation or test.

    Each cell of a global grid is in one of the splits, by chance. A chip is in a split if all cells
    that its footprint touches, grown by the buffer, are in it. Else it is in none, null: it is part
    of the border. So chips of two splits never lie nearer to each other than the buffer, whatever
    their dates, sensors and tiles. Which split a chip is in depends on its place, and on nothing
    else: filters, merges and new items change no other chip.

    `by_region`, `by_time` and `by_column` make other rules, and `&` joins two: a chip is in a split
    if both say so.

    The cells are those of Major TOM (`stacchip.splits.cells`). The chance of a cell is a hash of
    the salt, the cell size and the cell's name. Bounds in degrees stand for footprints: those
    rotated against the meridians are taken for a little larger than they are.

    Args:
        train: The share of cells for training.
        val: The share for validation.
        test: The share for the test. All three are 1 together.
        cell_km: The size of a cell in kilometres: much larger than a chip and the buffer, or many
            chips are lost at the borders; much smaller than the region, or a split has few cells.
        buffer_km: The distance between chips of two splits, on the ellipsoid.
        salt: Another text gives other splits.
        stratify: A column: of its classes, or of its fifths if it has real numbers, each split gets
            about the same share. This needs a look at the index, in which cells are then dealt out
            (`fit`). Cells that have no chips yet are left to chance.

    Raises:
        UsageError: An argument is wrong.

    Example:
        >>> from stacchip.index import SCHEMA
        >>> split = Split(train=0.8, val=0.1, test=0.1, cell_km=100, buffer_km=1)
        >>> split.of(SCHEMA.empty_table()).type
        DataType(string)
        >>> split.names
        ('train', 'val', 'test')
    """

    def __init__(
        self,
        train: float = 0.8,
        val: float = 0.1,
        test: float = 0.1,
        *,
        cell_km: float = 100,
        buffer_km: float = 1,
        salt: str = "v1",
        stratify: str | None = None,
    ) -> None:
        shares = make_shares({"train": train, "val": val, "test": test})
        self.rule: Rule = CellRule(shares, cell_km, buffer_km, salt)
        self.stratify = stratify

    @classmethod
    def of_rule(cls, rule: Rule) -> Split:
        """Return a split by a rule of `stacchip.splits`."""
        split = cls.__new__(cls)
        split.rule = rule
        split.stratify = None
        return split

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Split:
        """Return a split from the plain values of `to_dict`, as an index records them.

        Raises:
            UsageError: They are of no split, or of one that a later version made.
        """
        return cls.of_rule(rule_from_dict(facts))

    @classmethod
    def by_region(
        cls, regions: Mapping[str, Any], *, rest: str | None = "train", buffer_km: float = 1
    ) -> Split:
        """Return a split by regions: a chip is in that of a region if it lies in it as a whole.

        Args:
            regions: By split, an area: a shapely geometry in OGC:CRS84, or a GeoSeries or
                GeoDataFrame in any CRS.
            rest: The split of all other places; None for none.
            buffer_km: As in `Split`.

        Raises:
            UsageError: An area is none, or two of them overlap.

        Example:
            >>> split = Split.by_region({"test": shapely.box(6, 45, 14, 48)}, buffer_km=10)
            >>> split.names
            ('test', 'train')
        """
        areas = tuple((str(name), _to_area(area, name)) for name, area in regions.items())
        return cls.of_rule(RegionRule(areas, rest, buffer_km))

    @classmethod
    def by_time(
        cls,
        boundaries: Sequence[str | date | datetime],
        *,
        names: Sequence[str] | None = None,
        gap_days: float = 0,
    ) -> Split:
        """Return a split by time.

        Args:
            boundaries: The days or moments at which one split ends and the next begins, in UTC.
            names: The splits, from the earliest on; by default train and test around one boundary,
                and train, val and test around two. A name may come twice.
            gap_days: Chips of two splits are farther apart in time than this.

        Raises:
            UsageError: A boundary is no date, or their order is wrong, or names are too few.

        Example:
            >>> Split.by_time(["2021-01-01", "2022-01-01"], gap_days=30).names
            ('train', 'val', 'test')
        """
        if isinstance(boundaries, str | date):
            boundaries = [boundaries]
        chosen = names or _PERIODS.get(len(boundaries) + 1)
        if chosen is None:
            raise UsageError(f"Name the {len(boundaries) + 1} periods: names=[...].")
        return cls.of_rule(TimeRule(tuple(chosen), tuple(map(_to_moment, boundaries)), gap_days))

    @classmethod
    def by_column(
        cls,
        column: str,
        train: float = 0.8,
        val: float = 0.1,
        test: float = 0.1,
        *,
        values: Mapping[Any, str] | None = None,
        salt: str = "v1",
    ) -> Split:
        """Return a split by a column: each of its values, such as a country, is in one split.

        Args:
            column: The column.
            train: The share of values for training, as in `Split`.
            val: The share for validation.
            test: The share for the test.
            values: The splits of some values, which are not left to chance.
            salt: Another text gives other splits.

        Raises:
            UsageError: An argument is wrong.
        """
        shares = make_shares({"train": train, "val": val, "test": test})
        given = {str(value): split for value, split in (values or {}).items()}
        return cls.of_rule(ColumnRule(shares, column, salt, given))

    def __and__(self, other: Split) -> Split:
        """Return the split of chips of which both say the same, such as in space and in time."""
        self._require_fitted()
        other._require_fitted()
        if not set(self.names) & set(other.names):
            raise UsageError(
                f"The splits have no name in common: {', '.join(self.names)}; "
                f"{', '.join(other.names)}."
            )
        return Split.of_rule(BothRules(self.rule, other.rule))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the splits."""
        return self.rule.splits

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an index that `of` needs."""
        return self.rule.columns

    def of(self, table: Any) -> pa.Array:
        """Return the split of each row of a table, as text; null for those in none.

        Args:
            table: Rows of an index, of any library, with `columns`.

        Raises:
            UsageError: A column is absent, or `stratify` needs `fit` first.

        Example:
            >>> import pyarrow as pa
            >>> box = {"xmin": 8.5, "ymin": 47.3, "xmax": 8.53, "ymax": 47.33}
            >>> Split().of(pa.table({"bbox": [box]}))[0].as_py()
            'train'
        """
        self._require_fitted()
        rows = as_table(table)
        if absent := [name for name in self.columns if name not in rows.column_names]:
            raise UsageError(
                f"The split looks at {', '.join(map(repr, absent))}, which the table lacks. "
                "Read the index with that column."
            )
        return name_splits(self.rule.codes(rows), self.names)

    def fit(self, index: Any, *, storage: Storage | None = None) -> Split:
        """Return the split with its cells dealt out so that classes are balanced (`stratify`).

        Without `stratify`, it is the split itself.

        Args:
            index: An index: its folder or file, or a table.
            storage: How to reach it.

        Raises:
            UsageError: The column is absent.
        """
        if self.stratify is None or not isinstance(self.rule, CellRule):
            return self
        return Split.of_rule(balance_cells(self.rule, index, self.stratify, storage))

    def explain(
        self, index: Any, *, classes: str | None = None, storage: Storage | None = None
    ) -> SplitReport:
        """Return how many chips each split gets, and how many are lost at the borders.

        Args:
            index: An index: its folder or file, or a table.
            classes: A column whose classes are counted in each split; by default `stratify`.
            storage: How to reach it.

        Raises:
            UsageError: A column is absent.
        """
        fitted = self.fit(index, storage=storage)
        return count_chips(fitted.rule, index, classes or self.stratify, storage)

    def draw(
        self,
        bbox: Sequence[float],
        *,
        chip_km: float = 2.56,
        width: int = 900,
        report: SplitReport | None = None,
    ) -> Image.Image:
        """Return a map: in which split a chip would be at each place. For splits by place.

        Args:
            bbox: xmin, ymin, xmax, ymax of the map, in degrees.
            chip_km: The size of the chips.
            width: The width of the picture in pixels.
            report: Adds the share of each class in each split, as bars.

        Raises:
            UsageError: The box is none, or the split is not by place.
        """
        from stacchip.selection.split_map import draw_split_map

        self._require_fitted()
        return draw_split_map(self.rule, bbox, chip_km=chip_km, width=width, report=report)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain values, which JSON can hold."""
        self._require_fitted()
        return self.rule.to_dict()

    def _require_fitted(self) -> None:
        if self.stratify is not None:
            raise UsageError(
                f"The split is stratified by {self.stratify!r}: split.fit(index) first deals out "
                "the cells; add_split(index, split) does so, too."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Split):
            return NotImplemented
        return self.rule.to_dict() == other.rule.to_dict() and self.stratify == other.stratify

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.rule.to_dict().items())
        return f"Split({facts[:500]})"


def _to_area(area: Any, name: str) -> shapely.Geometry:
    """Return an area in OGC:CRS84."""
    crs = None
    if hasattr(area, "to_crs"):  # of geopandas
        if area.crs is None:
            raise UsageError(f"The region of {name!r} has no CRS: area.set_crs(...) says it.")
        crs, area = area.crs, area.geometry.union_all()
    if not isinstance(area, shapely.Geometry) or shapely.get_dimensions(area) != 2:
        raise UsageError(
            f"The region of {name!r} must be a polygon (shapely, or a GeoSeries), not "
            f"{type(area).__name__}."
        )
    area = area if area.is_valid else shapely.make_valid(area)
    return fold_area(area, crs)


def _to_moment(boundary: str | date | datetime) -> datetime:
    """Return a moment; a day begins at midnight in UTC."""
    try:
        if isinstance(boundary, str):
            boundary = datetime.fromisoformat(boundary)
        if isinstance(boundary, datetime):
            return boundary if boundary.tzinfo else boundary.replace(tzinfo=UTC)
        if isinstance(boundary, date):
            return datetime.combine(boundary, time(), UTC)
    except ValueError as error:
        raise UsageError(f"{boundary!r} is no date, such as 2021-01-01.") from error
    raise UsageError(f"A boundary is a date, not {type(boundary).__name__}.")
