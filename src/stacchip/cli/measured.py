"""What `stacchip stats` says at its end: which chips it measured, left out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stacchip.cli import console
from stacchip.cubes.imagery import DEFAULT_MAX_NODATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.statistics import Part, PlatformStatistics, Sample

_SHARES: Final = ("nodata", "cloud")
_REASONS: Final = {
    "chip_size": "of another size (--chip-size)",
    "nodata_unmeasured": "whose nodata was not measured (--unmeasured keep takes them)",
    "max_nodata": "with more nodata (--max-nodata)",
    "cloud_unmeasured": "whose cloud was not measured (--unmeasured keep takes them)",
    "max_cloud": "with more cloud (--max-cloud)",
    "no_place": "beyond the edge of the Earth",
    "max_chips": "not drawn (--max-chips)",
}


def tell_what_was_measured(statistics: PlatformStatistics, part: Part | None = None) -> None:
    """Print notes on what the statistics are of, what they leave out, and what they assume.

    Args:
        statistics: The statistics.
        part: The part of the run that they cover; None for the whole.
    """
    for line in describe(statistics, part):
        console.note(f"{statistics.platform.platform}: {line}")


def describe(statistics: PlatformStatistics, part: Part | None = None) -> Iterator[str]:
    """Yield a line for each fact about what was measured."""
    sample = statistics.sample
    if sample is None:
        yield f"{statistics.chips:,} chips; which chips were left out is not recorded"
    else:
        by = f" by job {part.job} of {part.jobs}" if part else ""
        yield _count(statistics.chips, sample, by)
        if sample.left_out:
            yield f"left out: {', '.join(_left_out(sample))}"
        yield _limits(sample)
    for name, band in zip(statistics.platform.names, statistics.bands, strict=True):
        if band.nonfinite.total:
            yield f"{name}: valid pixels left out because they are not finite: {band.nonfinite}"
        if statistics.chips and not band.moments.count:
            yield f"{name}: no pixel can be used, so its numbers are null"


def _count(chips: int, sample: Sample, by: str) -> str:
    if sample.cubes_there is not None:
        return (
            f"{chips:,} chips measured{by}, in {sample.cubes_measured:,} of "
            f"{sample.cubes_there:,} cubes at {sample.place}"
        )
    return f"{chips:,} of {sample.there:,} chips of {sample.place} measured{by}"


def _left_out(sample: Sample) -> Iterator[str]:
    for reason, count in sample.left_out.items():
        yield f"{count:,} {_REASONS.get(reason, reason)}"


def _limits(sample: Sample) -> str:
    is_of_cubes = sample.cubes_there is not None
    if sample.limits is None:
        return "the limits by which the chips of these cubes were chosen are not recorded"
    said = [_limit(sample.limits, share) for share in _SHARES]
    text = f"chips {'were cut' if is_of_cubes else 'are taken'} with {' and '.join(said)}"
    has_limit = any(sample.limits[f"max_{share}"] is not None for share in _SHARES)
    if has_limit and sample.limits["unmeasured"] == "keep":
        text += ", or where that was not measured"
    if not is_of_cubes and sample.limits["max_nodata"] != DEFAULT_MAX_NODATA:
        text += (
            f"; stacchip prechip takes at most {DEFAULT_MAX_NODATA:.0%} nodata by default, as "
            f"--max-nodata {DEFAULT_MAX_NODATA} does"
        )
    return text


def _limit(limits: dict[str, Any], share: str) -> str:
    largest = limits[f"max_{share}"]
    return f"any {share}" if largest is None else f"at most {100 * largest:.4g}% {share}"
