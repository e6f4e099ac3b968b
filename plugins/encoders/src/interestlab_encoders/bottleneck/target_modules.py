"""Where to insert bottleneck adapters in a text model."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Literal, get_args

import torch
from torch import nn
from transformers import PreTrainedModel

from interestlab_encoders.bottleneck.layer import Linear, output_width

Style = Literal["houlsby", "pfeiffer"]


def find_target_modules(model: PreTrainedModel, layers: Sequence[nn.Module], style: Style = "houlsby") -> list[str]:
    """Find the last linear modules of the attention and of the feed-forward layer of some layers.

    ``houlsby`` selects both (arXiv 1902.00751), ``pfeiffer`` only that of the feed-forward layer (arXiv 2005.00247). A
    bottleneck after such a module runs before the residual connection, and in BERT before the LayerNorm too, as in Houlsby's
    paper; the one difference is that the model's own dropout of the module's output runs before the bottleneck in the paper's
    code and after it here. Pfeiffer's paper differs: its bottleneck reads the feed-forward output after residual connection
    and LayerNorm, is added to that output as it was before them, and is followed by another residual connection and
    LayerNorm.

    The model runs on two tokens while its linear modules are traced. The last module of the attention is the last one that
    runs among those with "att" in their name, and that of the feed-forward layer is the last one among the others. The order
    of declaration would be unreliable: Phi-3 declares the last module of its attention first.

    Args:
        model: the model itself, not a wrapper.
        layers: some of its layers.
        style: which of the two modules to find.

    Returns:
        full names, layer by layer. Suffixes would be ambiguous: ``output.dense`` in a BERT is also a suffix of
        ``attention.output.dense``.

    Raises:
        ValueError: a layer has no attention, has experts instead of a feed-forward layer, or one of the two does not end in a
            linear module of the model's width.
    """
    if style not in get_args(Style):
        raise ValueError(f"style='{style}' must be {' or '.join(get_args(Style))}")
    names = {module: name for name, module in model.named_modules()}
    order = _trace(model, [module for module in names if isinstance(module, Linear)])
    targets = []
    for layer in layers:
        inside = {module: name.lower() for name, module in layer.named_modules()}
        attention = [module for module in order if "att" in inside.get(module, "")]
        others = [module for module in order if module in inside and module not in attention]
        ends = [*attention[-1:], *others[-1:]]
        complete = len(ends) == 2 and all(output_width(module) == model.config.hidden_size for module in ends)
        if not complete or any("expert" in name for name in inside.values()):
            model_type = model.config.model_type
            raise ValueError(f"cannot find the end of attention and feed-forward layer in a '{model_type}' model; use lora")
        targets += [names[module] for module in (ends if style == "houlsby" else ends[1:])]
    return targets


def _trace(model: PreTrainedModel, modules: Iterable[Linear]) -> list[Linear]:
    """Return those of ``modules`` that run on two tokens, in their order."""
    order: list[Linear] = []
    training = model.training
    with ExitStack() as stack, torch.no_grad():
        for module in modules:
            stack.enter_context(module.register_forward_hook(lambda module, *_: order.append(module)))
        model.eval()
        model(input_ids=torch.tensor([[0, 1]], device=model.device))
    model.train(training)
    return order
