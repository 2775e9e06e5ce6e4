"""The settings that every call into GDAL runs under."""

from typing import Final

# sidecar files (.msk, .aux.xml, .tfw) are not looked for: each would be a request, and a file must
# read the same wherever it was copied to
OPTIONS: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
