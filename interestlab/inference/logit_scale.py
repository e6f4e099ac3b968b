"""The scale of a model's scores in the logits of training."""

from interestlab.contract import Objective


def logit_scale(objective: Objective) -> float:
    """Return the factor that turns a score into a logit of training: 1 / temperature, or a learnt scale.

    Args:
        objective: trained; the scores of one without either are logits themselves.
    """
    if (logit := getattr(objective, "logit", None)) is not None:
        return float(logit.log_scale.detach().exp())
    return 1 / float(getattr(objective, "temperature", 1.0))
