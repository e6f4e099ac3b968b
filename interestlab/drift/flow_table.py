"""The table of flows: before and after of everyone, and from calendar window to calendar window."""

import numpy as np
import polars as pl
from rich.progress import track

from interestlab.drift.flow import Flows, measure_flows, transport_cost
from interestlab.drift.population import catalogue_shift, to_datetimes
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, sessions_since
from interestlab.stats.multiple_testing import benjamini_hochberg

DRAWS = 49
"""Permutations behind a flow: their mean and spread give its p-value."""

FEW_SESSIONS = 4
"""A user of fewer sessions in two windows is in no flow: hardly anything could be permuted."""


def flow_table(
    shares: InterestShares,
    ratio: np.ndarray,
    edges: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """The flows from each user's first window to the second (step -1), and from calendar window to calendar window.

    They are told of all users together, so a user need not be large enough to be tested alone.
    """
    held, interests, cost = shares.log, shares.interests, transport_cost(shares.interests)

    def sample(windows: InterestShares) -> np.ndarray:
        many = np.diff(windows.log.session_offsets)
        users = np.flatnonzero((many >= FEW_SESSIONS) & (windows.second > 0) & (windows.second < many))
        return np.sort(rng.choice(users, min(settings.flow_users, len(users)), replace=False))

    def told(found: pl.DataFrame, step: int, start: int, end: int) -> pl.DataFrame:
        return found.select(
            to_datetimes(np.full(found.height, edges[start])).alias("start"),
            to_datetimes(np.full(found.height, edges[end])).alias("end"),
            pl.lit(step, pl.Int64).alias("step"),
            pl.all(),
        )

    whole = flow_rows(measure_flows(shares, sample(shares), cost, ratio, DRAWS, rng), interests.names)
    out = [told(whole, -1, 0, -1)]
    steps = range(len(edges) - 2)
    for step in track(steps, "flows between windows", disable=len(held.time) < 20_000, transient=True):
        near = held.only((held.time >= edges[step]) & (held.time < edges[step + 2]))
        both = InterestShares(near, interests, sessions_since(near, int(edges[step + 1])))
        drift = catalogue_shift(both, edges[step : step + 3]) if len(near.time) else np.ones(0)
        found = measure_flows(both, sample(both), cost, drift, DRAWS, rng)
        out.append(told(flow_rows(found, interests.names), step, step, step + 2))
    table = pl.concat(out)
    q = pl.Series("q", benjamini_hochberg(table["p"].fill_null(float("nan")).to_numpy()))
    return table.insert_column(table.columns.index("p") + 1, q.fill_nan(None))


def flow_rows(flow: Flows, names: list[str]) -> pl.DataFrame:
    """A row for each pair of interests between which anything flowed, or was tested for it."""
    source, destination = np.nonzero((flow.flow > 0) | ~np.isnan(flow.p))
    p = flow.p[source, destination]
    return pl.DataFrame(
        {
            "source": [names[k] for k in source],
            "destination": [names[k] for k in destination],
            "flow": flow.flow[source, destination],
            "by_chance": flow.by_chance[source, destination],
            "excess": (flow.flow - flow.by_chance)[source, destination],
            "p": p,
            "users": np.full(len(source), flow.users),
        },
        schema_overrides={"source": pl.String, "destination": pl.String, "users": pl.Int64},
    ).with_columns(pl.col("p").fill_nan(None))
