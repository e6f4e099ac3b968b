"""Find several changes in the full history of a user (offline)."""

import numpy as np
import polars as pl

from interestlab.drift.changes.scan import MARGIN, TIE, ScanResult
from interestlab.errors import DataError


def pelt_segments(labels: np.ndarray, threshold: float, margin: int = MARGIN) -> list[int]:
    r"""Divide a user's sessions into segments of constant shares.

    Uses PELT (Killick, Fearnhead and Eckley 2012) of ``ruptures``. The segmentation minimises the sum of squares of the
    indicators of all interests around the shares of their segment, plus ``threshold`` for each change:

    .. math:: \sum_{\text{segments } s} \left(n_s - \sum_k c_{sk}^2 / n_s\right) + \text{threshold} \cdot \#\text{changes}.

    One change lowers the first term by ``T`` of :mod:`interestlab.drift.changes.scan`. With the permutation threshold of
    :func:`~interestlab.drift.changes.scan.scan_users`, the probability that it finds a single change for a user without any is
    therefore the level of the threshold. Several changes together can be worth their penalty if none is alone, which adds
    about 0.01 in long histories; if only users with a significant scan are segmented, the level holds. The pruning of PELT
    ignores ``margin``: with small thresholds (below 4, in histories of up to 30 sessions) one segmentation in a hundred is not
    optimal. With permutation thresholds every segmentation tested was optimal.

    Args:
        labels: ``[n]`` the interest of each session of one user.
        threshold: penalty per change for this user.
        margin: smallest number of sessions in a segment.

    Returns:
        First session of each segment except the first one; empty for fewer than ``2 * margin`` sessions.

    Raises:
        DataError: the threshold is NaN, since the user has too few sessions, or ``ruptures`` is not installed.
    """
    if not np.isfinite(threshold):
        raise DataError("the threshold is not a number; omit users with too few sessions for the scan.")
    try:
        from ruptures import KernelCPD
    except ModuleNotFoundError as err:
        raise DataError("changes of a user need ruptures: pip install 'interestlab[drift]'") from err
    if len(labels) < 2 * margin:
        return []
    _, dense = np.unique(labels, return_inverse=True)
    search = KernelCPD(kernel="linear", min_size=margin).fit(np.eye(dense.max() + 1)[dense])
    return [int(end) for end in search.predict(pen=float(threshold) + TIE)[:-1]]


def find_offline(
    offsets: np.ndarray, labels: np.ndarray, scan: ScanResult, users: np.ndarray, margin: int = MARGIN
) -> pl.DataFrame:
    """List the changes of users whose scan is significant.

    A single change is placed where the scan places it, which is the likelier position; several are placed by PELT.

    Args:
        offsets: ``[U + 1]`` where each user's sessions begin.
        labels: ``[N]`` interest of each session.
        scan: result of the scan.
        users: ``[S]`` int indices of the users with a significant scan.
        margin: smallest number of sessions in a segment.

    Returns:
        ``user``, ``session`` (the first after the change, counted within the user), ``seen`` (the same).
    """
    rows: list[tuple[int, int]] = []
    for user in np.asarray(users).tolist():
        starts = pelt_segments(labels[offsets[user] : offsets[user + 1]], scan.threshold[user], margin)
        rows += [(user, start) for start in (starts if len(starts) > 1 else [int(scan.position[user])])]
    schema = {"user": pl.Int64, "session": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(seen=pl.col("session"))
