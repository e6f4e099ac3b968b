"""The gated recurrent unit."""

from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.silence import with_days


class GRU(Dynamics):
    """GRU4Rec (Hidasi et al. 2016, arXiv 1511.06939): a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078).

    Of an event e and the memory h before it::

        r = σ(W_r e + U_r h + b_r)            what of the memory is read
        u = σ(W_u e + U_u h + b_u)            what of the memory is kept
        n = tanh(W_n e + b_n + r (U_n h + c_n))
        h ← (1 − u) n + u h,                  z = W h + b

    The elapsed time is an input: ``e = [x, log(1 + days)]``. It is read with the event that ends it, so a silence alone moves
    nothing. The last linear map, between a memory within (−1, 1) and the space of the items, is that of the usual
    implementations with shared item vectors (RecBole).

    Args:
        dim: width of the model.
        layers: units stacked, each reading the memory of the one below.
        dropout: share of the events' channels dropped in training, and of what is handed from layer to layer.
        time: read the days since the previous event; otherwise only the order is seen.

    Raises:
        ValueError: ``layers`` is not positive.
    """

    def __init__(self, dim: int, layers: int = 1, dropout: float = 0.2, time: bool = True) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be positive")
        self.dim = dim
        self.time = time
        self.dropout = nn.Dropout(dropout)
        # torch drops between layers only, and warns of a dropout where there is nothing between.
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(dim + int(time), dim, layers, batch_first=True, dropout=between)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, after every real event: nothing has to be packed.
        h, _ = self.gru(self.read(x, dt))
        return self.out(h)

    def init_state(self, batch_size: int) -> Tensor:
        return self.out.weight.new_zeros(batch_size, self.gru.num_layers, self.dim)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        h, after = self.gru(self.read(x, dt).unsqueeze(1), state.transpose(0, 1).contiguous())
        return after.transpose(0, 1), self.out(h.squeeze(1))

    def readout(self, state: Tensor) -> Tensor:
        return self.out(state[:, -1])

    def read(self, x: Tensor, dt: Tensor) -> Tensor:
        """Events as the first layer takes them."""
        x = self.dropout(x)
        return with_days(x, dt) if self.time else x
