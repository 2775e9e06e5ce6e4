"""Other readers of COGs, each asked for the same chips: all assets, 256 px at 10 m, 20 m pixels
doubled.

Each has two tasks: `prepare` opens the files (their headers are then known, as ours are from the
index) and `chips` cuts chips, all concurrently, and tells the seconds and a checksum, which must
agree.
"""
