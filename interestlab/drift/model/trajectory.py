"""Where a trained model says that a user stands, after every event: the trajectory z_t of any dynamics."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from interestlab.contract import Dynamics
from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import DAY
from interestlab.model.evaluation import to_float64
from interestlab.training.lightning_module import InterestModel, transposed

CHUNK = 65_536
"""Events whose interests are given at once."""

HOUR = 1 / 24


class Stretch(NamedTuple):
    """The whole trajectories of some users.

    Attributes:
        users: ``[n]`` int64 user of each event, one user after the other.
        rows: ``[n]`` int64 row of each event in the log, ascending within a user.
        z: ``[n, D]`` float64 the interest after each event, or ``[n, K, D]`` of a dynamics of K interests.
    """

    users: np.ndarray
    rows: np.ndarray
    z: Tensor


@dataclass(frozen=True)
class View:
    """A trained model that reads the histories of its log: everything that it needs of them is encoded already.

    After each event the model has read what an evaluation would: the last ``max_history`` events up to that one, the first of
    them with no time before it. So ``z`` is that of :meth:`interestlab.inference.recommender.Recommender.state`.

    Attributes:
        model: trained, and attached to ``data``.
        data: whose histories.
        items: ``[I, D]`` float64 what each item is.
        catalogue: ``[I, D]`` the same, as it is compared.
        values: ``[size, D]`` the vectors of every value of each stream of the events.
        fusion: weights that join an item with the streams of its event; empty without such streams.
        dynamics: in float64.
    """

    model: InterestModel
    data: InterestData
    items: Tensor
    catalogue: Tensor
    values: Mapping[str, Tensor]
    fusion: Mapping[str, Tensor]
    dynamics: Dynamics

    @torch.no_grad()
    def states(self, rows: np.ndarray, at: np.ndarray | None = None, shuffle: int | None = None) -> Tensor:
        """``[n, D]``, or ``[n, K, D]``, the interest after some events.

        Costs a pass over ``max_history`` events for each.

        Args:
            rows: ``[n]`` of the log.
            at: ``[n]`` unix seconds not before the events: the interest is then where it has drifted to by that moment.
            shuffle: seed of a random order in which the events are read, a control; the times stay where they are.
        """
        log = self.data.log
        begins = np.asarray(log.offsets)[np.searchsorted(log.offsets, rows, side="right") - 1]
        first = np.maximum(begins, rows - self.data.max_history + 1)
        silence = None if at is None else (at - log.time[rows]) / DAY
        steps = silence is not None and type(self.dynamics).advance is not Dynamics.advance
        out: Tensor | None = None
        for place in batches(rows - first + 1, rows, self.data.eval_events, exact=steps or shuffle is not None):
            window, mask = windows(first[place], rows[place])
            read = window
            if shuffle is not None:
                read = np.random.default_rng([shuffle, window.shape[1], int(rows[place[0]])]).permuted(window, axis=1)
            if silence is not None and steps:
                z = self._drifted(window, read, silence[place])
            else:
                z = self._followed(window, read, mask)[np.arange(len(place)), mask.sum(1) - 1]
            out = z.new_empty(len(rows), *z.shape[1:]) if out is None else out
            out[torch.from_numpy(place)] = z
        return self.items.new_empty(0, self.model.dim) if out is None else out

    @torch.no_grad()
    def trajectory(self, users: np.ndarray | None = None) -> Iterator[Stretch]:
        """See :func:`trajectory`."""
        offsets, reach = np.asarray(self.data.log.offsets), self.data.max_history
        lengths = np.diff(offsets)
        chosen = np.arange(len(lengths)) if users is None else np.asarray(users, np.int64)
        chosen = chosen[lengths[chosen] > 0]
        chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        parts = np.split(chosen, np.flatnonzero(np.diff(np.cumsum(lengths[chosen]) // CHUNK)) + 1)
        for part in parts if len(chosen) else []:
            begins, many = offsets[part], lengths[part]
            starts = np.cumsum(many) - many
            owner = np.repeat(np.arange(len(part)), many)
            place = np.arange(many.sum()) - starts[owner]
            rows = begins[owner] + place
            # Beyond what is read at once, each event looks back on a window of its own.
            late = np.flatnonzero(place >= reach)
            z: Tensor | None = self.states(rows[late]) if len(late) else None
            out = None if z is None else z.new_empty(len(rows), *z.shape[1:])
            if out is not None and z is not None:
                out[torch.from_numpy(late)] = z
            heads = np.minimum(many, reach)
            for these in batches(heads, begins, self.data.eval_events):
                window, mask = windows(begins[these], begins[these] + heads[these] - 1)
                found = self._followed(window, window, mask)
                out = found.new_empty(len(rows), *found.shape[2:]) if out is None else out
                at = (window - begins[these, None] + starts[these, None])[mask]
                out[torch.from_numpy(at)] = found[torch.from_numpy(mask)]
            assert out is not None
            yield Stretch(part[owner], rows, out)

    def _read(self, rows: np.ndarray) -> Tensor:
        """``[B, T, D]`` events as the dynamics reads them, of rows ``[B, T]``."""
        x = self.items[torch.from_numpy(self.data.log.item[rows].astype(np.int64))]
        if "event" not in self.model.fusion:
            return x
        given = {"item": (x, torch.ones(rows.shape, dtype=torch.bool))}
        for stream in self.model.event_streams:
            codes = torch.from_numpy(self.model.features[stream.name].codes[rows].astype(np.int64))
            present = codes >= 0
            given[stream.name] = to_float64(self.values[stream.name])[codes.clamp(min=0)] * present.unsqueeze(-1), present
        return functional_call(self.model.fusion["event"], dict(self.fusion), transposed(given))

    def _elapsed(self, rows: np.ndarray) -> Tensor:
        times = self.data.log.time[rows]
        return self.items.new_tensor(np.diff(times, axis=1, prepend=times[:, :1]) / DAY)

    def _followed(self, rows: np.ndarray, read: np.ndarray, mask: np.ndarray) -> Tensor:
        """``[B, T, D]``, or ``[B, T, K, D]``, after each event that is read at the times of ``rows [B, T]``."""
        return self.dynamics(self._read(read), self._elapsed(rows), torch.from_numpy(mask))

    def _drifted(self, rows: np.ndarray, read: np.ndarray, silence: np.ndarray) -> Tensor:
        """``[B, D]``, or ``[B, K, D]``, some days after the last event."""
        x, dt, state = self._read(read), self._elapsed(rows), self.dynamics.init_state(len(rows))
        for x_t, dt_t in zip(x.unbind(1), dt.unbind(1), strict=True):
            state, _ = self.dynamics.step(state, x_t, dt_t)
        return self.dynamics.readout(self.dynamics.advance(state, x.new_tensor(silence)))


@torch.no_grad()
def view(model: InterestModel, data: InterestData) -> View:
    """A view of a trained model, on the CPU: the catalogue and every value of the events' streams are encoded once.

    Args:
        model: trained, and attached to ``data``, such as that of :func:`interestlab.load`.
        data: whose histories are read.
    """
    model.eval()
    for part in model.parts():
        part.trainer = None  # which a copy would take along
    held = model.begin_evaluation(model.streams)
    dynamics = deepcopy(model.dynamics).to(held.items.dtype)
    values = {s.name: held.values[s.name] for s in model.event_streams}
    return View(model, data, held.items, held.catalogue, values, held.weights.get("fusion", {}), dynamics)


def trajectory(model: InterestModel, data: InterestData, users: np.ndarray | None = None) -> Iterator[Stretch]:
    """The interest of users after every event of their whole history, those of validation and test among them.

    Users come shortest history first, each whole in one stretch of about :data:`CHUNK` events. Events beyond the first
    ``max_history`` of a history are followed each over a window of their own, as an evaluation reads them: that many times the
    work of the others.

    Args:
        model: trained, and attached to ``data``.
        data: whose histories.
        users: index of each; None: all.
    """
    return view(model, data).trajectory(users)


def batches(lengths: np.ndarray, names: np.ndarray, most: int, exact: bool = False) -> Iterator[np.ndarray]:
    """Samples of like length, at most ``most`` events at once with the padding; which meet depends on no order.

    Args:
        lengths: ``[n]`` events of each.
        names: ``[n]`` what tells samples of equal length apart.
        most: events at once.
        exact: whether only samples of equal length meet.
    """
    order, first = np.lexsort((names, lengths)), 0
    sizes = lengths[order]
    while first < len(order):
        near = sizes[first : first + most]
        fits = int(np.searchsorted(near * np.arange(1, len(near) + 1), most, side="right"))
        if exact:
            fits = min(fits, int(np.searchsorted(near, near[0], side="right")))
        yield order[first : first + max(1, fits)]
        first += max(1, fits)


def windows(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[B, T]`` rows from first to last, which stands in the padding too, and which of them are real."""
    rows = first[:, None] + np.arange((last - first).max() + 1)
    return np.minimum(rows, last[:, None]), rows <= last[:, None]


