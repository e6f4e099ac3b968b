"""Maximum likelihood of heavy-ball dynamics: does interest have momentum beyond an exponential average?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interestlab.errors import DataError

MIN_USERS = 20
"""With fewer clusters the covariance clustered by user is too small (Cameron and Miller, A practitioner's guide to
cluster-robust inference, 2015)."""

MIN_LABELS_PER_PARAMETER = 10
"""Counted among the labels that momentum can influence: the third of a user and later."""

USERS_PER_CHUNK = 4096  # their states then fit into the processor's cache


@dataclass(frozen=True)
class MomentumEstimate:
    """Estimated parameters of the heavy ball, each with its confidence interval.

    Attributes:
        alpha: momentum, the share of its last move that interest repeats; 0 is an exponential average.
        beta: step size, the share of the way towards the latest label that interest moves.
        gain: inverse temperature of the softmax over interests.
        alpha_low, alpha_high, beta_low, beta_high, gain_low, gain_high: ends of the intervals of coverage ``1 - level``.
        p: two-sided p-value of ``alpha = 0``: no momentum beyond an exponential average.
        log_likelihood: log-likelihood of the labels, in nats.
        num_users: users with labels.
        num_labels: labels of all users.
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
    num_users: int
    num_labels: int


@dataclass(frozen=True)
class LogLikelihood:
    """The log-likelihood and its derivatives by P = 3 + K - 1 parameters: alpha, beta, gain, and b of all interests but one.

    Attributes:
        value: value in nats.
        gradient: ``[P]``
        score_covariance: ``[P, P]`` sum over users of the outer product of a user's gradient.
        hessian: ``[P, P]``; zeros if it was not requested.
    """

    value: float
    gradient: np.ndarray
    score_covariance: np.ndarray
    hessian: np.ndarray


