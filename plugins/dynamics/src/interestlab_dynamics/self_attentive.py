"""Multi-interest extraction by self-attention (ComiRec-SA)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_dynamics.inverse_softplus import inverse_softplus
from interestlab_dynamics.transformer import init_weights


class RunningAverages(NamedTuple):
    """Weighted averages of the events so far, and what is needed to update them.

    Attributes:
        z: ``[B, K, D]`` the averages.
        log_total: ``[B, K]`` log of the sum of the weights.
        num_events: ``[B]`` int64 number of events so far.
    """

    z: Tensor
    log_total: Tensor
    num_events: Tensor


class SelfAttentiveExtractor(nn.Module):
    """ComiRec-SA: K attention-weighted averages of the events so far, ``z_tk = Σ_{j≤t} a_tkj x_j``.

    ``a_tk`` is the softmax over the events so far of ``s_jk = w_k·tanh(W (x_j + p_j))``, with learnt positions ``p_j``. With
    ``betas``, a learnt recency slope joins the score, ``s_jk + λ_k j``, and ``w_k`` starts at zero: each interest starts as a
    normalised exponentially weighted average ``∝ Σ_{j≤t} (1 − β_k)^{t−j} x_j`` of its own memory, ``λ_k = −log(1 − β_k)``.

    A softmax over a growing history is a running average: ``z_tk = z_{t−1,k} + γ_tk (x_t − z_{t−1,k})`` with
    ``γ_tk = exp(s_tk − logsumexp_{j≤t} s_jk)``. All positions together take O(T D (D + K)), and a step O(D (D + K)).

    Source: Cen et al. 2020, arXiv 2005.09347.

    Args:
        dim: width of the events.
        num_interests: K.
        max_length: number of distinct positions; later events share the last one.
        betas: ``[K]`` initial weight of the newest event in each average, between 0 and 1; None: no recency slope (ComiRec-SA).
        dropout: share of each event's channels dropped in training.
    """

    def __init__(
        self, dim: int, num_interests: int, max_length: int, betas: Tensor | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_interests = num_interests
        self.positions = nn.Embedding(max_length, dim)
        last = nn.Linear(4 * dim, num_interests, bias=False)
        self.score = nn.Sequential(nn.Linear(dim, 4 * dim, bias=False), nn.Tanh(), last)
        init_weights(self.positions)
        self.raw_slopes: nn.Parameter | None = None
        if betas is not None:
            nn.init.zeros_(last.weight)
            slopes = -torch.log1p(-betas)
            self.raw_slopes = nn.Parameter(inverse_softplus(slopes))
        self.dropout = nn.Dropout(dropout)

    def scores(self, x: Tensor, positions: Tensor) -> Tensor:
        """Compute attention scores.

        Args:
            x: ``[..., D]`` events.
            positions: int64 position of each event, from 0; broadcastable with ``x`` without its last axis.

        Returns:
            ``[..., K]``.
        """
        positioned = x + self.positions(positions.clamp(max=self.positions.num_embeddings - 1))
        scores = self.score(positioned).to(self.positions.weight.dtype)
        return scores if self.raw_slopes is None else scores + positions.unsqueeze(-1) * F.softplus(self.raw_slopes)

    def forward(self, x: Tensor) -> Tensor:
        """Extract the interests after every event.

        Args:
            x: ``[B, T, D]`` events.

        Returns:
            ``[B, T, K, D]``.
        """
        x = self.dropout(x)
        scores = self.scores(x, torch.arange(x.shape[1], device=x.device))
        gains = torch.exp(scores - scores.logcumsumexp(1)).unsqueeze(-1)
        x = x.to(gains.dtype).unsqueeze(2)
        z, zs = torch.zeros_like(x[:, 0]), []
        for x_t, gain in zip(x.unbind(1), gains.unbind(1), strict=True):
            z = torch.lerp(z, x_t, gain)
            zs.append(z)
        return torch.stack(zs, 1)

    def init_state(self, batch_size: int) -> RunningAverages:
        """Return the state before the first event.

        Args:
            batch_size: number of users.

        Returns:
            the state.
        """
        z = self.positions.weight.new_zeros(batch_size, self.num_interests, self.positions.embedding_dim)
        return RunningAverages(z, z.new_full(z.shape[:2], -torch.inf), z.new_zeros(batch_size, dtype=torch.int64))

    def step(self, state: RunningAverages, x: Tensor) -> RunningAverages:
        """Process one event.

        Args:
            state: the state before the event.
            x: ``[B, D]`` the event.

        Returns:
            the new state.
        """
        x = self.dropout(x)
        scores = self.scores(x, state.num_events)
        log_total = torch.logaddexp(state.log_total, scores)
        z = torch.lerp(state.z, x.to(log_total.dtype).unsqueeze(1), torch.exp(scores - log_total).unsqueeze(-1))
        return RunningAverages(z, log_total, state.num_events + 1)
