"""What a type checker sees of the front door, and of packages that load their names as it does.

`make lint` checks this file, and nothing runs it.

An ignored error that does not occur is an error of its own (mypy's `warn_unused_ignores`), so the
lines that must be wrong are held to it as well.
"""

from typing import Any, assert_type

import stacchip
import stacchip.cubes
import stacchip.datasets
import stacchip.statistics
from stacchip import Chip, Chipper, ChipStream, Indexed, index_items

misspelt: Any = stacchip.Chiper  # type: ignore[attr-defined]
misspelt = stacchip.cubes.Imagry  # type: ignore[attr-defined]
misspelt = stacchip.datasets.Lable  # type: ignore[attr-defined]
misspelt = stacchip.statistics.Parts  # type: ignore[attr-defined]
assert_type(index_items([], "index"), Indexed)
assert_type(index_items([], "index").chips, int)
assert_type(len(Chipper("index")), int)
assert_type(Chipper("index").cut(chipid="a"), Chip)
assert_type(stacchip.cubes.Imagery("index", "naip"), stacchip.cubes.imagery.Imagery)
stream: ChipStream = stacchip.ChipStream("index")
index_items([], "index", errors="skp")  # type: ignore[arg-type]
