"""Statistics as YAML, in the form of Clay's `configs/metadata.yaml`.

Each platform has `band_order`, `rgb_indices` (if it has red, green and blue), `gsd` in metres, and
`bands`, which maps `mean`, `std` and `wavelength` (micrometres) to the numbers of each band. We add
`min`, `max`, `count`, `nonfinite` (valid pixels that are infinite or NaN, which no other number
counts) and `percentiles`, and say how the percentiles were found, and which limits chose the chips.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stacchip.statistics.moments import Moments
    from stacchip.statistics.platform import PlatformStatistics

PERCENTILES: Final = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)
"""The percentiles of a report, by default."""


def make_report(
    statistics: Iterable[PlatformStatistics], percentiles: Sequence[float] = PERCENTILES
) -> dict[str, Any]:
    """Return statistics by the name of the platform, as plain values for YAML.

    The numbers of a band without usable pixels are None, which YAML writes as null. So are mean and
    deviation of values that are too large for float64 to hold them.

    Raises:
        UsageError: A percentile is not in 0..100.
    """
    if not all(0 <= percent <= 100 for percent in percentiles):
        raise UsageError(f"Percentiles are in 0..100, not {', '.join(map(str, percentiles))}.")
    return {each.platform.platform: _describe(each, percentiles) for each in statistics}


def _describe(statistics: PlatformStatistics, percentiles: Sequence[float]) -> dict[str, Any]:
    platform = statistics.platform
    moments = {
        name: band.moments for name, band in zip(platform.names, statistics.bands, strict=True)
    }
    described: dict[str, Any] = {"band_order": list(platform.names)}
    if platform.rgb_indices is not None:
        described["rgb_indices"] = list(platform.rgb_indices)
    described["gsd"] = platform.gsd_m
    first = statistics.bands[0]
    described["bands"] = {
        "mean": {name: _number(known, known.mean) for name, known in moments.items()},
        "std": {name: _number(known, known.std) for name, known in moments.items()},
        "wavelength": {band.name: band.wavelength_um for band in platform.bands},
        "min": {name: _number(known, known.minimum) for name, known in moments.items()},
        "max": {name: _number(known, known.maximum) for name, known in moments.items()},
        "count": {name: known.count for name, known in moments.items()},
        "nonfinite": {
            name: band.nonfinite.total
            for name, band in zip(platform.names, statistics.bands, strict=True)
        },
        "percentiles": {
            name: _percentiles(band.percentile(percentiles), percentiles)
            for name, band in zip(platform.names, statistics.bands, strict=True)
        },
    }
    described["percentile_method"] = first.method
    described["percentile_rank_error"] = max(band.rank_error for band in statistics.bands)
    described["chips"] = statistics.chips
    if statistics.sample is not None and statistics.sample.limits is not None:
        described["limits"] = dict(statistics.sample.limits)
    return described


def _number(known: Moments, value: float) -> float | None:
    return value if known.count and math.isfinite(value) else None


def _percentiles(found: Sequence[float], percentiles: Sequence[float]) -> dict[float, float | None]:
    return {
        int(percent) if percent == int(percent) else float(percent): (
            None if math.isnan(value) else value
        )
        for percent, value in zip(percentiles, found, strict=True)
    }


def write_yaml(report: dict[str, Any]) -> str:
    """Return a report as YAML text.

    Raises:
        UsageError: PyYAML is not installed.
    """
    try:
        import yaml  # an extra that only reports need
    except ImportError as error:
        raise UsageError(
            "Reports are written with PyYAML: pip install 'stacchip[processors]'."
        ) from error
    text: str = yaml.safe_dump(report, sort_keys=False, allow_unicode=True)
    return text
