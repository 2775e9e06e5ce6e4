from typing import Any

from stream.conftest import archive, nested, server

__all__ = ["archive", "nested", "server"]


# not for their examples: the import of Lightning takes seconds
collect_ignore = ["lightning_rank.py", "lightning_training.py"]


def end_workers(batches: Any) -> None:
    """End the workers of a DataLoader's iterator after an error, if they are persistent.

    The error keeps the iterator until the garbage collector comes, and PyTorch waits 5 s for each
    worker then.
    """
    batches._shutdown_workers()
