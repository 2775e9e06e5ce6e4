"""The sample archive: three scenes of one made-up landscape, with their STAC items."""

from __future__ import annotations

from pathlib import Path

from stacchip.demo import landsat, naip, sentinel2
from stacchip.demo.landscape import make_landscape
from stacchip.demo.progress import Progress, ProgressCallback
from stacchip.errors import UsageError


def write_archive(
    folder: str | Path,
    *,
    seed: int = 0,
    small: bool = False,
    progress: ProgressCallback | None = None,
) -> list[Path]:
    """Write a Sentinel-2-like, a Landsat-like and a NAIP-like scene, all generated.

    The files lie as in a stacchip bucket: `{collection}/{item_id}/stac_item.json`, the assets
    beside it. The same seed gives the same bytes; files of an earlier run are replaced.

    Args:
        folder: Where to; made where it is absent.
        seed: Of the landscape and its weather, 0 or more.
        small: A tenth of the area, as tests need; the rest is the same.
        progress: Called with the name of a part, the steps done and the steps there are.

    Returns:
        The paths of the three items: Sentinel-2, Landsat, NAIP.

    Raises:
        UsageError: The seed is negative.
    """
    if seed < 0:
        raise UsageError(f"A seed is 0 or more, not {seed}.", seed=seed)
    root = Path(folder)
    start = Progress("landscape", 1, progress)
    start.say(0)
    landscape = make_landscape(seed)
    start.say(1)
    size = naip.SMALL if small else naip.WHOLE
    return [
        sentinel2.write_sentinel2(
            root / sentinel2.COLLECTION / sentinel2.ITEM_ID,
            landscape,
            sentinel2.SMALL if small else sentinel2.WHOLE,
            seed,
            Progress("Sentinel-2", len(sentinel2.BANDS) + 1, progress),
        ),
        landsat.write_landsat(
            root / landsat.COLLECTION / landsat.ITEM_ID,
            landscape,
            landsat.SMALL if small else landsat.WHOLE,
            seed,
            Progress("Landsat", len(landsat.BANDS) + 1, progress),
        ),
        naip.write_naip(
            root / naip.COLLECTION / naip.ITEM_ID,
            landscape,
            naip.choose_view(landscape.land_use.towns, size),
            seed,
            Progress("NAIP", 2, progress),
        ),
    ]
