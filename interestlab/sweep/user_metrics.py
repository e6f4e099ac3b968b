"""Metrics per user, recomputed from the ``ranks.parquet`` of each trial."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from interestlab.errors import DataError
from interestlab.metrics import TARGET_GROUPS, TargetRanks, per_user_metrics
from interestlab.metrics.groups import group_masks

PER_USER = re.compile(rf"test/(?:({'|'.join(TARGET_GROUPS)})/)?((?:recall|ndcg|mrr)@(\d+))")
"""Names of the metrics that can be computed per user from the ranks: the group of targets if any, the metric, and its k."""

TOLERANCE = 1e-6
"""Largest deviation of a reported metric, which was rounded to float32, from the mean over users."""


class UserMetrics:
    """Reads the trials of a sweep one by one and checks that their users and metrics agree.

    Only the baseline stays in memory, so memory does not grow with the number of trials.

    Args:
        folder: folder of the sweep.
        metrics: metrics of the sweep; those that do not match :data:`PER_USER` are ignored.

    Attributes:
        names: the metrics that are available per user, with their match of :data:`PER_USER`.
        user_ids: user ids of every trial, sorted; empty until the first trial is read.
        baseline: ``[users, metrics]`` of the baseline, by seed; NaN where a user is not in the group of a metric.
    """

    def __init__(self, folder: Path, metrics: Sequence[str]) -> None:
        self.folder = folder
        self.names = {name: match for name in metrics if (match := PER_USER.fullmatch(name))}
        self.user_ids = pl.Series("user_id", [], dtype=pl.String)
        self.first_trial = ""
        self.baseline: dict[int, np.ndarray] = {}

    def read_baseline(self, trials: pl.DataFrame) -> None:
        """Read the trials of the baseline and keep them.

        Args:
            trials: rows of ``results.parquet``.
        """
        self.baseline = dict(self.read(trials))

    def read(self, trials: pl.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
        """Read the finished trials.

        Args:
            trials: rows of ``results.parquet``.

        Yields:
            Seed and ``[users, metrics]`` as in :attr:`baseline`, users in the order of :attr:`user_ids`.
        """
        for trial in trials.filter(pl.col("status") == "done").iter_rows(named=True):
            if self.names:
                yield trial["seed"], self.read_trial(trial)

    def read_trial(self, trial: Mapping[str, Any]) -> np.ndarray:
        """Compute the metrics of one trial with the function that its run used.

        Args:
            trial: a row of ``results.parquet``.

        Returns:
            ``[users, metrics]``; NaN where a user is not in the group of a metric.

        Raises:
            DataError: the file is missing, its mean differs from the metric that the run reported, or its users differ from
                those of the other trials.
        """
        file = self.folder / trial["run"] / "ranks.parquet"
        if not file.is_file():
            raise DataError(f"trial {trial['trial']} is done but {file} is missing")
        table = pl.read_parquet(file, glob=False).sort("user_id")
        self.check_users(trial["trial"], table["user_id"])
        index = torch.arange(table.height)
        ranks = TargetRanks(
            index, index, torch.tensor(table["rank"].to_numpy() - 1), torch.tensor(table["tied"].to_numpy().copy())
        )
        values = per_user_metrics(ranks, sorted({int(match[3]) for match in self.names.values()}))
        masks = group_masks(table["target_count"].to_numpy()) if any(match[1] for match in self.names.values()) else {}
        columns = []
        for name, match in self.names.items():
            by_user = np.where(masks[match[1]], values[match[2]], np.nan) if match[1] else values[match[2]]
            mean = float(np.nanmean(by_user))
            if not abs(mean - trial[name]) <= TOLERANCE:
                reported = f"trial {trial['trial']} reports {name} {trial[name]:.6f}"
                raise DataError(f"{reported} but {file} gives {mean:.6f}: one of them comes from another run or was modified")
            columns.append(by_user)
        return np.stack(columns, axis=1)

    def check_users(self, trial: str, user_ids: pl.Series) -> None:
        """Check that a trial can be paired with the others user by user.

        Args:
            trial: its id.
            user_ids: sorted.

        Raises:
            DataError: a user has several ranks, or the users differ from those of the first trial.
        """
        if not self.first_trial:
            self.first_trial, self.user_ids = trial, user_ids
        if user_ids.n_unique() < len(user_ids) or not len(user_ids):
            raise DataError(
                f"trial {trial} has {len(user_ids)} ranks of {user_ids.n_unique()} users; every user must have exactly one"
            )
        if not user_ids.equals(self.user_ids):
            here = (~self.user_ids.is_in(user_ids.implode())).sum()
            there = (~user_ids.is_in(self.user_ids.implode())).sum()
            raise DataError(
                f"trials {self.first_trial} and {trial} were evaluated on different users: "
                f"{here} are missing in {trial}, {there} in {self.first_trial}"
            )
