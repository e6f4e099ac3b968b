"""What the model is trained to do: one file per objective."""

from interestlab.pretraining.base import TextModel
from interestlab.pretraining.objectives.base import PretrainObjective
from interestlab.pretraining.objectives.contrastive import Contrastive
from interestlab.pretraining.objectives.denoising import DenoisingAutoEncoder
from interestlab.pretraining.objectives.mlm import MaskedLanguageModel
from interestlab.pretraining.settings import PretrainSettings


def make_objective(base: TextModel, settings: PretrainSettings) -> PretrainObjective:
    """Return the objective that the settings name.

    Args:
        base: the model to train.
        settings: the settings.

    Raises:
        DataError: the model does not support the objective.
    """
    if settings.objective == "mlm":
        return MaskedLanguageModel(base, settings.mlm)
    if settings.objective == "contrastive":
        return Contrastive(base, settings.contrastive)
    return DenoisingAutoEncoder(base, settings.denoising)
