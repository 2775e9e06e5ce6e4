"""Blocks of items, each decoded once for all chips that want it."""
