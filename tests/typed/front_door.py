"""What a type checker sees of the front door; `make lint` checks it, and nothing runs it.

An ignored error that does not occur is an error of its own (mypy's `warn_unused_ignores`), so the
lines that must be wrong are held to it as well.
"""

from typing import Any, assert_type

import stacchip
from stacchip import Chip, Chipper, ChipStream, Indexed, index_items

misspelt: Any = stacchip.Chiper  # type: ignore[attr-defined]
assert_type(index_items([], "index"), Indexed)
assert_type(index_items([], "index").chips, int)
assert_type(len(Chipper("index")), int)
assert_type(Chipper("index").cut(chipid="a"), Chip)
stream: ChipStream = stacchip.ChipStream("index")
index_items([], "index", errors="skp")  # type: ignore[arg-type]
