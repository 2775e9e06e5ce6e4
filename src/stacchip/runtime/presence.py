"""Whether something is at a local path; what this user may not look at counts as not there.

The methods of `Path` raise errors for a path in a folder that the user may not enter, and for one
that is too long. Whoever opens the path afterwards gets an error of ours, which says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_folder", "is_there"]


def is_there(path: Path) -> bool:
    """Return True if a file, folder or device can be seen at a path.

    Example:
        >>> from pathlib import Path
        >>> is_there(Path("/")), is_there(Path("a" * 1000))
        (True, False)
    """
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_folder(path: Path) -> bool:
    """Return True if a folder can be seen at a path."""
    return os.path.isdir(path)  # noqa: PTH112 - see above
