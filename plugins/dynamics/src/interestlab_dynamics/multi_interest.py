"""Several interests per user."""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics, ParameterGroup
from interestlab_dynamics.dynamic_routing import DynamicRouting, RoutingState
from interestlab_dynamics.self_attentive import RunningAverages, SelfAttentiveExtractor


class MultiInterest(Dynamics):
    """K interests per user: weighted averages of different memory, self-attention (ComiRec-SA) or dynamic routing (MIND).

    The score of an item is its maximum over the interests; in training, the interest closest to the target learns.

    - ``recency``: ``attention`` with a learnt recency slope: ``λ_k j`` is added to the scores, whose other part starts at zero.
      Each interest starts as an exponentially weighted average of its own memory, from a long one to the last event alone.
    - ``attention`` (ComiRec-SA, Cen et al. 2020, arXiv 2005.09347): ``z_tk = Σ_{j≤t} a_tkj x_j``, where ``a_tk`` is the softmax
      over the events so far of ``w_k·tanh(W (x_j + p_j))``. All positions take O(T D (D + K)), a step O(D (D + K)).
    - ``routing`` (MIND, Li et al. 2019, arXiv 1904.08030): events are capsules that are assigned to the interests by iterated
      agreement, separately for the history up to each position. All positions take O(T² K D), a step O(T K D).

    ``recency`` and ``attention`` use the order of the events, ``routing`` does not; none uses the time between events.
    Differences from MIND: its label-aware attention is left to the model, there are no dense layers over the interests, and
    K does not depend on the length of the history.

    Args:
        dim: width of the model.
        num_interests: K, the number of interests per user.
        extractor: ``recency``, ``attention`` or ``routing``.
        max_length: for ``recency`` and ``attention``: number of distinct positions; later events share the last one.
        iterations: for ``routing``: number of routing iterations.
        dropout: for ``recency`` and ``attention``: share of each event's channels dropped in training.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        num_interests: int = 4,
        extractor: Literal["recency", "attention", "routing"] = "recency",
        max_length: int = 512,
        iterations: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_interests < 1 or max_length < 1 or iterations < 1:
            raise ValueError(
                f"num_interests ({num_interests}), max_length ({max_length}) and iterations ({iterations}) must be positive"
            )
        self.dim = dim
        self.num_interests = num_interests
        self.extractor: SelfAttentiveExtractor | DynamicRouting
        if extractor in ("recency", "attention"):
            betas = spread_betas(num_interests) if extractor == "recency" else None
            self.extractor = SelfAttentiveExtractor(dim, num_interests, max_length, betas, dropout)
        elif extractor == "routing":
            self.extractor = DynamicRouting(dim, num_interests, iterations)
        else:
            raise ValueError(f"extractor is {extractor!r}; it must be recency, attention or routing")

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        return {"gains": [p for name, p in self.extractor.named_parameters() if name == "raw_slopes"]}

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding comes after every real event, and no position uses later events.
        return self._drop_single_axis(self.extractor(x))

    def init_state(self, batch_size: int) -> RunningAverages | RoutingState:
        return self.extractor.init_state(batch_size)

    def step(
        self, state: RunningAverages | RoutingState, x: Tensor, dt: Tensor
    ) -> tuple[RunningAverages | RoutingState, Tensor]:
        state = self.extractor.step(state, x)  # type: ignore[arg-type] # the state is the extractor's own
        return state, self.readout(state)

    def readout(self, state: RunningAverages | RoutingState) -> Tensor:
        return self._drop_single_axis(state.z)

    def _drop_single_axis(self, z: Tensor) -> Tensor:
        """Remove the axis K of ``[..., K, D]`` if there is a single interest, as the contract requires."""
        return z if self.num_interests > 1 else z.squeeze(-2)


def spread_betas(num_interests: int) -> Tensor:
    """Return K weights of the newest event from .1 (a long memory) to .95 (the last event alone), evenly spaced in log-odds.

    Args:
        num_interests: K.
    """
    ends = torch.logit(torch.tensor([0.1, 0.95]))
    return torch.sigmoid(torch.linspace(ends[0], ends[1], num_interests) if num_interests > 1 else ends.mean().view(1))