class Velocity(NamedTuple):
    """How fast the interest moves.

    Attributes:
        event: ``[n]`` length of the step at each event; NaN at a user's first.
        day: ``[n]`` the same for each day since the event before.
    """

    event: np.ndarray
    day: np.ndarray


def velocity(z: Tensor, users: np.ndarray, times: np.ndarray) -> Velocity:
    r"""Steps of a trajectory, :math:`\|z_t - z_{t-1}\|`, and the same over :math:`\max(\Delta t, 1\,\text{hour})` in days.

    Less than an hour counts as one, or two clicks of one visit would be the fastest of all moves.

    Args:
        z: ``[n, D]`` by user and time; as ``model.compared`` gives it where only directions count. Of K interests
            ``[n, K, D]`` the step is the root mean square of theirs.
        users: ``[n]`` of each event.
        times: ``[n]`` unix seconds.
    """
    steps = (z[1:] - z[:-1]).norm(dim=-1)
    steps = steps if steps.ndim == 1 else steps.square().mean(1).sqrt()
    out = np.full(len(users), np.nan)
    out[1:] = np.where(users[1:] == users[:-1], steps.double().numpy(), np.nan)
    days = np.diff(times, prepend=times[:1]) / DAY
    return Velocity(out, out / np.maximum(days, HOUR))
