"""The sample archive: three scenes of one made-up landscape, with their STAC items."""

from __future__ import annotations

from pathlib import Path

from stacchip.demo import landsat, naip, sentinel2
from stacchip.demo.landscape import make_landscape
from stacchip.demo.sensor import ProgressCallback, write_scene
from stacchip.errors import UsageError

SENSORS = (sentinel2.SENSOR, landsat.SENSOR, naip.SENSOR)


def write_archive(
    folder: str | Path,
    *,
    seed: int = 0,
    small: bool = False,
    progress: ProgressCallback | None = None,
) -> list[Path]:
    """Write a Sentinel-2-like, a Landsat-like and a NAIP-like scene, all generated.

    The files lie as in a stacchip bucket: `{collection}/{item_id}/stac_item.json`, with the assets
    beside it. The same seed gives the same bytes. Files of an earlier run are replaced.

    Args:
        folder: The folder to write to; it is created if it does not exist.
        seed: Seed of the landscape and its weather, 0 or more.
        small: Draw a tenth of the area, enough for tests; the rest is the same.
        progress: Called with the name of a part, the number of steps done and the number of steps
            in all.

    Returns:
        The paths of the three items: Sentinel-2, Landsat, NAIP.

    Raises:
        UsageError: The seed is negative.
    """
    if seed < 0:
        raise UsageError(f"A seed is 0 or more, not {seed}.", seed=seed)
    report = progress or (lambda _name, _done, _total: None)
    report("landscape", 0, 1)
    landscape = make_landscape(seed)
    report("landscape", 1, 1)
    return [
        write_scene(Path(folder), sensor, landscape, seed, small=small, progress=report)
        for sensor in SENSORS
    ]
