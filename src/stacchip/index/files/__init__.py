"""The files of an index."""
