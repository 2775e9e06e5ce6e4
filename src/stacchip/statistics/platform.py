"""The statistics of all bands of one platform, which jobs save and merge."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.cubes.sinks.npy import read_npy
from stacchip.errors import IndexFormatError, StacchipError, UsageError
from stacchip.raster.nodata import find_values
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.sources.training_bands import Band, PlatformBands
from stacchip.statistics.band import BandStatistics, from_state, new_statistics
from stacchip.statistics.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Run = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

_FORM = "stacchip statistics 1"
_MOST_BYTES = 512 << 20  # of all arrays: a histogram takes half a megabyte for each band


@dataclass(frozen=True)
class Part:
    """The part of a run that one job's statistics cover.

    `stacchip.stream.Shard` says which chips a job reads. A part also knows all platforms of the
    run, so that a merge notices jobs that never reached a platform.

    Attributes:
        job: Number of the job, from 0.
        jobs: Number of jobs in the run.
        platforms: All platforms that the run measures.

    Example:
        >>> Part(0, 3).find_missing({0, 2})
        [1]
    """

    job: int
    jobs: int
    platforms: tuple[str, ...] = ()

    def find_missing(self, there: set[int]) -> list[int]:
        """Return the jobs of the run that are not among these."""
        return [job for job in range(self.jobs) if job not in there]

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain values, for JSON."""
        return {"job": self.job, "jobs": self.jobs, "platforms": list(self.platforms)}

    @classmethod
    def from_dict(cls, part: dict[str, Any]) -> Part:
        """Return the part that `to_dict` described."""
        return cls(part["job"], part["jobs"], tuple(part["platforms"]))


class PlatformStatistics:
    """Statistics of a platform's bands.

    Args:
        platform: The platform and its bands.
        dtype: Type of the imagery.

    Attributes:
        platform: The platform and its bands.
        bands: The statistics of each band, in the platform's order.
        chips: Number of chips that were counted.
        measured: What was measured, in plain values: equal in all parts of one run.
        part: The part of the run; None if that is not known.
        sample: Which chips the run measures, and which it leaves out; None if that is not known.
    """

    sample: Sample | None = None

    def __init__(self, platform: PlatformBands, dtype: Any) -> None:
        self.platform = platform
        self.bands: tuple[BandStatistics, ...] = tuple(
            new_statistics(dtype) for _ in platform.bands
        )
        self.chips = 0
        self.measured: dict[str, Any] = {}
        self.part: Part | None = None

    def add(
        self,
        pixels: NDArray[Any],
        valid: NDArray[np.bool_] | None = None,
        *,
        run: Run = map,
    ) -> None:
        """Add chips.

        Args:
            pixels: (chip, band, y, x), the bands in the platform's order.
            valid: True for pixels that count, in the same shape. None leaves out NaN and the
                platform's nodata.
            run: Calls a function for each band: `map`, or the `map` of a pool of threads.

        Raises:
            UsageError: The shape is wrong, or a value does not fit the imagery's type.
        """
        if pixels.ndim != 4 or pixels.shape[1] != len(self.bands):
            raise UsageError(
                f"Chips of {self.platform.platform!r} are (chip, {len(self.bands)}, y, x), "
                f"not {pixels.shape}."
            )

        def add_band(number: int) -> None:
            band = pixels[:, number]
            nodata = self.platform.nodata
            usable = find_values(band, nodata) if valid is None else valid[:, number]
            self.bands[number].add(band if usable.all() else band[usable])

        list(run(add_band, range(len(self.bands))))
        self.chips += len(pixels)

    def merge(self, other: PlatformStatistics) -> None:
        """Add the statistics of other chips.

        Raises:
            UsageError: They have another platform, other bands or another type.
        """
        ours, theirs = self.platform, other.platform
        if (ours.platform, ours.names) != (theirs.platform, theirs.names):
            raise UsageError(
                f"Statistics of {ours.platform!r} ({', '.join(ours.names)}) and of "
                f"{theirs.platform!r} ({', '.join(theirs.names)}) cannot be merged."
            )
        for mine, its in zip(self.bands, other.bands, strict=True):
            mine.merge(its)
        self.chips += other.chips
        self.sample = self.sample or other.sample

    # --- on disk

    def to_bytes(self) -> bytes:
        """Return the statistics as a zip file of arrays, for `from_bytes`."""
        about = {
            "form": _FORM,
            "platform": self.platform.platform,
            "gsd_m": self.platform.gsd_m,
            "dtype": str(self.bands[0].dtype),
            "nodata": self.platform.nodata,
            "chips": self.chips,
            "measured": self.measured,
            "part": None if self.part is None else self.part.to_dict(),
            "sample": None if self.sample is None else asdict(self.sample),
            "bands": [
                [band.name, band.asset, band.number, band.wavelength_um]
                for band in self.platform.bands
            ],
        }
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
        for number, band in enumerate(self.bands):
            for name, array in band.to_state().items():
                arrays[f"{number}_{name}"] = array
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its other argument is a bool
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, *, href: str | None = None) -> PlatformStatistics:
        """Return the statistics that `to_bytes` wrote.

        Raises:
            IndexFormatError: The bytes are something else.
            UsageError: An earlier version counted values that are not finite.
        """
        try:
            arrays = _unpack(data)
            about = json.loads(arrays["about"].tobytes())
            if about["form"] != _FORM:
                raise _unknown(href)
            return cls._from_parts(about, arrays, href)
        except StacchipError:
            raise
        # whatever the file says of itself may be of another type
        except (*ODD_VALUES, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _unknown(href) from error

    @classmethod
    def _from_parts(
        cls, about: dict[str, Any], arrays: dict[str, NDArray[Any]], href: str | None
    ) -> PlatformStatistics:
        bands = tuple(Band(*band) for band in about["bands"])
        dtype = np.dtype(about["dtype"])
        platform = PlatformBands(
            about["platform"], bands, about["gsd_m"], about["dtype"], about["nodata"]
        )
        self = cls(platform, dtype)
        self.chips = about["chips"]
        self.measured = about.get("measured", {})  # files of earlier versions have neither
        part, sample = about.get("part"), about.get("sample")
        self.part = None if part is None else Part.from_dict(part)
        self.sample = None if sample is None else Sample(**sample)
        try:
            self.bands = tuple(
                from_state(dtype, _arrays_of(number, arrays)) for number in range(len(bands))
            )
        except UsageError as error:
            raise UsageError(
                f"{href or 'This file'} cannot be merged. {error} Delete it and run its job again."
            ) from error
        return self


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a zip file.

    Raises:
        ValueError: They would take far more memory than the statistics of any platform.
        zipfile.BadZipFile: It is none.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _MOST_BYTES:
            raise ValueError("it is too large")
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = read_npy(file)
        return arrays


def _arrays_of(number: int, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the state of one band, whose arrays have its number before their names."""
    start = f"{number}_"
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }


def _unknown(href: str | None) -> IndexFormatError:
    return IndexFormatError(
        f"{href or 'This file'} has no statistics of stacchip-stats.", href=href
    )
