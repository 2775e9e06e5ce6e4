"""Why a run found nothing: what was asked of the catalogue, and what it has."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacchip.errors import StacchipError
from stacchip.runtime.percent import format_percent
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pystac
    import shapely

    from stacchip.collect.job import Job
    from stacchip.collect.recipe import Catalogue, Choices
    from stacchip.collect.sample import Row
    from stacchip.items.dates import Period

MOST_NAMES = 20
LIMITED = {"max_cloud": "cloud", "max_nodata": "nodata"}

_log = logging.getLogger(__name__)


@dataclass
class CountingCatalogue:
    """A catalogue that notes what it is asked for, and how much it offers.

    Attributes:
        catalogue: The catalogue that answers.
        periods: What was asked of each collection.
        offered: The number of items that it offered.
    """

    catalogue: Catalogue
    periods: dict[str, list[Period]] = field(default_factory=dict)
    offered: int = 0

    def search(
        self,
        collection: str,
        *,
        period: Period | None = None,
        geometry: shapely.Geometry | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> list[pystac.Item]:
        """Return what the catalogue finds."""
        self.periods.setdefault(collection, []).extend([period] if period else [])
        found = self.catalogue.search(collection, period=period, geometry=geometry, query=query)
        self.offered += len(found)
        return found

    def item_hrefs(self, prefix: str) -> list[str]:
        """Return the items of a prefix."""
        found = self.catalogue.item_hrefs(prefix)
        self.offered += len(found)
        return found

    def read_item(self, href: str) -> pystac.Item:
        """Return an item."""
        return self.catalogue.read_item(href)

    @property
    def asked(self) -> str:
        """The collections asked for, with its first and last date."""
        parts = []
        for name, periods in self.periods.items():
            dates = ""
            if periods:
                spans = [period.interval.split("/") for period in periods]
                first, last = min(span[0] for span in spans), max(span[1] for span in spans)
                dates = f" in {len(periods)} periods from {first[:10]} to {last[:10]}"
            parts.append(f"{name!r}{dates}")
        return " and ".join(parts)


def explain_nothing(job: Job, rows: Sequence[Row]) -> str:
    """Return in words what a run without any item asked for, and what there is instead.

    The catalogue is asked again, for the first row only: with the same choices, without the limits
    of cloud and nodata, and for its collections.

    Args:
        job: The work.
        rows: Its rows.

    Returns:
        Sentences for people.
    """
    href = redact(job.settings.catalogue or job.recipe.catalogue)
    said = [f"{href} has no item that fits any of the {len(rows)} rows."]
    if rows:
        try:
            said += _ask_again(job, rows[0])
        except StacchipError as error:
            _log.warning("the reason is not known: %s", error)
    return " ".join(said)


def _ask_again(job: Job, row: Row) -> list[str]:
    catalogue = job.open_catalogue()
    counting = CountingCatalogue(catalogue)
    chosen = job.choose(row, catalogue=counting)
    asked = counting.asked or "the items of its collection"
    said = [f"{row.title} asked for {asked}{_limits(job.choices)}."]
    names = catalogue.collection_names()
    absent = [name for name in counting.periods if names and name not in names]
    if absent:
        there = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
        said.append(f"The catalogue has no collection {', '.join(absent)}; it has: {there}.")
        return said
    are_notes_the_reason = counting.offered > 0
    is_limited = any(getattr(job.choices, name) is not None for name in LIMITED)
    if counting.offered == 0 and is_limited:
        counting = CountingCatalogue(catalogue)
        job.choose(row, catalogue=counting, choices=_without_limits(job.choices))
        said.append(f"Without these limits it offers {counting.offered} items.")
    else:
        said.append(f"It offers {counting.offered} items.")
    said += chosen.notes[:1] if are_notes_the_reason else ()
    return said


def _without_limits(choices: Choices) -> Choices:
    unlimited: dict[str, Any] = {
        name: 100.0 for name in LIMITED if getattr(choices, name) is not None
    }
    return dataclasses.replace(choices, **unlimited)


def _limits(choices: Choices) -> str:
    """Return the limits of cloud and nodata in words."""
    limits = [
        f"at most {format_percent(getattr(choices, name) / 100)} {what}"
        for name, what in LIMITED.items()
        if getattr(choices, name) is not None
    ]
    return f", with {' and '.join(limits)}" if limits else ""