def fit_momentum(offsets: np.ndarray, labels: np.ndarray, num_interests: int, level: float = 0.05) -> MomentumEstimate:
    """Fit the heavy ball (Polyak, 1964) by maximum likelihood to the sequence of interests of each user.

    A label is the interest of one unit of a user's history, such as a session. A user's interest is a state ``z`` in
    ``R^K``, initially at rest (``z_0 = z_-1 = 0``). Label t is interest k with probability

        ``p(x_t = k) = softmax_k(gain z_{t-1} + b)``

    and moves the state towards it: with ``g`` the one-hot vector of ``x_t``,

        ``z_t = (1 + alpha - beta) z_{t-1} - alpha z_{t-2} + beta g_t``

    This is a gradient step of size beta on ``|z - g_t|^2 / 2`` with momentum alpha. It is stable for ``|alpha| < 1`` and
    ``0 < beta < 2 (1 + alpha)``. ``alpha = 0`` is an exponentially weighted average. Centring ``g`` would change nothing,
    because the softmax is invariant to a constant.

    ``b`` is estimated too. Interest reinforces itself, so the shares in the population are more uneven than the softmax of
    ``b``; using their logarithm for ``b`` would bias alpha and gain. Interests without labels are left out (their ``b``
    would be minus infinity).

    Intervals and ``p`` are Wald's, with the sandwich covariance ``H^-1 (sum_u s_u s_u') H^-1`` (White, 1982), where ``s_u``
    is the gradient of one user (Liang and Zeger, 1986). They stay valid if the labels of one user depend on each other in
    ways that the model does not describe. They do not make the model true: a permanent preference is not in the model and
    appears as a long memory, that is, a small beta; abrupt jumps between interests can appear as an alpha other than 0.

    Time is linear in labels x interests, memory in :data:`USERS_PER_CHUNK` x interests.

    Args:
        offsets: ``[U + 1]`` index of each user's first label.
        labels: ``[N]`` integers from 0 to ``num_interests - 1``, each user's in order of time.
        num_interests: K.
        level: 1 minus the coverage of the intervals.

    Returns:
        The estimates with their intervals.

    Raises:
        DataError: labels are out of range; there are too few users or labels; labels do not depend on the ones before them,
            so alpha and beta are not identified; the fit does not converge.
    """
    from scipy.optimize import minimize
    from scipy.stats import chi2, norm

    offsets, labels = np.asarray(offsets, np.int64), np.asarray(labels, np.int64)
    _check(offsets, labels, num_interests)
    present, labels = np.unique(labels, return_inverse=True)
    if len(present) == 1:
        raise DataError("all labels are of one interest, so nothing moves; choose finer interests.")
    counts = np.bincount(labels)
    lengths = np.diff(offsets)
    users, informative = int((lengths > 0).sum()), int(np.maximum(0, lengths - 2).sum())
    required = MIN_LABELS_PER_PARAMETER * (len(present) + 2)
    if users < MIN_USERS or informative < required:
        raise DataError(
            f"{users} users with {informative} labels after their second are too few to estimate momentum among "
            f"{len(present)} interests; at least {MIN_USERS} users and {required} such labels are needed: add users or "
            "merge interests."
        )

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        parameters, jacobian = _constrain(free)
        fit = log_likelihood(offsets, labels, parameters)
        return -fit.value / len(labels), -jacobian.T @ fit.gradient / len(labels)

    log_shares = np.log(counts[:-1] / counts[-1])
    best = minimize(loss, np.concatenate([[0.0, -1.5, 2.0], log_shares]), jac=True, method="BFGS", options={"gtol": 1e-6})
    parameters, _ = _constrain(best.x)
    fit = log_likelihood(offsets, labels, parameters, with_hessian=True)
    independent = float((counts * np.log(counts / len(labels))).sum())  # of labels drawn independently from the shares
    if fit.value - independent < chi2.isf(level, 3) / 2:
        raise DataError(
            "labels depend on the ones before them no more than at random, so momentum cannot be estimated; add users "
            "or choose other interests."
        )
    curvature = np.linalg.eigvalsh(-fit.hessian)
    definite = curvature[0] > 1e-9 * curvature[-1]
    inverse = np.linalg.inv(-fit.hessian) if definite else np.zeros_like(fit.hessian)
    deviation = np.sqrt(np.diag(inverse @ fit.score_covariance @ inverse)[:3] * users / (users - 1))
    # Another Newton step would still move far, or the Hessian is singular: if the next label is certain, gain is unbounded.
    if not definite or (np.abs(inverse @ fit.gradient)[:3] > 0.1 * deviation).any():
        raise DataError(
            f"the fit of momentum does not converge (last alpha {parameters[0]:.2g}, beta {parameters[1]:.2g}, gain "
            f"{parameters[2]:.2g}): the labels carry too little information, or each determines the next; add users."
        )
    half_width = norm.ppf(1 - level / 2) * deviation
    low, high = parameters[:3] - half_width, parameters[:3] + half_width
    return MomentumEstimate(
        alpha=float(parameters[0]),
        alpha_low=max(-1.0, float(low[0])),
        alpha_high=min(1.0, float(high[0])),
        beta=float(parameters[1]),
        beta_low=max(0.0, float(low[1])),
        beta_high=float(high[1]),
        gain=float(parameters[2]),
        gain_low=max(0.0, float(low[2])),
        gain_high=float(high[2]),
        p=float(2 * norm.sf(abs(parameters[0]) / deviation[0])),
        log_likelihood=fit.value,
        num_users=users,
        num_labels=len(labels),
    )


def log_likelihood(
    offsets: np.ndarray, labels: np.ndarray, parameters: np.ndarray, with_hessian: bool = False
) -> LogLikelihood:
    """Compute the log-likelihood of the labels, its gradient, and optionally its Hessian.

    The derivatives of the state by alpha and beta follow recursions of the same form as the state itself (forward
    sensitivities), so no earlier state is stored; automatic differentiation would store all of them.

    Args:
        offsets: ``[U + 1]`` index of each user's first label.
        labels: ``[N]`` integers from 0 to K - 1.
        parameters: ``[P]`` alpha, beta, gain, and ``b`` of all interests but the last, whose ``b`` is 0.
        with_hessian: whether to compute the Hessian.

    Returns:
        The log-likelihood and its derivatives.
    """
    size = len(parameters)
    value, gradient = 0.0, np.zeros(size)
    score_covariance, hessian = np.zeros((size, size)), np.zeros((size, size))
    for sequence in _chunks(offsets, labels):
        scores = np.zeros((len(sequence[0]), size))
        all_states = _states(sequence, size - 2, parameters[0], parameters[1], with_hessian)
        for x, states in zip(sequence, all_states, strict=True):
            gain, b = parameters[2], np.append(parameters[3:], 0.0)
            eta = gain * states[0] + b
            eta -= eta.max(axis=1, keepdims=True)
            p = np.exp(eta)
            total = p.sum(axis=1, keepdims=True)
            p /= total
            rows = np.arange(len(x))
            value += float((eta[rows, x] - np.log(total[:, 0])).sum())
            residual = -p
            residual[rows, x] += 1
            # Derivatives of eta by alpha, beta and gain; by b it is the identity matrix.
            eta_derivatives = np.stack([gain * states[1], gain * states[2], states[0]])
            scores[: len(x), :3] += np.einsum("ink,nk->ni", eta_derivatives, residual)
            scores[: len(x), 3:] += residual[:, :-1]
            if with_hessian:
                _add_to_hessian(hessian, p, residual, eta_derivatives, states, gain)
        gradient, score_covariance = gradient + scores.sum(axis=0), score_covariance + scores.T @ scores
    return LogLikelihood(value, gradient, score_covariance, hessian)


