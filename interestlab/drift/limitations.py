"""List the limitations of a log, for the top of the report."""

import numpy as np
import polars as pl

from interestlab.drift.context import Context
from interestlab.drift.population import format_day
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.stats.power import required_sample_size

SHORT_LOG_DAYS = 30
DAY = 86_400


def list_limitations(context: Context, users: pl.DataFrame) -> list[str]:
    """Describe each limitation of the log in one or two sentences.

    Args:
        context: context of the analysis.
        users: the table of users.

    Returns:
        Sentences, the most important first.
    """
    log, settings, all_events = context.log, context.settings, len(context.all_events.time)
    unanswered = int((users["verdict"] == INSUFFICIENT_EVIDENCE).sum())
    active = users.filter(pl.col("events") > 0)
    needed = required_sample_size(5, settings.detectable_shift, settings.significance_level)
    days = (log.time.max() - log.time.min()) / DAY
    notes = [
        f"{unanswered:,} of {users.height:,} users have too few events for a verdict: to detect that "
        f"{settings.detectable_shift:.0%} of the events move to another interest, a user with 5 interests needs up to {needed} "
        f"independent events in each window, and more with more interests; the median user has "
        f"{np.median(active['events'].to_numpy()):.0f} events in {np.median(active['sessions'].to_numpy()):.0f} sessions."
    ]
    if days < SHORT_LOG_DAYS:
        notes.append(f"The log spans {days:.0f} days: an apparent change may be a passing need, a weekend or one purchase.")
    if len(log.session_starts) < 0.75 * len(log.time):
        notes.append(
            f"{len(log.time):,} events form {len(log.session_starts):,} sessions, and the tests permute sessions. Events of "
            f"one session are similar (intraclass correlation {context.shares.intraclass_correlation:.2f}), so a session "
            "counts for fewer independent events than it contains."
        )
    if dropped := all_events - len(log.time):
        notes.append(f"{dropped:,} of {all_events:,} events are of items without an interest and were left out.")
    if np.isnan(log.depth).all() or len(np.unique(log.depth[~np.isnan(log.depth)])) < 2:
        notes.append("The log does not distinguish types of events, so the depth of the funnel is unknown.")
    if len(log.time) > 1 and (np.diff(log.time) % DAY == 0).mean() > 0.99:
        notes.append("Times are days: the order of events within a day is unknown, and a day counts as one session.")
    notes.append(
        f"The interests are {context.interests.rule}. Other interests would give other shares: movement between interests "
        f"counts as migration, movement within one as evolution. The log is from {format_day(log.time.min())} to "
        f"{format_day(log.time.max())}."
    )
    notes.append("These are observations: they show neither why interests moved nor what a campaign would change.")
    return notes
