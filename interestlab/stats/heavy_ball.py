"""Does interest have momentum? The heavy ball, fitted to what users turn to."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interestlab.errors import DataError

FEWEST_USERS = 20
"""Below it the covariance clustered by user is too small (Cameron and Miller, 2015)."""

FEWEST_STEPS = 10
"""Steps a parameter, of those that momentum can act on: the third of a user and later."""

CHUNK = 4096  # users at once: the states stay within the processor's cache


@dataclass(frozen=True)
class Momentum:
    """What was recovered, each with its interval.

    Attributes:
        alpha: momentum: the share of its last move that interest makes again; 0 is an exponential average.
        beta: step: how much of the way to what was met interest goes.
        gain: how sharply interest decides what is turned to.
        alpha_low, alpha_high, beta_low, beta_high, gain_low, gain_high: intervals of level ``1 - level``.
        p: of alpha = 0, two-sided: is there momentum beyond an exponential average.
        log_likelihood: of the labels, in nats.
        users: that have labels.
        steps: labels.
    """

    alpha: float
    alpha_low: float
    alpha_high: float
    beta: float
    beta_low: float
    beta_high: float
    gain: float
    gain_low: float
    gain_high: float
    p: float
    log_likelihood: float
    users: int
    steps: int


@dataclass(frozen=True)
class Fit:
    """The log-likelihood at one place, P = 3 + K - 1: alpha, beta, gain, and b of all interests but the last.

    Attributes:
        value: in nats.
        gradient: ``[P]``
        meat: ``[P, P]`` sum over users of the outer product of a user's gradient.
        hessian: ``[P, P]``; zeros where it was not asked for.
    """

    value: float
    gradient: np.ndarray
    meat: np.ndarray
    hessian: np.ndarray


def fit_momentum(offsets: np.ndarray, labels: np.ndarray, interests: int, level: float = 0.05) -> Momentum:
    """Maximum likelihood of the heavy ball (Polyak, 1964), from the interest of each step (a session, say) of each user.

    A user's interest is a state ``z`` in ``R^K``, at rest at first (``z_0 = z_-1 = 0``). Step t is of interest k with
    probability

        ``p(x_t = k) = softmax_k(gain z_{t-1} + b)``

    and moves the state towards it: with ``g`` the one-hot of ``x_t``,

        ``z_t = (1 + alpha - beta) z_{t-1} - alpha z_{t-2} + beta g_t``

    the gradient step of size beta on ``|z - g_t|^2 / 2`` with momentum alpha, bounded where ``|alpha| < 1`` and
    ``0 < beta < 2 (1 + alpha)``. Alpha = 0 is an exponentially weighted average. Centring ``g`` changes nothing, since the
    softmax does not see a constant.

    ``b`` is fitted along: interest feeds on itself, so that the shares of the population are more uneven than the ``b``
    they come from, and taking their logarithm for ``b`` would bias alpha and gain. Interests that nobody turned to are left out
    (their ``b`` would be minus infinity).

    Intervals and ``p`` are Wald's, with the sandwich covariance ``H^-1 (sum_u s_u s_u') H^-1`` (White, 1982), ``s_u`` the
    gradient of one user (Liang and Zeger, 1986): they hold though steps of one user depend on each other otherwise than the
    model says. They do not make the model true: what a user likes for good is not in it and is read as a long memory, a
    small beta; and interests that jump at once from one to another can show as an alpha other than 0.

    Time is linear in steps times interests, memory in ``4096`` users times interests.

    Args:
        offsets: ``[U + 1]`` where each user's labels begin.
        labels: ``[N]`` ints in order of time, 0 to ``interests`` - 1.
        interests: K.
        level: 1 minus the coverage of the intervals.

    Raises:
        DataError: labels out of range; too few users or steps; steps that do not follow those before them, so that alpha
            and beta say nothing; a fit that does not converge.
    """
    from scipy.optimize import minimize
    from scipy.stats import chi2, norm

    offsets, labels = np.asarray(offsets, np.int64), np.asarray(labels, np.int64)
    _check(offsets, labels, interests)
    met, labels = np.unique(labels, return_inverse=True)
    if len(met) == 1:
        raise DataError("all steps are of one interest, so that nothing moves; take finer interests.")
    counts = np.bincount(labels)
    lengths = np.diff(offsets)
    users, informed, parameters = int((lengths > 0).sum()), int(np.maximum(0, lengths - 2).sum()), len(met) + 2
    if users < FEWEST_USERS or informed < FEWEST_STEPS * parameters:
        raise DataError(
            f"{users} users with {informed} steps after their second are too few for momentum among {len(met)} interests; "
            f"{FEWEST_USERS} users and {FEWEST_STEPS * parameters} such steps are needed: take more users or fewer interests."
        )

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        place, slope = _bounded(free)
        fit = likelihood(offsets, labels, place)
        return -fit.value / len(labels), -slope.T @ fit.gradient / len(labels)

    shares = np.log(counts[:-1] / counts[-1])
    best = minimize(loss, np.concatenate([[0.0, -1.5, 2.0], shares]), jac=True, method="BFGS", options={"gtol": 1e-6})
    place, _ = _bounded(best.x)
    fit = likelihood(offsets, labels, place, curved=True)
    alone = float((counts * np.log(counts / len(labels))).sum())  # of labels drawn from the shares, each by itself
    if fit.value - alone < chi2.isf(level, 3) / 2:
        raise DataError(
            "steps follow those before them no more than chance would, so that momentum cannot be told; take more users, or "
            "other interests."
        )
    curvature = np.linalg.eigvalsh(-fit.hessian)
    definite = curvature[0] > 1e-9 * curvature[-1]
    bread = np.linalg.inv(-fit.hessian) if definite else np.zeros_like(fit.hessian)
    deviation = np.sqrt(np.diag(bread @ fit.meat @ bread)[:3] * users / (users - 1))
    # One more Newton step would still go far, or the curvature is gone: where the next step is certain, gain has no bound.
    if not definite or (np.abs(bread @ fit.gradient)[:3] > 0.1 * deviation).any():
        raise DataError(
            f"the fit of momentum does not converge (alpha {place[0]:.2g}, beta {place[1]:.2g}, gain {place[2]:.2g} at the "
            "end): the labels say too little of it, or follow from each other without chance; take more users."
        )
    far = norm.ppf(1 - level / 2) * deviation
    low, high = place[:3] - far, place[:3] + far
    return Momentum(
        alpha=float(place[0]),
        alpha_low=max(-1.0, float(low[0])),
        alpha_high=min(1.0, float(high[0])),
        beta=float(place[1]),
        beta_low=max(0.0, float(low[1])),
        beta_high=float(high[1]),
        gain=float(place[2]),
        gain_low=max(0.0, float(low[2])),
        gain_high=float(high[2]),
        p=float(2 * norm.sf(abs(place[0]) / deviation[0])),
        log_likelihood=fit.value,
        users=users,
        steps=len(labels),
    )


def likelihood(offsets: np.ndarray, labels: np.ndarray, place: np.ndarray, curved: bool = False) -> Fit:
    """Log-likelihood of the labels at ``place [P]``, its gradient, and its Hessian if ``curved``.

    The derivatives of the state by alpha and beta follow recursions of the same form as its own (forward sensitivities),
    so that no step need be kept; automatic differentiation would hold all of them.
    """
    size = len(place)
    value, gradient, meat, hessian = 0.0, np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    for steps in _chunks(offsets, labels):
        scores = np.zeros((len(steps[0]), size))
        for x, states in zip(steps, _states(steps, size - 2, place[0], place[1], curved), strict=True):
            gain, b = place[2], np.append(place[3:], 0.0)
            eta = gain * states[0] + b
            eta -= eta.max(axis=1, keepdims=True)
            p = np.exp(eta)
            total = p.sum(axis=1, keepdims=True)
            p /= total
            rows = np.arange(len(x))
            value += float((eta[rows, x] - np.log(total[:, 0])).sum())
            left = -p
            left[rows, x] += 1
            # By alpha, beta and gain; by b the derivative of eta is the unit matrix.
            slopes = np.stack([gain * states[1], gain * states[2], states[0]])
            scores[: len(x), :3] += np.einsum("ink,nk->ni", slopes, left)
            scores[: len(x), 3:] += left[:, :-1]
            if curved:
                _curve(hessian, p, left, slopes, states, gain)
        value, gradient, meat = value, gradient + scores.sum(axis=0), meat + scores.T @ scores
    return Fit(value, gradient, meat, hessian)


def _curve(hessian: np.ndarray, p: np.ndarray, left: np.ndarray, slopes: np.ndarray, states: np.ndarray, gain: float) -> None:
    """Adds one step's ``sum_k left_k d2 eta_k - cov_p(d eta, d eta)`` to ``hessian``."""
    centred = slopes - (slopes * p).sum(axis=2, keepdims=True)
    hessian[:3, :3] -= np.einsum("ink,jnk,nk->ij", centred, centred, p, optimize=True)
    mixed = (centred * p).sum(axis=1)[:, :-1]
    hessian[:3, 3:] -= mixed
    hessian[3:, :3] -= mixed.T
    hessian[3:, 3:] -= np.diag(p.sum(axis=0)[:-1]) - p[:, :-1].T @ p[:, :-1]
    by = np.einsum("ink,nk->i", states, left)
    _, a, b, aa, ab, bb = by
    hessian[:3, :3] += [[gain * aa, gain * ab, a], [gain * ab, gain * bb, b], [a, b, 0]]