def _add_to_hessian(
    hessian: np.ndarray, p: np.ndarray, residual: np.ndarray, eta_derivatives: np.ndarray, states: np.ndarray, gain: float
) -> None:
    """Add ``sum_k residual_k d2 eta_k - cov_p(d eta, d eta)`` of one label per user to ``hessian``, in place."""
    centred = eta_derivatives - (eta_derivatives * p).sum(axis=2, keepdims=True)
    hessian[:3, :3] -= np.einsum("ink,jnk,nk->ij", centred, centred, p, optimize=True)
    mixed = (centred * p).sum(axis=1)[:, :-1]
    hessian[:3, 3:] -= mixed
    hessian[3:, :3] -= mixed.T
    hessian[3:, 3:] -= np.diag(p.sum(axis=0)[:-1]) - p[:, :-1].T @ p[:, :-1]
    weighted = np.einsum("ink,nk->i", states, residual)
    _, a, b, aa, ab, bb = weighted
    hessian[:3, :3] += [[gain * aa, gain * ab, a], [gain * ab, gain * bb, b], [a, b, 0]]


def _states(
    sequence: list[np.ndarray], num_interests: int, alpha: float, beta: float, second_order: bool
) -> Iterator[np.ndarray]:
    """Follow the states of a chunk of users, with their derivatives.

    Yields:
        Before each label, for the n users who have it: ``[3, n, K]`` z and its derivatives by alpha and beta; ``[6, n, K]``
        with the second derivatives by alpha, by alpha and beta, and by beta.
    """
    now = np.zeros((6 if second_order else 3, len(sequence[0]), num_interests))
    last = np.zeros_like(now)
    for position, x in enumerate(sequence):
        now, last = now[:, : len(x)], last[:, : len(x)]
        yield now
        if position + 1 < len(sequence):
            after = (1 + alpha - beta) * now - alpha * last
            move = now - last
            rows = np.arange(len(x))
            after[0, rows, x] += beta
            after[1] += move[0]
            after[2] -= now[0]
            after[2, rows, x] += 1
            if second_order:
                after[3] += 2 * move[1]
                after[4] += move[2] - now[1]
                after[5] -= 2 * now[2]
            now, last = after, now


def _chunks(offsets: np.ndarray, labels: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield users of similar length together, longest first.

    Yields:
        The first labels of all users of the chunk, the second labels of the users who have one, and so on.
    """
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    for begin in range(0, len(order), USERS_PER_CHUNK):
        users = order[begin : begin + USERS_PER_CHUNK]
        counts = [np.searchsorted(-lengths[users], -position, side="left") for position in range(lengths[users[0]])]
        yield [labels[offsets[users[:count]] + position] for position, count in enumerate(counts)]


def _constrain(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map unconstrained numbers to parameters: alpha by tanh, beta by 2 (1 + alpha) sigmoid, gain by softplus, b unchanged.

    Returns:
        The parameters ``[P]`` and their Jacobian ``[P, P]`` by the unconstrained numbers.
    """
    from scipy.special import expit

    parameters, jacobian = free.copy(), np.eye(len(free))
    alpha, share = np.tanh(free[0]), expit(free[1])
    parameters[:3] = alpha, 2 * (1 + alpha) * share, np.logaddexp(0, free[2])
    jacobian[0, 0] = 1 - alpha**2
    jacobian[1, 0], jacobian[1, 1] = 2 * (1 - alpha**2) * share, 2 * (1 + alpha) * share * (1 - share)
    jacobian[2, 2] = expit(free[2])
    return parameters, jacobian


def _check(offsets: np.ndarray, labels: np.ndarray, num_interests: int) -> None:
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(labels) or (np.diff(offsets) < 0).any():
        raise DataError(f"offsets must increase from 0 to the number of labels, {len(labels)}.")
    if len(labels) and not (labels.min() >= 0 and labels.max() < num_interests):
        raise DataError(f"labels must be 0 to {num_interests - 1}; leave out labels without an interest.")
