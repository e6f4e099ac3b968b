"""Which users the report shows: those with the strongest evidence, in an order that the tables alone determine."""

import polars as pl

from interestlab.drift.report.tables import ReportTables
from interestlab.drift.verdicts import CHANGED

TABLE_ROWS = 100
"""Rows of the table of users."""


def sort_by_evidence(report: ReportTables) -> pl.DataFrame:
    """Sort the users who changed by the smaller of their two q-values.

    Args:
        report: tables that may be shown.

    Returns:
        Rows of the table of users, with that value as ``q``.
    """
    q = pl.min_horizontal("q_migration", "q_evolution").fill_null(1)
    changed = report["users"].filter(pl.col("verdict").is_in(CHANGED))
    return changed.with_columns(q=q).sort("q", "moved", "user_id", descending=[False, True, False], nulls_last=True)
