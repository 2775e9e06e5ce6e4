"""What `stacchip stats` says at its end: which chips it measured, left out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.cli.terminal import console
from stacchip.cubes.imagery import DEFAULT_MAX_NODATA
from stacchip.cubes.left_out import describe_left_out, describe_limits
from stacchip.runtime.percent import format_percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stacchip.statistics import Part, PlatformStatistics, Sample


def tell_what_was_measured(statistics: PlatformStatistics, part: Part | None = None) -> None:
    """Print notes on what the statistics are of, what they leave out, and what they assume.

    Args:
        statistics: The statistics.
        part: The part of the run that they cover; None for the whole.
    """
    for line in describe(statistics, part):
        console.note(f"{statistics.platform.platform}: {line}")


def tell_other_default(statistics: Iterable[PlatformStatistics]) -> None:
    """Print a note, once, if `stacchip prechip` would take other chips of an index by default."""
    samples = [each.sample for each in statistics]
    if any(
        sample and sample.limits and sample.cubes_there is None
        and sample.limits["max_nodata"] != DEFAULT_MAX_NODATA
        for sample in samples
    ):  # fmt: skip
        largest = format_percent(DEFAULT_MAX_NODATA)
        console.note(
            f"stacchip prechip takes chips with at most {largest} nodata by default: measure those "
            f"with --max-nodata {largest}"
        )


def describe(statistics: PlatformStatistics, part: Part | None = None) -> Iterator[str]:
    """Yield a line for each fact about what was measured."""
    sample = statistics.sample
    if sample is None:
        yield f"{statistics.chips:,} chips; which chips were left out is not recorded"
    else:
        yield _count(statistics.chips, sample, part)
        if sample.left_out:
            yield f"left out: {', '.join(describe_left_out(sample.left_out))}"
        yield _limits(sample)
    for name, band in zip(statistics.platform.names, statistics.bands, strict=True):
        if band.nonfinite.total:
            yield f"{name}: valid pixels left out because they are not finite: {band.nonfinite}"
        moments = band.moments
        if moments.is_beyond_float64:
            yield (
                f"{name}: values from {moments.minimum:.4g} to {moments.maximum:.4g} are too large "
                "for a mean and a deviation in float64, which are null. Is one of them a nodata "
                "value that the files do not declare? Declare it in the files or items, and "
                "measure again"
            )
        if statistics.chips and not moments.count:
            yield f"{name}: no pixel can be used, so its numbers are null"


def _count(chips: int, sample: Sample, part: Part | None) -> str:
    by = f" by job {part.job} of {part.jobs}" if part else ""
    if sample.cubes_there is not None:
        share = "; all jobs measure" if part else ", in"
        return (
            f"{chips:,} chips measured{by}{share} {sample.cubes_measured:,} of "
            f"{sample.cubes_there:,} cubes at {sample.place}"
        )
    return f"{chips:,} of {sample.there:,} chips of {sample.place} measured{by}"


def _limits(sample: Sample) -> str:
    is_of_cubes = sample.cubes_there is not None
    if sample.limits is None:
        return "the limits by which the chips of these cubes were chosen are not recorded"
    taken = "were cut" if is_of_cubes else "are taken"
    return f"chips {taken} with {describe_limits(sample.limits)}"
