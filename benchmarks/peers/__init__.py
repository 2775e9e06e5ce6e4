"""Other programs, each in an environment of its own where it needs one.

Readers of COGs all read the same chips: all assets, 256 px at 10 m, with 20 m pixels doubled. Each
has two tasks. `prepare` opens the files; their headers are then known, as ours are from the index.
`chips` cuts chips, all concurrently, and returns the seconds and a checksum. The checksums must
agree.

Makers of splits have one task: `assign` reads chips from a parquet file, and writes the number of
each chip's split to a file of numpy.

Keepers of chips have the same six tasks. `write` cuts the scene's chips into a data set, once.
`epoch` reads them all in shuffled order, as batches in one process. `loader_epoch` does so through
a DataLoader of two workers, which the first such epoch starts and which stay alive for the next.
`checksum` adds up all pixels of such an epoch, `size` the bytes on disk. `end_loader` ends the
workers.
"""
