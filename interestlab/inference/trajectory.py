"""The trajectory of a trained model: the user state after each event."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import DAY
from interestlab.data.sampler import bucket_by_length
from interestlab.inference.logit_scale import logit_scale
from interestlab.model.frozen import FrozenModel, freeze, to_tensor
from interestlab.training.lightning_module import InterestModel

CHUNK_EVENTS = 65_536
"""Number of events whose user states are returned at once."""


class TrajectoryChunk(NamedTuple):
    """The trajectories of some users.

    Attributes:
        users: ``[n]`` int64 user of each event, one user after the other.
        rows: ``[n]`` int64 row of each event in the log, ascending within a user.
        z: ``[n, D]`` float64 the user state after each event, or ``[n, K, D]`` with K interests.
    """

    users: np.ndarray
    rows: np.ndarray
    z: Tensor


@dataclass(frozen=True)
class ModelView:
    """A frozen model and the histories that it reads.

    After each event the model has read what it reads in an evaluation: the last ``max_history`` events up to that one, the
    first of them without a time before it. So a user state equals that of
    :meth:`interestlab.inference.recommender.Recommender.state`.

    Attributes:
        model: the trained model.
        frozen: the same, frozen, with the embeddings of all values.
        data: the histories.
        logit_scale: factor of a score in the logits of training.
    """

    model: InterestModel
    frozen: FrozenModel
    data: InterestData
    logit_scale: float

    @classmethod
    def from_model(cls, model: InterestModel, data: InterestData) -> Self:
        """Freeze a trained model, on the CPU.

        Args:
            model: a trained model that is attached to ``data``, such as that of :func:`interestlab.load`.
            data: the histories.
        """
        return cls(model, freeze(model.eval().backbone), data, logit_scale(model.objective))

    @property
    def catalogue(self) -> Tensor:
        """``[I, D]`` float64 the items, ready to be compared."""
        return self.frozen.catalogue

    @torch.no_grad()
    def states(self, rows: np.ndarray, at: np.ndarray | None = None, shuffle: int | None = None) -> Tensor:
        """Compute the user state after some events. Each costs a pass over up to ``max_history`` events.

        Args:
            rows: ``[n]`` int64 rows of the log.
            at: ``[n]`` unix seconds, not before the events: the time to which the user state is advanced; None: not advanced.
            shuffle: seed of a random order in which the events are read, a control; their times stay in place. None: in order.

        Returns:
            ``[n, D]``, or ``[n, K, D]``, float64.
        """
        log = self.data.log
        begins = np.asarray(log.offsets)[np.searchsorted(log.offsets, rows, side="right") - 1]
        first = np.maximum(begins, rows - self.data.max_history + 1)
        silence = None if at is None or not self.frozen.advances else (at - log.time[rows]) / DAY
        out: Tensor | None = None
        equal_lengths = silence is not None or shuffle is not None
        for samples in bucket_by_length(rows - first + 1, self.data.eval_events, tie_break=rows, equal_lengths=equal_lengths):
            window, mask = make_windows(first[samples], rows[samples])
            order = window
            if shuffle is not None:
                seed = [shuffle, window.shape[1], int(rows[samples[0]])]
                order = np.random.default_rng(seed).permuted(window, axis=1)
            if silence is not None:
                z = self._advance(window, order, silence[samples])
            else:
                z = self._follow(window, order, mask)[np.arange(len(samples)), mask.sum(1) - 1]
            out = z.new_empty(len(rows), *z.shape[1:]) if out is None else out
            out[torch.from_numpy(samples)] = z
        return self.frozen.items.new_empty(0, self.frozen.items.shape[1]) if out is None else out

    @torch.no_grad()
    def trajectory(self, users: np.ndarray | None = None) -> Iterator[TrajectoryChunk]:
        """Compute the user states after all events, including those of validation and test.

        Events after the first ``max_history`` of a history are each followed over a window of their own, as in an evaluation,
        which costs ``max_history`` times as much per event.

        Args:
            users: ``[n]`` int64 indices; None: all users.

        Yields:
            The trajectories of about :data:`CHUNK_EVENTS` events, each user in one chunk, shortest histories first.
        """
        offsets, reach = np.asarray(self.data.log.offsets), self.data.max_history
        lengths = np.diff(offsets)
        chosen = np.arange(len(lengths)) if users is None else np.asarray(users, np.int64)
        chosen = chosen[lengths[chosen] > 0]
        chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        chunks = np.split(chosen, np.flatnonzero(np.diff(np.cumsum(lengths[chosen]) // CHUNK_EVENTS)) + 1)
        for chunk in chunks if len(chosen) else []:
            begins, counts = offsets[chunk], lengths[chunk]
            starts = np.cumsum(counts) - counts
            owner = np.repeat(np.arange(len(chunk)), counts)
            position = np.arange(counts.sum()) - starts[owner]
            rows = begins[owner] + position
            late = np.flatnonzero(position >= reach)
            z: Tensor | None = self.states(rows[late]) if len(late) else None
            out = None if z is None else z.new_empty(len(rows), *z.shape[1:])
            if out is not None and z is not None:
                out[torch.from_numpy(late)] = z
            early = np.minimum(counts, reach)
            for samples in bucket_by_length(early, self.data.eval_events, tie_break=begins):
                window, mask = make_windows(begins[samples], begins[samples] + early[samples] - 1)
                followed = self._follow(window, window, mask)
                out = followed.new_empty(len(rows), *followed.shape[2:]) if out is None else out
                target = (window - begins[samples, None] + starts[samples, None])[mask]
                out[torch.from_numpy(target)] = followed[torch.from_numpy(mask)]
            assert out is not None
            yield TrajectoryChunk(chunk[owner], rows, out)

    def _embed(self, rows: np.ndarray) -> Tensor:
        """Embed the events of ``rows [B, T]`` as ``[B, T, D]``."""
        backbone = self.model.backbone
        codes = {s.name: to_tensor(backbone.features[s.name].codes[rows], backbone.device) for s in backbone.event_streams}
        return self.frozen.embed_events(to_tensor(self.data.log.item[rows], backbone.device), codes)

    def _days(self, rows: np.ndarray) -> Tensor:
        times = self.data.log.time[rows]
        return self.frozen.items.new_tensor(np.diff(times, axis=1, prepend=times[:, :1]) / DAY)

    def _follow(self, rows: np.ndarray, order: np.ndarray, mask: np.ndarray) -> Tensor:
        """Follow the events of ``order [B, T]`` at the times of ``rows [B, T]``: ``[B, T, D]``, or ``[B, T, K, D]``."""
        followed: Tensor = self.frozen(self._embed(order), self._days(rows), torch.from_numpy(mask))
        return followed

    def _advance(self, rows: np.ndarray, order: np.ndarray, silence: np.ndarray) -> Tensor:
        """Follow as :meth:`_follow`, and advance by ``silence [B]`` days after the last event: ``[B, D]``, or ``[B, K, D]``."""
        x, dt, state = self._embed(order), self._days(rows), self.frozen.init_state(len(rows))
        for x_t, dt_t in zip(x.unbind(1), dt.unbind(1), strict=True):
            state, _ = self.frozen.step(state, x_t, dt_t)
        return self.frozen.readout(self.frozen.advance(state, x.new_tensor(silence)))


def make_windows(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the rows of windows.

    Args:
        first: ``[B]`` int64 first row of each window.
        last: ``[B]`` int64 last row of each window.

    Returns:
        ``[B, T]`` rows, the last one repeated in the padding, and ``[B, T]`` bool, which of them are real.
    """
    rows = first[:, None] + np.arange((last - first).max() + 1)
    return np.minimum(rows, last[:, None]), rows <= last[:, None]
