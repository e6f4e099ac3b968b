"""A user's sessions as a sequence of labels, each the interest that the session is mostly of."""

import numpy as np

from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog


def label_sessions(log: SessionLog, interests: Interests) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most frequent interest of each session; of equals the one met first.

    Events of items without an interest do not count, and a session of nothing else is left out. Events of one session
    follow each other too closely to be exchanged one by one, so the label of a session is what the tests shuffle.

    Returns:
        offsets ``[U + 1]`` int64 where each user's sessions begin, labels ``[N]`` int64, and ``[N]`` int64 the index in the
        log of the first event of each session that counts.
    """
    interest = np.asarray(interests.of)[log.item]
    held = np.flatnonzero(interest >= 0)
    width = len(interests)
    pairs, first, count = np.unique(
        log.session[held].astype(np.int64) * width + interest[held], return_index=True, return_counts=True
    )
    session, label = np.divmod(pairs, max(1, width))
    order = np.lexsort((first, -count, session))
    best = order[np.flatnonzero(np.diff(session[order], prepend=-1))]
    begins = np.flatnonzero(np.diff(log.session[held], prepend=-1))
    sizes = np.bincount(log.user[held[begins]], minlength=len(log.users))
    return np.concatenate([[0], np.cumsum(sizes)]), label[best], held[begins]


def find_ends(labels: np.ndarray, start: np.ndarray, position: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interest whose share falls most at each change, and the one whose share rises most.

    With shares ``p`` of ``labels[start:position]`` and ``p'`` of ``labels[position:stop]``, the source is
    ``argmax_k p_k - p'_k`` and the destination ``argmax_k p'_k - p_k``; of equals the lower interest.

    Args:
        labels: ``[N]`` of all users.
        start, position, stop: ``[C]`` indices into the labels for each change, ``start < position < stop``.

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
    of, label = np.divmod(pairs, width)
    out = []
    for key in (rise, -rise):
        order = np.lexsort((label, key, of))
        best = order[np.flatnonzero(np.diff(of[order], prepend=-1))]
        out.append(np.where(key[best] < 0, label[best], -1))
    return out[0], out[1]
