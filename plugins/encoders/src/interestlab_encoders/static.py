"""Texts as the mean of the vectors of their tokens."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab_encoders.base_weights import BaseWeights
from interestlab_encoders.model_folder import resolve_model_folder
from interestlab_encoders.pooling import detect_pooling
from interestlab_encoders.pretrained import load_pretrained
from interestlab_encoders.token_table import cached_token_vectors, make_table
from interestlab_encoders.tokenizer import FastTokenizer


class Static(Encoder):
    """The mean of the vectors of a text's tokens, from a table that a pretrained model fills in seconds.

    Each token of the vocabulary is encoded once by the pretrained model. The vectors are reduced by PCA and weighted by
    smooth inverse frequency (model2vec; Tulkens and van Dongen 2024). No transformer runs after that, so training the table
    costs little more than training ids. A text of known tokens has a meaning even if the text is new.

    Args:
        fields: texts to encode, one stream each; ``+`` joins columns, as in ``item.title+item.brand``.
        model: ``minilm``, the name of a model on the Hugging Face hub, or its folder.
        max_length: maximum number of tokens per text; longer texts are truncated.
        dim: width of the vectors; None takes the width of the model, at most that of the pretrained model.
        trainable: train the table; otherwise it is constant, and the vectors of all texts are stored on disk.
        sif: constant of smooth inverse frequency; smaller values reduce the weight of frequent tokens; None for no weighting.
        pooling: how the pretrained model's vectors are pooled when a token is encoded; ``auto`` as in ``frozen``.
        whiten: map the vectors to the width of the model by PCA and scale each component to variance 1 over the distinct
            values of the data, instead of by a learnt layer. The map is fitted before training and stays constant.

    Raises:
        ValueError: the model cannot be found or loaded, or a number is not positive.
    """

    preprocess_key: str
    is_lookup = True
    table: nn.Embedding

    def __init__(
        self,
        fields: Sequence[str] = ("item.title",),
        model: str = "minilm",
        max_length: int = 64,
        dim: int | None = None,
        trainable: bool = True,
        sif: float | None = 1e-4,
        pooling: Literal["auto", "cls", "mean", "last"] = "auto",
        whiten: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"max_length": max_length, "dim": dim, "sif": sif}.items():
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} is not positive")
        self.fields, self.dim, self.trainable, self.sif, self.whiten = list(fields), dim, trainable, sif, whiten
        folder = resolve_model_folder(model)
        self.tokenizer = FastTokenizer(folder, max_length, special_tokens=False)
        self.preprocess_key = self.tokenizer.key
        pretrained = load_pretrained(folder)
        pool = detect_pooling(folder, pretrained.config) if pooling == "auto" else pooling
        self._token_vectors = cached_token_vectors(pretrained, BaseWeights(pretrained, model), self.tokenizer, pool)

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        hidden = self._token_vectors.shape[1]
        self.out_dim = min(self.dim or dim, hidden)
        if self.dim and self.dim > hidden:
            raise ValueError(f"dim={self.dim} is more than the width {hidden} of the pretrained model")
        table = make_table(self._token_vectors, self.out_dim, self.sif)
        self.table = nn.Embedding.from_pretrained(table, freeze=not self.trainable)
        del self._token_vectors

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return self.tokenizer(values)

    def forward(self, inputs: Inputs) -> Tensor:
        """Average the rows of the tokens.

        Args:
            inputs: token ids ``[U, L]`` and the lengths of the texts.

        Returns:
            ``[U, out_dim]``
        """
        assert inputs.lengths is not None
        starts = inputs.lengths.cumsum(0) - inputs.lengths
        return F.embedding_bag(inputs.values[inputs.mask].long(), self.table.weight, starts, mode="mean")
