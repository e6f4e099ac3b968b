"""Measure the cost of a commit on this disk."""

import tempfile
import time
from pathlib import Path

from interestlab.serving.store.store import Store


def measure_commit(folder: Path, durable: bool, commits: int = 20) -> float:
    """Return the mean seconds of a transaction with one small row, in a scratch database beside the store.

    Args:
        folder: folder of the store.
        durable: whether a commit waits for the disk.
        commits: number of transactions.
    """
    with tempfile.TemporaryDirectory(prefix=".commit-", dir=folder) as scratch:
        store = Store(Path(scratch) / "scratch.sqlite", durable=durable)
        start = time.perf_counter()
        for i in range(commits):
            with store.transaction():
                store.set_setting("n", str(i))
        seconds = time.perf_counter() - start
        store.close()
    return seconds / commits
