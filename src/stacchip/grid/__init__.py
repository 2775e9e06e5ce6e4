"""Where pixels lie: CRSs, geoboxes, windows, chip grids and footprints."""
