"""The base class of the objectives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from interestlab.pretraining.base import TextModel, load_tokenizer
from interestlab.pretraining.batches import Collate


class Measured(NamedTuple):
    """The loss of a batch.

    Attributes:
        loss: scalar, mean over what the batch predicts.
        size: number of predictions.
        correct: number of predictions whose first guess is right.
    """

    loss: Tensor
    size: Tensor
    correct: Tensor


class PretrainObjective(nn.Module, ABC):
    """A loss on texts.

    Args:
        base: the model to train.

    Attributes:
        trained: the model of transformers without a head, whose weights are trained.
        new_parameters: parameters that the base does not have, such as those of a new head.
        tokenizer: the tokenizer of transformers.
        has_perplexity: whether the loss is the mean negative log-likelihood of tokens.
    """

    trained: Any
    new_parameters: Sequence[nn.Parameter] = ()
    has_perplexity = True

    def __init__(self, base: TextModel) -> None:
        super().__init__()
        # in a list, since the text encoder has further modules that are not trained
        self._base = [base]
        self.tokenizer = load_tokenizer(base.folder)
        special = self.tokenizer.all_special_ids
        self.padding: int = next((i for i in (self.tokenizer.pad_token_id, *special) if i is not None), 0)

    @property
    def base(self) -> TextModel:
        """The model to train, as a text encoder."""
        return self._base[0]

    @abstractmethod
    def collate(self, seed: int) -> Collate:
        """Return a function that makes batches.

        Args:
            seed: seed of its random draws.
        """

    @abstractmethod
    def forward(self, batch: Any) -> Measured:
        """Return the loss of a batch.

        Args:
            batch: what :meth:`collate`'s function made.
        """

    def model_to_save(self) -> Any:
        """Return the model of transformers to save."""
        return self.trained
