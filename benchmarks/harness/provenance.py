"""What the results were measured on, and how they are written."""

import json
from pathlib import Path
from typing import Any

from interestlab.utils.versions import run_versions


def describe_machine(device: object) -> dict[str, Any]:
    """Return the device, the number of CPU threads, and the versions of all libraries."""
    import torch

    return {"device": str(device), "threads": torch.get_num_threads()} | run_versions()


def machine_line(machine: dict[str, Any]) -> str:
    """Return the line on the machine that the printed results begin or end with."""
    return f"{machine['device']}, {machine['threads']} threads"


def write_results(file: Path | None, results: dict[str, Any]) -> None:
    """Write the results to a JSON file, if one was named."""
    if file:
        file.write_text(json.dumps(results, indent=1))
