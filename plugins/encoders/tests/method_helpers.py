"""What the tests of the fine-tuning methods share."""

from interestlab.testing import pad_rows

TEXTS = ["strings for a guitar", "", "red"]
LAYERS = {"bert": ["encoder.layer.0.", "encoder.layer.1."], "gpt": ["h.0.", "h.1."]}


def trained_names(encoder):
    return {name for name, p in encoder.named_parameters() if p.requires_grad}


def base_name(name):
    """Return the name of a parameter without PEFT's prefixes."""
    return name.removeprefix("pretrained_model.").removeprefix("base_model.model.").removeprefix("base_model.")


def inputs(encoder):
    return pad_rows(encoder.preprocess(TEXTS))
