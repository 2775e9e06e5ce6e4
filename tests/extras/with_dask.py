"""The extra `dask`: chips cut by a cluster of processes, as `collect --dask local` starts it."""

from __future__ import annotations

from imagery import index_scene, require_only


def brightest(index: str, row: int) -> int:
    """Return the largest pixel of a chip."""
    from stacchip import Chipper

    _, _, chip = Chipper(index, assets=["red"])[row]
    return int(chip["red"].max())


def main() -> None:
    require_only("dask", "distributed")
    from distributed import Client

    from stacchip.collect.run import local_cluster

    _, index = index_scene()
    with local_cluster(2) as cluster, Client(cluster) as client:
        found = client.gather(client.map(brightest, [index] * 4, range(4)))
    # chip (x, y) ends with the pixel of row 256 y + 255 and column 256 x + 255, and pixels count on
    expected = [(256 * y + 255) * 700 + 256 * x + 256 for y in (0, 1) for x in (0, 1)]
    assert sorted(found) == sorted(expected), found


if __name__ == "__main__":
    main()
