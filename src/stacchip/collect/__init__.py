"""From catalogues to an archive: imagery, items and indexes of six sources in one bucket."""
