"""Several interests of one user at once."""

from typing import Literal

from torch import Tensor

from interestlab.contract import Dynamics
from interestlab_dynamics.dynamic_routing import DynamicRouting, Routed
from interestlab_dynamics.self_attentive import Averages, SelfAttentive


class MultiInterest(Dynamics):
    """K interests, each made of the events so far; the best of them scores an item, and the nearest to the target learns.

    - ``attention`` (ComiRec-SA, Cen et al. 2020, arXiv 2005.09347): ``z_tk = Σ_{j≤t} a_tkj x_j``, where ``a_tk`` is the softmax
      over the events so far of ``w_k·tanh(W (x_j + p_j))``. All positions take O(T D (D + K)), a step O(D (D + K)).
    - ``routing`` (MIND, Li et al. 2019, arXiv 1904.08030): events are capsules that are shared out among the interests by
      agreement, a few times over. Each prefix is routed anew: all positions take O(T² K D), a step O(T K D).

    ``attention`` sees the order of the events, by learnt positions from the first on, and ``routing`` does not; neither sees
    the time between them. The label-aware attention of MIND is the model's business here, and its dense layers over the
    interests are left out, as is a K that depends on the length of the history.

    Args:
        dim: width of the model.
        num_interests: K, how many interests a user has.
        extractor: how they are made of the events: ``attention`` or ``routing``.
        max_length: of ``attention``: number of positions that are told apart; events beyond share the last.
        iterations: of ``routing``: how often the events are routed.

    Raises:
        ValueError: an argument is outside of its range.
    """

    def __init__(
        self,
        dim: int,
        num_interests: int = 4,
        extractor: Literal["attention", "routing"] = "attention",
        max_length: int = 512,
        iterations: int = 3,
    ) -> None:
        super().__init__()
        if num_interests < 1 or max_length < 1 or iterations < 1:
            raise ValueError(
                f"num_interests ({num_interests}), max_length ({max_length}) and iterations ({iterations}) must be positive"
            )
        self.dim = dim
        self.num_interests = num_interests
        self.extractor: SelfAttentive | DynamicRouting
        if extractor == "attention":
            self.extractor = SelfAttentive(dim, num_interests, max_length)
        elif extractor == "routing":
            self.extractor = DynamicRouting(dim, num_interests, iterations)
        else:
            raise ValueError(f"extractor is {extractor!r}; it must be attention or routing")

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, after every real event, and no event sees what comes after it.
        return self.shown(self.extractor(x))

    def init_state(self, batch_size: int) -> Averages | Routed:
        return self.extractor.init_state(batch_size)

    def step(self, state: Averages | Routed, x: Tensor, dt: Tensor) -> tuple[Averages | Routed, Tensor]:
        state = self.extractor.step(state, x)  # type: ignore[arg-type]  # the state is of this extractor
        return state, self.readout(state)

    def readout(self, state: Averages | Routed) -> Tensor:
        return self.shown(state.z)

    def shown(self, z: Tensor) -> Tensor:
        """``[..., K, D]`` as the contract has it: a lone interest has no axis."""
        return z if self.num_interests > 1 else z.squeeze(-2)
