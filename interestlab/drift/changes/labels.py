"""Label each session of a user with its main interest."""

import numpy as np

from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog


def label_sessions(log: SessionLog, interests: Interests) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the most frequent interest of each session; of equally frequent ones the first to occur.

    Events of items without an interest are ignored, and a session of only such events is omitted. Events of one session are too
    correlated to be permuted one by one, so the tests permute these labels.

    Args:
        log: events by session.
        interests: interest of each item.

    Returns:
        offsets ``[U + 1]`` int64 where each user's sessions begin, labels ``[N]`` int64, and ``[N]`` int64 the index in the
        log of the first event of each labelled session.
    """
    interest = np.asarray(interests.item_interest)[log.item]
    labelled = np.flatnonzero(interest >= 0)
    width = len(interests)
    pairs, first, count = np.unique(
        log.session[labelled].astype(np.int64) * width + interest[labelled], return_index=True, return_counts=True
    )
    session, label = np.divmod(pairs, max(1, width))
    order = np.lexsort((first, -count, session))
    best = order[np.flatnonzero(np.diff(session[order], prepend=-1))]
    begins = np.flatnonzero(np.diff(log.session[labelled], prepend=-1))
    sizes = np.bincount(log.user[labelled[begins]], minlength=len(log.users))
    return np.concatenate([[0], np.cumsum(sizes)]), label[best], labelled[begins]


def find_ends(labels: np.ndarray, start: np.ndarray, position: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the interest with the largest fall of its share at each change, and the one with the largest rise.

    With shares ``p`` of ``labels[start:position]`` and ``p'`` of ``labels[position:stop]``, the source is
    ``argmax_k p_k - p'_k`` and the destination ``argmax_k p'_k - p_k``; of equal ones the interest with the lower index.

    Args:
        labels: ``[N]`` of all users.
        start: ``[C]`` index of the first label before each change.
        position: ``[C]`` index of the first label after it, above ``start``.
        stop: ``[C]`` index after the last label after it, above ``position``.

    Returns:
        source ``[C]`` and destination ``[C]`` int64; -1 where no share changes.
    """
    sizes = stop - start
    change = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(change)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + start[change]
    after = place >= position[change]
    weight = np.where(after, 1 / (stop - position)[change], -1 / (position - start)[change])
    width = int(labels.max(initial=0)) + 1
    pairs, inverse = np.unique(change * width + labels[place], return_inverse=True)
    rise = np.bincount(inverse, weights=weight, minlength=len(pairs)).round(12)
    change_of, label = np.divmod(pairs, width)
    out = []
    for key in (rise, -rise):
        order = np.lexsort((label, key, change_of))
        best = order[np.flatnonzero(np.diff(change_of[order], prepend=-1))]
        out.append(np.where(key[best] < 0, label[best], -1))
    return out[0], out[1]
