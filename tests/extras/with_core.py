"""The core alone: index, merge, cut, stream and preview; what is missing names its extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from imagery import index_scene, require_only


def main() -> None:
    require_only()
    from stacchip import Chipper, ChipStream, merge_indexes, read_index

    _, index = index_scene()
    merge_indexes([index], "merged")
    assert read_index("merged").num_rows == 4
    chip = Chipper("merged", assets=["red", "swir"]).cut(x=1, y=1)
    assert chip.array.shape == (2, 256, 256)
    assert chip.valid.all()
    assert sum(len(batch) for batch in ChipStream("merged", assets=["red"]).batches(3)) == 4

    stacchip = str(Path(sys.executable).with_name("stacchip"))
    for command in (
        ["info", "merged"],
        ["chip", "merged", "scene-1-0-0", "-o", "chip.tif"],
        ["preview", "merged", "-o", "sheet.png"],
        ["--help"],
    ):
        subprocess.run([stacchip, *command], check=True, stdout=subprocess.DEVNULL)
    for name in ("linz_prefixes.txt", "modis_tiles.txt"):
        assert (files("stacchip.collect") / "data" / name).read_text(), name

    try:
        from stacchip.datasets import ChipStreamDataset  # noqa: F401
    except ImportError as error:
        assert "stacchip[torch]" in str(error), error
    else:
        raise AssertionError("PyTorch is not there")


if __name__ == "__main__":
    main()
