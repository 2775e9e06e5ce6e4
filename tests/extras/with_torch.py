"""The extra `torch`: an epoch of a DataLoader with two worker processes."""

from __future__ import annotations

from imagery import index_scene, require_only


def main() -> None:
    require_only("torch")
    from torch.utils.data import DataLoader

    from stacchip import Chipper, ChipStream
    from stacchip.datasets import ChipDataset, ChipStreamDataset

    _, index = index_scene()
    stream = ChipStream(index, assets=["red", "swir"], order="shuffle", seed=1)
    loader = DataLoader(
        ChipStreamDataset(stream, batch_size=2),
        batch_size=None,
        num_workers=2,
        multiprocessing_context="forkserver",
    )
    seen = [chipid for batch in loader for chipid in batch["chipid"]]
    assert sorted(seen) == [f"scene-1-{x}-{y}" for x in (0, 1) for y in (0, 1)], seen
    assert ChipDataset(Chipper(index, assets=["red"]))[3]["pixels"].shape == (1, 256, 256)


if __name__ == "__main__":
    main()
