"""Find several changes in the full history of a user (offline)."""

import numpy as np
import polars as pl

from interestlab.drift.changes.scan import MARGIN, TIE, ScanResult
from interestlab.errors import DataError


def segments(labels: np.ndarray, threshold: float, margin: int = MARGIN) -> list[int]:
    r"""Divide a user's sessions into stretches of constant shares.

    By PELT (Killick, Fearnhead and Eckley 2012), as ``ruptures`` computes it. The division minimises the sum of squares of the
    indicators of all interests around the shares of their stretch, plus ``threshold``
    for each change:

    .. math:: \sum_{\text{segments } s} \left(n_s - \sum_k c_{sk}^2 / n_s\right) + \text{threshold} \cdot \#\text{changes}.

    One change lowers the first term by ``T`` of :mod:`interestlab.drift.changes.scan`. With the permutation threshold of
    :func:`~interestlab.drift.changes.scan.scan_users` a user without change therefore gets
    one at the level asked for. Two or more
    together can pay where none does alone, which in long histories adds about a hundredth; asked only for users whose scan is
    significant, the level holds. Its pruning knows nothing of ``margin``: where thresholds are small beside it (below 4, of
    histories of up to 30 sessions) one division in a hundred is not the least; of thresholds as permutations give them none was
    met.

    Args:
        labels: ``[n]`` the interest of each session of one user.
        threshold: penalty of a change, of this user.
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
    offsets: np.ndarray, labels: np.ndarray, held: ScanResult, users: np.ndarray, margin: int = MARGIN
) -> pl.DataFrame:
    """List the changes of users whose scan is significant.

    A single change is placed where the scan places it, which is the likelier position; several are placed by PELT.

    Args:
        offsets, labels: as for :func:`~interestlab.drift.changes.scan.scan_users`.
        held: its result.
        users: ``[S]`` int indices of the users, by p or by q.
        margin: as for the scan.

    Returns:
        ``user``, ``session`` (the first after the change, counted within the user), ``seen`` (the same).
    """
    rows: list[tuple[int, int]] = []
    for user in np.asarray(users).tolist():
        found = segments(labels[offsets[user] : offsets[user + 1]], held.threshold[user], margin)
        rows += [(user, place) for place in (found if len(found) > 1 else [int(held.position[user])])]
    schema = {"user": pl.Int64, "session": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(seen=pl.col("session"))
