"""What cannot be said from a log."""

import numpy as np
import polars as pl

from interestlab.drift.interests import Interests
from interestlab.drift.population import format_day
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.stats.power import required_sample_size


def list_limitations(
    held: SessionLog, whole: SessionLog, interests: Interests, likeness: float, people: pl.DataFrame, settings: Settings
) -> list[str]:
    """Sentences on what cannot be said.

    Args:
        held: the events that were analysed.
        whole: all events.
        interests: of the items.
        likeness: of the events of one session.
        people: the table of users.
        settings: of the analysis.
    """
    unknown = int((people["verdict"] == INSUFFICIENT_EVIDENCE).sum())
    seen = people.filter(pl.col("events") > 0)
    need = required_sample_size(5, settings.shift, settings.significance_level)
    days = (held.time.max() - held.time.min()) / 86_400
    told = [
        f"{unknown:,} of {people.height:,} users have too few events to be answered: to see {settings.shift:.0%} of the "
        f"attention move, one who meets 5 interests needs up to {need} independent events on each side, with more even more; "
        f"the median user has {np.median(seen['events'].to_numpy()):.0f} events in "
        f"{np.median(seen['sessions'].to_numpy()):.0f} sessions."
    ]
    if days < 30:
        told.append(
            f"The log spans {days:.0f} days: what looks like a change may be a passing need, a weekend or one purchase."
        )
    if len(held.session_starts) < 0.75 * len(held.time):
        told.append(
            f"{len(held.time):,} events make {len(held.session_starts):,} sessions, which are what the tests "
            f"permute. Two events of "
            f"one are alike (correlation {likeness:.2f}), so a session is worth fewer independent events than it has."
        )
    if gone := len(whole.time) - len(held.time):
        told.append(f"{gone:,} of {len(whole.time):,} events are of items without an interest, and left out.")
    if np.isnan(held.depth).all() or len(np.unique(held.depth[~np.isnan(held.depth)])) < 2:
        told.append("The log does not tell types of events apart, so nothing can be said of the depth of the funnel.")
    if len(held.time) > 1 and (np.diff(held.time) % 86_400 == 0).mean() > 0.99:
        told.append("Times are days, so the order within a day is not known; a day counts as one session.")
    told.append(
        f"Interests are {interests.rule}. Others would give other shares; a migration is between these, and what moved within "
        f"one counts as evolution. The log is from {format_day(held.time.min())} to {format_day(held.time.max())}."
    )
    told.append("These are observations: that attention moved does not tell why, nor what a campaign would do.")
    return told
