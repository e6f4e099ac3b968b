"""The gated recurrent unit."""

from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.elapsed_time import append_log_days


class GRU(Dynamics):
    """GRU4Rec: a gated recurrent unit over the events and the time between them.

    For an event e and the hidden state h before it::

        r = σ(W_r e + U_r h + b_r)            reset gate
        u = σ(W_u e + U_u h + b_u)            update gate
        n = tanh(W_n e + b_n + r (U_n h + c_n))
        h ← (1 − u) n + u h,                  z = W h + b

    The elapsed time is an input: ``e = [x, log(1 + days)]``. It takes effect with the next event, so time alone does not
    change the user state. The final linear map from the hidden state, which lies in (−1, 1), to the item space follows common
    implementations with shared item embeddings (RecBole).

    Source: GRU4Rec, Hidasi et al. 2016, arXiv 1511.06939; GRU, Cho et al. 2014, arXiv 1406.1078.

    Args:
        dim: width of the model.
        layers: number of stacked units, at least 1.
        dropout: share of the events' channels, and of the outputs between layers, dropped in training.
        time: use the days since the previous event as an input; otherwise only the order counts.

    Raises:
        ValueError: ``layers`` is below 1.
    """

    def __init__(self, dim: int, layers: int = 1, dropout: float = 0.2, time: bool = True) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be positive")
        self.dim = dim
        self.time = time
        self.dropout = nn.Dropout(dropout)
        # torch applies this dropout between layers only, and warns if there is only one layer.
        dropout_between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(dim + int(time), dim, layers, batch_first=True, dropout=dropout_between)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding comes after every real event, so packing is not needed.
        h, _ = self.gru(self._inputs(x, dt))
        return self.out(h)

    def init_state(self, batch_size: int) -> Tensor:
        return self.out.weight.new_zeros(batch_size, self.gru.num_layers, self.dim)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        h, new_state = self.gru(self._inputs(x, dt).unsqueeze(1), state.transpose(0, 1).contiguous())
        return new_state.transpose(0, 1), self.out(h.squeeze(1))

    def readout(self, state: Tensor) -> Tensor:
        return self.out(state[:, -1])

    def _inputs(self, x: Tensor, dt: Tensor) -> Tensor:
        x = self.dropout(x)
        return append_log_days(x, dt) if self.time else x
