"""Find several changes in the full history of a user (offline)."""

import numpy as np
import polars as pl

from interestlab.drift.changes.scan import MARGIN, TIE, ScanResult
from interestlab.errors import DataError


def segments(labels: np.ndarray, threshold: float, margin: int = MARGIN) -> list[int]:
    r"""Divide a user's sessions into stretches of constant shares.

    By PELT (Killick, Fearnhead and Eckley 2012), as ``ruptures`` computes it. The division minimises the sum of squares of the
    indicators of all interests around the shares of their stretch, plus ``threshold`` for each change:

    .. math:: \sum_{\text{segments } s} \left(n_s - \sum_k c_{sk}^2 / n_s\right) + \text{threshold} \cdot \#\text{changes}.

    One change lowers the first term by ``T`` of :mod:`interestlab.drift.changes.scan`. With the permutation threshold of
    :func:`~interestlab.drift.changes.scan.scan_users`, a single change is therefore reported for users without a change at the
    requested level. Two or more changes together can lower the sum where no single change does, which adds about one
    percentage point in long histories; the level is exact if only users with a significant scan are divided.

    PELT's pruning ignores ``margin``. With small thresholds (below 4, in histories of up to 30 sessions) about one division in
    a hundred is not the minimum; no such case was seen with thresholds from permutations.

    Args:
        labels: ``[n]`` the interest of each session of one user.
        threshold: penalty of a change, for this user.
        margin: smallest number of sessions in a stretch.

    Returns:
        The first session of each stretch but the first; empty below ``2 * margin`` sessions.

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
        offsets, labels: as for :func:`~interestlab.drift.changes.scan.scan_users`.
        scan: result of the scan.
        users: ``[S]`` int indices of the users whose p or q is significant.
        margin: as for the scan.

    Returns:
        ``user``, ``session`` (the first after the change, counted within the user), ``seen`` (the same).
    """
    rows: list[tuple[int, int]] = []
    for user in np.asarray(users).tolist():
        changes = segments(labels[offsets[user] : offsets[user + 1]], scan.threshold[user], margin)
        rows += [(user, session) for session in (changes if len(changes) > 1 else [int(scan.position[user])])]
    schema = {"user": pl.Int64, "session": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(seen=pl.col("session"))