def _states(steps: list[np.ndarray], interests: int, alpha: float, beta: float, curved: bool) -> Iterator[np.ndarray]:
    """Before each step: ``z`` and its derivatives by alpha, beta (and twice alpha, alpha and beta, twice beta).

    Yields:
        ``[3 or 6, n, K]`` of the n users that have the step.
    """
    now = np.zeros((6 if curved else 3, len(steps[0]), interests))
    last = np.zeros_like(now)
    for step, x in enumerate(steps):
        now, last = now[:, : len(x)], last[:, : len(x)]
        yield now
        if step + 1 < len(steps):
            after = (1 + alpha - beta) * now - alpha * last
            move = now - last
            rows = np.arange(len(x))
            after[0, rows, x] += beta
            after[1] += move[0]
            after[2] -= now[0]
            after[2, rows, x] += 1
            if curved:
                after[3] += 2 * move[1]
                after[4] += move[2] - now[1]
                after[5] -= 2 * now[2]
            now, last = after, now


def _chunks(offsets: np.ndarray, labels: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Users alike in length, longest first: the labels of their first step, of their second, ..., of those that have it."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    for begin in range(0, len(order), CHUNK):
        users = order[begin : begin + CHUNK]
        held = [np.searchsorted(-lengths[users], -step, side="left") for step in range(lengths[users[0]])]
        yield [labels[offsets[users[:count]] + step] for step, count in enumerate(held)]


def _bounded(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alpha = tanh, beta = 2 (1 + alpha) sigmoid and gain = softplus of free numbers; the others as they are.

    Returns:
        the place ``[P]``, and its derivative by the free numbers ``[P, P]``.
    """
    from scipy.special import expit

    place, slope = free.copy(), np.eye(len(free))
    alpha, share = np.tanh(free[0]), expit(free[1])
    place[:3] = alpha, 2 * (1 + alpha) * share, np.logaddexp(0, free[2])
    slope[0, 0] = 1 - alpha**2
    slope[1, 0], slope[1, 1] = 2 * (1 - alpha**2) * share, 2 * (1 + alpha) * share * (1 - share)
    slope[2, 2] = expit(free[2])
    return place, slope


def _check(offsets: np.ndarray, labels: np.ndarray, interests: int) -> None:
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(labels) or (np.diff(offsets) < 0).any():
        raise DataError(f"offsets must rise from 0 to the {len(labels)} labels.")
    if len(labels) and not (labels.min() >= 0 and labels.max() < interests):
        raise DataError(f"labels must be 0 to {interests - 1}; leave out the steps that have no interest.")
