"""Measure stacchip against its floor, its peers and its predecessor: `python -m benchmarks.run`."""
