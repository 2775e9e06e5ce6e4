"""What `stacchip stats` says at its end: which chips it measured, left out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.cli import console
from stacchip.cubes.imagery import DEFAULT_MAX_NODATA
from stacchip.cubes.left_out import describe_left_out, describe_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.statistics import Part, PlatformStatistics, Sample


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
            yield f"left out: {', '.join(describe_left_out(sample.left_out))}"
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


def _limits(sample: Sample) -> str:
    is_of_cubes = sample.cubes_there is not None
    if sample.limits is None:
        return "the limits by which the chips of these cubes were chosen are not recorded"
    taken = "were cut" if is_of_cubes else "are taken"
    text = f"chips {taken} with {describe_limits(sample.limits)}"
    if not is_of_cubes and sample.limits["max_nodata"] != DEFAULT_MAX_NODATA:
        text += (
            f"; stacchip prechip takes at most {DEFAULT_MAX_NODATA:.0%} nodata by default, as "
            f"--max-nodata {DEFAULT_MAX_NODATA} does"
        )
    return text
