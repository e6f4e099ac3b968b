"""Log the report of a sweep to W&B, in the group of its runs."""

from pathlib import Path

import polars as pl

from interestlab.sweep.spec import Spec

PROJECT = "interestlab"
"""W&B project of the runs."""


def log_report(spec: Spec, folder: Path) -> bool:
    """Log the comparison and its plots as a run of the sweep's group, if its trials log to W&B.

    Args:
        spec: the sweep.
        folder: folder of the sweep, with its report.

    Returns:
        Whether the report was logged.
    """
    if not any((folder / "trials").glob("*/wandb")):
        return False
    import wandb

    comparison = pl.read_parquet(folder / "report" / "comparison.parquet", glob=False)
    with wandb.init(project=PROJECT, group=spec.name, job_type="report", name=f"{spec.name}-report", dir=folder) as run:
        table = wandb.Table(columns=[*comparison.columns], data=[list(row) for row in comparison.iter_rows()])
        plots = {file.stem: wandb.Image(str(file)) for file in sorted((folder / "report").glob("*.png"))}
        run.log({"comparison": table, **plots})
    return True
