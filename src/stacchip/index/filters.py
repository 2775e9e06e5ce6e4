"""Filters of an index: by cloud, nodata, time, place, source, item, split."""

from __future__ import annotations

import hashlib
import logging
import pickle
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from stacchip.errors import UsageError
from stacchip.index.foreign.geometry import in_parts, read_shapes, without_extension
from stacchip.index.schema import SCHEMA, SHARE_COLUMNS
from stacchip.items.dates import Moment, Period
from stacchip.sources import list_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from numpy.typing import NDArray

__all__ = ["SPLIT", "Filters", "Moment", "Selection", "Unmeasured", "parse_period"]

SPLIT: Final = "split"
"""The usual name of the column that says which split a chip is in."""
_USUAL_SPLITS: Final = ("train", "val", "test")  # of which a rule may leave one out

Unmeasured: TypeAlias = Literal["drop", "keep"]
"""What becomes of a chip whose share of cloud or nodata, though limited, was not measured."""

_log = logging.getLogger(__name__)

# With more parts than this, the bounds of the whole geometry decide which row groups are read.
_MOST_PARTS: Final = 32


class Filters(TypedDict, total=False):
    """The arguments of `Selection`, for functions that read an index."""

    max_cloud: float | None
    max_nodata: float | None
    datetime: str | date | Sequence[Moment] | None
    bbox: Sequence[float] | None
    geometry: shapely.Geometry | None
    platform: str | Sequence[str] | None
    item_id: str | Sequence[str] | None
    chip_size: int | Sequence[int] | None
    split: str | Sequence[str] | None
    where: pc.Expression | None
    unmeasured: Unmeasured


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The chips of an index that are wanted; an argument that is None selects all.

    A chip whose share of cloud or nodata is null (not measured) fails any limit on that share,
    unless `unmeasured="keep"`. How many chips were left out for that is logged. A limit on cloud
    does not apply to radar: such chips stay.

    Args:
        max_cloud: Largest share of cloud, 0..1.
        max_nodata: Largest share of nodata, 0..1.
        datetime: Period of the chips' time, ends included: `"2023-05"`,
            `"2023-05-01/2023-08-31"`, `"2023-05-01/.."`, or a pair of dates or aware datetimes. A
            date stands for its whole day in UTC.
        bbox: xmin, ymin, xmax, ymax in degrees (OGC:CRS84); xmin > xmax crosses the antimeridian.
        geometry: An area in OGC:CRS84. Footprints must intersect both it and the bbox.
        platform: Name of a source, or several.
        item_id: Id of an item, or several.
        chip_size: Side of a chip in pixels, or several.
        split: Name of a split, or several, in the column `split` that `add_split` adds.
        where: Any further condition on the columns, as a pyarrow expression.
        unmeasured: `"keep"` takes chips whose share was not measured as if they were within the
            limit; `"drop"` leaves them out.

    Raises:
        UsageError: An argument is wrong.

    Example:
        >>> chosen = Selection(max_nodata=0.1, datetime="2023-05")
        >>> print(chosen.expression)
        (((nodata_percentage <= 0.1) and (datetime >= 2023-05-01 00:00:00.000000Z)) and \
(datetime <= 2023-05-31 23:59:59.999999Z))
    """

    max_cloud: float | None = None
    max_nodata: float | None = None
    datetime: str | date | Sequence[Moment] | None = None
    bbox: Sequence[float] | None = None
    geometry: shapely.Geometry | None = None
    platform: str | Sequence[str] | None = None
    item_id: str | Sequence[str] | None = None
    chip_size: int | Sequence[int] | None = None
    split: str | Sequence[str] | None = None
    where: pc.Expression | None = None
    unmeasured: Unmeasured = "drop"

    def __post_init__(self) -> None:
        if self.unmeasured not in ("drop", "keep"):
            raise UsageError(f'unmeasured is "drop" or "keep", not {self.unmeasured!r}.')
        if not isinstance(self.where, pc.Expression | None):
            raise UsageError(f"where is a pyarrow expression, not {type(self.where).__name__}.")
        _ = self.expression, self.area  # raises now for a wrong argument

    @classmethod
    def of(cls, filters: Filters) -> Selection:
        """Return a selection from the arguments of a function.

        Raises:
            UsageError: There is no such filter.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(filters) - set(known))
        if unknown:
            raise UsageError(f"An index cannot be filtered by {unknown}; known are {known}.")
        return cls(**filters)

    @cached_property
    def area(self) -> shapely.Geometry | None:
        """The area that footprints must meet, in OGC:CRS84; None means anywhere."""
        if self.geometry is not None and not isinstance(self.geometry, shapely.Geometry):
            raise UsageError(
                f"geometry must be a shapely geometry, not {type(self.geometry).__name__}."
            )
        if self.bbox is None:
            return self.geometry
        box = _to_geometry(self.bbox)
        if self.geometry is None:
            return box
        # part by part: GEOS intersects no collection of a line and a polygon
        return shapely.union_all(shapely.intersection(shapely.get_parts(box), self.geometry))

    @cached_property
    def expression(self) -> pc.Expression | None:
        """The condition on the columns; footprints are compared by their bounds only."""
        conditions = [*self._within(), *self._period(), *self._names()]
        if self.area is not None:
            conditions.append(_overlaps(self.area))
        if self.further is not None:
            conditions.append(self.further)
        return reduce(lambda one, other: one & other, conditions) if conditions else None

    @cached_property
    def further(self) -> pc.Expression | None:
        """The part of `expression` that may be on columns which not every index has."""
        split = None if self.split is None else _is_one_of(SPLIT, self.split)
        parts = [part for part in (split, self.where) if part is not None]
        return reduce(lambda one, other: one & other, parts) if parts else None

    def require_split(self, columns: Iterable[str], href: str) -> None:
        """Refuse to choose a split where there is none.

        Args:
            columns: The names of the columns that are there.
            href: The address of the index, without secrets, or another name for it.

        Raises:
            UsageError: A split is wanted, and there is no column of splits.
        """
        if self.split is not None and SPLIT not in columns:
            raise UsageError(
                f"{href} has no column {SPLIT!r}: it was not split. Split it first: stacchip split "
                "INDEX, or add_split(index, Split(...))."
            )

    def require_known_split(self, names: Sequence[str], href: str) -> None:
        """Refuse the name of a split that an index cannot have.

        Args:
            names: The splits of the rule that the index records.
            href: The address of the index, without secrets.

        Raises:
            UsageError: A split of another name is wanted.
        """
        wanted = [self.split] if isinstance(self.split, str) else list(self.split or ())
        for name in wanted:
            if name not in {*names, *_USUAL_SPLITS}:
                raise UsageError(
                    f"{href} has no split {name!r}: it is split into {', '.join(names)}."
                )

    @property
    def wants_all(self) -> bool:
        """True if no chip of any index is left out."""
        return self.expression is None and self.area is None

    @property
    def digest(self) -> str:
        """A digest of what is wanted; two selections that differ have different ones.

        It holds for this version of pyarrow.

        Raises:
            UsageError: pyarrow cannot serialise `where`.
        """
        area = b"" if self.area is None else self.area.wkb
        # the text of an expression shortens long lists of values
        try:
            said = pickle.dumps((pa.__version__, self.expression, self.left_out, area))
        except pa.ArrowException as error:
            raise UsageError(
                f"The condition {str(self.where)[:200]} cannot be stored: {error}. Name columns, "
                "not their positions."
            ) from error
        return hashlib.sha256(said).hexdigest()[:32]

    @property
    def prunable(self) -> pc.Expression | None:
        """The part of `expression` for which a file's statistics can rule rows out.

        Statistics do not see NaN, which other tools write for "not measured".
        """
        if self.unmeasured == "drop" or not self._limits:
            return self.expression
        return replace(self, max_cloud=None, max_nodata=None).expression

    @cached_property
    def of_items(self) -> pc.Expression | None:
        """The part of `expression` that rules out items with all their chips."""
        return replace(self, max_cloud=None, max_nodata=None, split=None, where=None).expression

    @property
    def is_of_whole_items(self) -> bool:
        """True if an item's chips of one size are all chosen, or none: `of_items` says which."""
        limits = (self.area, self.split, self.where)
        return not self._limits and all(limit is None for limit in limits)

    @cached_property
    def left_out(self) -> pc.Expression | None:
        """The chips that are left out for a share that was not measured, and for nothing else.

        None if there can be none.
        """
        if self.unmeasured == "keep" or not self._limits:
            return None
        unknown = reduce(lambda one, other: one | other, map(_is_unmeasured, self._limits))
        return replace(self, unmeasured="keep").expression & unknown

    @property
    def _limits(self) -> dict[str, float]:
        """The limits that are set, by column."""
        limits = {"cloud_cover_percentage": self.max_cloud, "nodata_percentage": self.max_nodata}
        return {column: limit for column, limit in limits.items() if limit is not None}

    def _within(self) -> Iterable[pc.Expression]:
        for column, limit in self._limits.items():
            if not 0 <= limit <= 1:
                raise UsageError(f"A limit of {column} must be a share, 0 to 1, not {limit}.")
            # in the precision of the column: 0.1 as float32 is above 0.1
            within = pc.field(column) <= pa.scalar(limit, SCHEMA.field(column).type)
            if self.unmeasured == "keep":
                within = within | _is_null(column)
            exempt = _is_exempt(column)
            yield within if exempt is None else within | exempt

    def _period(self) -> Iterable[pc.Expression]:
        kind = SCHEMA.field("datetime").type
        start, end = parse_period(self.datetime)
        if start is not None:
            yield pc.field("datetime") >= pa.scalar(start, kind)
        if end is not None:
            yield pc.field("datetime") <= pa.scalar(end, kind)

    def _names(self) -> Iterable[pc.Expression]:
        asked = {"platform": self.platform, "item_id": self.item_id, "chip_size": self.chip_size}
        for column, wanted in asked.items():
            if wanted is not None:
                yield _is_one_of(column, wanted)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `refine` needs."""
        return () if self.area is None else ("geometry", "bbox")

    def refine(self, table: pa.Table) -> pa.Table:
        """Return the rows whose footprint meets the area; all rows must satisfy `expression`.

        Where an index keeps no footprint, the bounds stand in for it.
        """
        if self.area is None or table.num_rows == 0:
            return table
        return table.filter(pa.array(self.meets(table)))

    def meets(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return True for rows whose footprint, or else whose bounds, meet the area; (row,)."""
        shapely.prepare(self.area)
        bounds, row = table["bbox"], 0
        met = []
        for part in in_parts(without_extension(table["geometry"])):
            shapes = read_shapes(part, "geometry")
            lacking = shapely.is_missing(shapes)
            if lacking.any():
                shapes[lacking] = _boxes(bounds.slice(row, len(part)).filter(pa.array(lacking)))
            met.append(shapely.intersects(self.area, shapes))
            row += len(part)
        return np.concatenate(met)

    def holds_bounds(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return True for rows whose bounds, and so their footprints, lie in the area; (row,)."""
        shapely.prepare(self.area)
        return np.asarray(shapely.covers(self.area, _boxes(table["bbox"])))

    def apply(self, table: pa.Table) -> pa.Table:
        """Return the chosen rows of a table in memory.

        Example:
            >>> from stacchip.index.schema import SCHEMA
            >>> Selection(max_cloud=0.1).apply(SCHEMA.empty_table()).num_rows
            0
        """
        self.require_split(table.column_names, "The table")
        if self.left_out is not None:
            self.report_left_out(self.refine(table.filter(self.left_out)).num_rows)
        return self.refine(table if self.expression is None else table.filter(self.expression))

    def report_left_out(self, chips: int) -> None:
        """Log how many chips `left_out` has counted."""
        if chips:
            shares = " or ".join(_SHARE_NAMES[column] for column in self._limits)
            _log.warning(
                "Chips left out because their %s was not measured: %s. "
                'To keep them: unmeasured="keep", --unmeasured keep.',
                shares,
                f"{chips:,}",
            )


_SHARE_NAMES: Final = {column: share for share, column in SHARE_COLUMNS.items()}


def _is_one_of(column: str, wanted: Any) -> pc.Expression:
    """Return the condition that a column has a value, or one of several."""
    is_several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    named = _to_array(column, list(wanted) if is_several else [wanted])
    # sets come in another order in each process, and `digest` may not differ
    return pc.field(column).isin(named.take(pc.array_sort_indices(named)))


def _to_array(column: str, values: list[Any]) -> pa.Array:
    """Return values to look for in a column.

    Raises:
        UsageError: The column cannot hold one of them.
    """
    kind = pa.string() if column == SPLIT else SCHEMA.field(column).type
    try:
        return pa.array(values, kind)
    except (ValueError, TypeError, OverflowError):
        wrong = next((value for value in values if not _fits(value, kind)), values)
    what = "text without lone surrogates" if kind == pa.string() else "whole numbers below 2**31"
    raise UsageError(f"{column}= takes {what}; got {reprlib.repr(wrong)}. Mend it or leave it out.")


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value, kind)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _is_null(column: str) -> pc.Expression:
    return pc.field(column).is_null(nan_is_null=True)


def _is_exempt(column: str) -> pc.Expression | None:
    """Return the condition of chips that a limit on a column does not apply to; None if of none.

    Sources declare this (`Source.clouds`); the platform says which source a chip is of.
    """
    if column != SHARE_COLUMNS["cloud"]:
        return None
    names = [source.name for source in list_sources() if source.clouds == "not applicable"]
    return pc.field("platform").isin(pa.array(sorted(names), pa.string())) if names else None


def _is_unmeasured(column: str) -> pc.Expression:
    """Return the condition of chips that lack a share which applies to them."""
    exempt = _is_exempt(column)
    return _is_null(column) if exempt is None else _is_null(column) & ~exempt


def _to_geometry(bbox: Sequence[float]) -> shapely.Geometry:
    """Return a bbox as a geometry, of two parts if it crosses the antimeridian."""
    try:
        west, south, east, north = (float(side) for side in bbox)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"bbox must be xmin, ymin, xmax, ymax in degrees, not {bbox!r}."
        ) from error
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise UsageError(
            f"bbox must be xmin, ymin, xmax, ymax in degrees of longitude and latitude, "
            f"not {bbox!r}."
        )
    sides = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return shapely.union_all([_to_box(left, south, right, north) for left, right in sides])


def _to_box(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """Return a box; one without width or height is a line or a point.

    As a polygon such a box would be invalid: a union loses it, and a prepared one meets nothing.
    """
    if (west, south) == (east, north):
        return shapely.Point(west, south)
    if west == east or south == north:
        return shapely.LineString([(west, south), (east, north)])
    return shapely.box(west, south, east, north)


def _boxes(bbox: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return bounds as polygons; None where there are none."""
    sides = [pc.struct_field(bbox, side) for side in ("xmin", "ymin", "xmax", "ymax")]
    return np.asarray(shapely.box(*(side.to_numpy(zero_copy_only=False) for side in sides)))


def _overlaps(area: shapely.Geometry) -> pc.Expression:
    """Return the condition that a footprint's bounds overlap the bounds of a part of the area."""
    parts = shapely.get_parts(area)
    if len(parts) > _MOST_PARTS or len(parts) == 0:
        parts = np.array([area])
    boxes = (_in_bounds(part.bounds) for part in parts)
    return reduce(lambda one, other: one | other, boxes)


def _in_bounds(bounds: tuple[float, float, float, float]) -> pc.Expression:
    west, south, east, north = bounds
    return (
        (pc.field("bbox", "xmin") <= east)
        & (pc.field("bbox", "xmax") >= west)
        & (pc.field("bbox", "ymin") <= north)
        & (pc.field("bbox", "ymax") >= south)
    )


def parse_period(
    period: str | date | Sequence[Moment] | None,
) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last moment of a period, in UTC; None stands for an open end.

    Args:
        period: As `stacchip.items.dates.Period.parse` takes it.

    Raises:
        UsageError: It cannot be understood, or ends before it starts.

    Example:
        >>> start, end = parse_period("2024-02/2024-03-05T12:00:00Z")
        >>> start.isoformat(), end.isoformat()
        ('2024-02-01T00:00:00+00:00', '2024-03-05T12:00:00+00:00')
    """
    parsed = Period.parse(period)
    return parsed.start, parsed.last
