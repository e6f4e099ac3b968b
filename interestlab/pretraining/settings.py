"""Settings of ``interestlab pretrain``."""

from dataclasses import dataclass, field
from typing import Literal

from interestlab.errors import DataError
from interestlab.training.optimizers import Optim, Rates
from interestlab.utils.argument_checks import require_at_least

ObjectiveName = Literal["mlm", "contrastive", "denoising"]
Trained = Literal["full", "lora"]


@dataclass(frozen=True)
class Masking:
    """Masked language modelling (Devlin et al. 2019, arXiv 1810.04805).

    Args:
        probability: share of the tokens to predict; 80% of them are masked, 10% replaced by a random token.
    """

    probability: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise DataError(f"mlm.probability={self.probability} is not between 0 and 1.")


@dataclass(frozen=True)
class Contrast:
    """In-batch InfoNCE over pairs of texts (van den Oord et al. 2018, arXiv 1807.03748).

    Args:
        pairs: ``window``: the texts of two training events of one user; ``self``: each text with itself, under two draws of
            dropout (SimCSE, arXiv 2104.08821), for texts without users.
        window: largest time between the two events, in days.
        reach: largest number of positions between the two events in the user's history.
        temperature: divides the cosine similarities.
    """

    pairs: Literal["window", "self"] = "window"
    window: float = 7.0
    reach: int = 3
    temperature: float = 0.05

    def __post_init__(self) -> None:
        require_at_least(0, window=self.window)
        require_at_least(1, reach=self.reach)
        if not self.temperature > 0:
            raise DataError(f"contrastive.temperature={self.temperature} is not positive.")


@dataclass(frozen=True)
class Denoising:
    """The denoising auto-encoder TSDAE (Wang et al. 2021, arXiv 2104.06979).

    Args:
        deletion: share of the tokens that are deleted from the text that is encoded.
    """

    deletion: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.deletion < 1:
            raise DataError(f"denoising.deletion={self.deletion} is not between 0 and 1.")


@dataclass(frozen=True)
class LowRank:
    """Low-rank updates of linear weights (LoRA; Hu et al. 2022, arXiv 2106.09685).

    Args:
        r: rank of the updates.
        alpha: scale α of the updates, in α/r.
        dropout: probability of dropping an input of an update.
        targets: linear modules to update: ``all-linear``, or suffixes of their names.
    """

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | list[str] = "all-linear"


@dataclass(frozen=True)
class PretrainSettings:
    """What is trained on which texts.

    Args:
        text: fields whose texts are read, such as ``[item.title+item.brand, event.text]``.
        base: ``minilm``, the name of a model on the Hugging Face hub, or its folder.
        objective: ``mlm``, ``contrastive`` or ``denoising``.
        train: ``full``: all weights; ``lora``: low-rank updates, which are merged into the weights at the end.
        max_length: maximum number of tokens per text; longer texts are truncated.
        new_tokens: add up to this number of characters to the vocabulary, those that occur most often in the training texts
            and that the base does not know.
        max_texts: read a random sample of this number of texts; None: all.
        heldout: share of the distinct texts that is not trained on, to measure the loss before and after.
        epochs: passes over the training texts.
        steps: number of training steps; replaces ``epochs``.
        batch_tokens: tokens per batch, including padding.
        check_every: training steps between two measurements of the held-out loss with ``patience``; None: once per epoch.
        patience: stop after this number of measurements without a lower held-out loss, and keep the weights of the lowest;
            None: train to the end.
        seed: seed of the held-out texts, the batches, the masks and the new weights.
        mlm: settings of the objective ``mlm``.
        contrastive: settings of the objective ``contrastive``.
        denoising: settings of the objective ``denoising``.
        lora: settings of ``train=lora``.
        optim: optimiser; ``lr`` is the rate of new weights (a new head), ``pretrained`` and ``peft`` have their own.
    """

    text: list[str] = field(default_factory=list)
    base: str = "minilm"
    objective: ObjectiveName = "mlm"
    train: Trained = "full"
    max_length: int = 64
    new_tokens: int = 0
    max_texts: int | None = None
    heldout: float = 0.05
    epochs: int = 1
    steps: int | None = None
    batch_tokens: int = 4096
    check_every: int | None = None
    patience: int | None = None
    seed: int = 0
    mlm: Masking = field(default_factory=Masking)
    contrastive: Contrast = field(default_factory=Contrast)
    denoising: Denoising = field(default_factory=Denoising)
    lora: LowRank = field(default_factory=LowRank)
    optim: Optim = field(
        default_factory=lambda: Optim(schedule="cosine", pretrained=Rates(lr=5e-5, weight_decay=0.01), peft=Rates(lr=1e-3))
    )

    def __post_init__(self) -> None:
        if not self.text:
            raise DataError("no text field: name the fields to read, such as --text='[item.title+item.brand, event.text]'.")
        if not 0 < self.heldout < 1:
            raise DataError(f"heldout={self.heldout} is not between 0 and 1.")
        optional = {name: getattr(self, name) for name in ("max_texts", "check_every", "patience", "steps")}
        given = {name: value for name, value in optional.items() if value is not None}
        require_at_least(1, epochs=self.epochs, batch_tokens=self.batch_tokens, **given)
        require_at_least(0, new_tokens=self.new_tokens, seed=self.seed)
