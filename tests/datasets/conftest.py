import multiprocessing
from importlib.util import find_spec
from typing import Any

import pytest

from stream.conftest import archive, nested, server

__all__ = ["archive", "nested", "server"]


@pytest.fixture(scope="session", autouse=True)
def _forkserver_with_pytorch() -> None:
    """Let the fork server import PyTorch once, instead of each worker anew: it takes seconds.

    A worker that imports everything itself is tested by the start method "spawn".
    """
    if find_spec("torch"):
        multiprocessing.set_forkserver_preload(["torch", "stacchip.datasets"])


def end_workers(batches: Any) -> None:
    """End the workers of a DataLoader's iterator after an error, if they are persistent.

    The error keeps the iterator until the garbage collector comes, and PyTorch waits 5 s for each
    worker then.
    """
    batches._shutdown_workers()
