"""The machine on which the numbers were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = (
    "stacchip",
    "numpy",
    "imagecodecs",
    "rasterio",
    "pyarrow",
    "obstore",
    "urllib3",
    "torch",
)
"""Packages whose versions matter."""


def describe_machine() -> dict[str, Any]:
    """Return cores, processor, memory, versions, and the load before the run."""
    import rasterio

    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gdal": rasterio.__gdal_version__,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
