"""The logs of the leaderboard, and how each is read and split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """A log with the settings of its evaluation.

    Attributes:
        title: heading of its table.
        folder: folder of ``interactions.parquet`` and ``items.parquet``, below the folder of all data.
        settings: options of ``interestlab fit``.
    """

    title: str
    folder: str
    settings: dict[str, Any]

    def options(self, data: Path) -> dict[str, Any]:
        """Return the options of ``fit`` that read and split the log.

        Args:
            data: folder of all data.
        """
        folder = data / self.folder
        files = {"interactions": folder / "interactions.parquet", "items": folder / "items.parquet"}
        return {"data.source": "files"} | {f"data.source.{name}": str(file) for name, file in files.items()} | self.settings


LOGS = {
    "beauty_file": Log("Beauty, published order", "amazon_beauty_5core_2014", {"data.ties": "file"}),
    "beauty_shuffle": Log("Beauty, ties shuffled", "amazon_beauty_5core_2014", {"data.ties": "shuffle"}),
    "musical_instruments": Log(
        "Musical Instruments, ties shuffled", "amazon_musical_instruments_5core_2014", {"data.ties": "shuffle"}
    ),
    "scientific": Log("Scientific, history not excluded", "amazon_scientific_iisan", {"data.exclude_history": False}),
    "taobao": Log(
        "Taobao, split at two times, history not excluded",
        "taobao_userbehavior_head",
        {"data.split": "global_time", "data.exclude_history": False},
    ),
}
"""By name; the folders are those in which the data of the results pages lie."""
