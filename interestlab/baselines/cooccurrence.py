"""Rank items by how often they followed the user's last items in the histories of training, with decay."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse

from interestlab.baselines.baseline import LinearBaseline
from interestlab.batch import Batch
from interestlab.data.event_store import EventStore
from interestlab.utils.argument_checks import require_at_least

EVENTS_PER_CHUNK = 1 << 20
"""Number of events whose pairs are counted at a time."""


@dataclass(frozen=True)
class CooccurrenceSettings:
    """Settings of the co-occurrence counts.

    Args:
        window: largest number of steps between two events of a history that count as a pair.
        step_decay: factor per further step between the two events of a pair.
        last_items: number of last events of a history that are scored from.
        recency_decay: factor per step back from the last event of a history.
        repeats: whether an item can follow itself; false leaves out the diagonal of the counts.
    """

    window: int = 5
    step_decay: float = 0.8
    last_items: int = 5
    recency_decay: float = 0.8
    repeats: bool = True

    def __post_init__(self) -> None:
        require_at_least(1, window=self.window, last_items=self.last_items)
        for name in ("step_decay", "recency_decay"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}.")


class Cooccurrence(LinearBaseline):
    r"""Decayed co-occurrence counts, in the direction of time; no parameter is fitted.

    With the training events :math:`x^u_1, \ldots, x^u_{n_u}` of user :math:`u`, the number of times that item :math:`j`
    followed item :math:`i` is

    .. math:: C_{ij} = \sum_u \sum_{d=1}^{W} \gamma^{d-1} \sum_{t=1}^{n_u - d} 1[x^u_t = i,\ x^u_{t+d} = j]

    and the score of item :math:`j` after a history :math:`h_1, \ldots, h_m`

    .. math:: s_j = \sum_{k=0}^{\min(L, m) - 1} \delta^k C_{h_{m-k}\, j}

    with ``window`` W, ``step_decay`` γ, ``last_items`` L and ``recency_decay`` δ. An item that is repeated follows itself,
    unless ``repeats`` is false.

    Args:
        log: the event store; only its training events are counted.
        settings: W, γ, L and δ.
    """

    name = "cooccurrence"

    def __init__(self, log: EventStore, settings: CooccurrenceSettings | None = None) -> None:
        self.settings = settings or CooccurrenceSettings()
        counts = count_pairs(log, self.settings.window, self.settings.step_decay)
        if not self.settings.repeats:
            counts.setdiag(0)
        super().__init__(counts)

    def weights(self, batch: Batch) -> scipy.sparse.csr_array:
        items, lengths = batch.items.cpu().numpy(), batch.mask.sum(1).cpu().numpy()
        back = np.arange(self.settings.last_items)
        position = lengths[:, None] - 1 - back
        users, steps = np.nonzero(position >= 0)
        columns = items[users, position[users, steps]]
        decay = self.settings.recency_decay ** back[steps]
        return scipy.sparse.coo_array((decay, (users, columns)), shape=(len(items), self.num_items)).tocsr()


def count_pairs(log: EventStore, window: int, step_decay: float) -> scipy.sparse.csr_array:
    """Count how often one item followed another in the training events; see :class:`Cooccurrence`.

    Cost: events × window pairs, of which the distinct ones stay in memory at 12 bytes each.

    Args:
        log: the event store.
        window: largest number of steps between the two events of a pair.
        step_decay: factor per further step.

    Returns:
        ``[N, N]`` float64; row: the earlier item, column: the later one.
    """
    num_items, ends = log.meta["items"], log.offsets[:-1] + log.split_positions.train
    counts = scipy.sparse.csr_array((num_items, num_items))
    # Each chunk takes the users whose histories start in it.
    borders = np.searchsorted(log.offsets, np.arange(0, log.offsets[-1] + EVENTS_PER_CHUNK, EVENTS_PER_CHUNK))
    for first, last in pairwise(borders):
        users = slice(first, min(last, len(ends)))
        start, stop = log.offsets[users.start], log.offsets[users.stop]
        rows = np.arange(start, stop)
        following = np.repeat(ends[users], np.diff(log.offsets[users.start : users.stop + 1])) - rows  # 1: no event follows
        steps = [(d, rows[following > d]) for d in range(1, window + 1)]
        earlier = np.concatenate([log.item[r] for _, r in steps])
        later = np.concatenate([log.item[r + d] for d, r in steps])
        values = np.concatenate([np.full(len(r), step_decay ** (d - 1)) for d, r in steps])
        counts += scipy.sparse.coo_array((values, (earlier, later)), shape=counts.shape).tocsr()
    return counts
