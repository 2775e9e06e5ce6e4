"""Other readers of COGs.

All read the same chips: all assets, 256 px at 10 m, with 20 m pixels doubled. Each has two tasks.
`prepare` opens the files; their headers are then known, as ours are from the index. `chips` cuts
chips, all concurrently, and returns the seconds and a checksum. The checksums must agree.
"""
