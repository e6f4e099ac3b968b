"""The feed-forward layer of post-norm blocks."""

from torch import Tensor, nn


class FeedForward(nn.Module):
    """``LayerNorm(x + W₂ GELU(W₁ x))`` with a hidden width of ``4 dim``, as in LRURec and Mamba4Rec.

    Args:
        dim: width of the model.
        dropout: share of activations dropped in training.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position.

        Args:
            x: ``[..., D]``.

        Returns:
            ``[..., D]``.
        """
        return self.norm(x + self.layers(x))
