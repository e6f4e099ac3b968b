"""Where in a text model bottlenecks go."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Literal, get_args

import torch
from torch import nn
from transformers import PreTrainedModel

from interestlab_encoders.bottleneck.layer import Linear, width

Style = Literal["houlsby", "pfeiffer"]


def places(model: PreTrainedModel, layers: Sequence[nn.Module], style: Style = "houlsby") -> list[str]:
    """The linear modules that some layers of a model end their attention and their feed-forward with.

    ``houlsby`` takes both (arXiv 1902.00751), ``pfeiffer`` the feed-forward's alone (arXiv 2005.00247). A bottleneck after
    such a module comes before the residual is added, in BERT before the LayerNorm too, which is where Houlsby puts it; only
    the model's own dropout of the module's output, before the bottleneck in the paper's code, is after it here. Pfeiffer
    differs: there the bottleneck reads the feed-forward's output after residual and LayerNorm, is added to that output as it
    was before them, and residual and LayerNorm follow once more.

    The model reads two tokens while its linear modules are watched: an attention's last is the last that runs of those with
    "att" in their name, and a feed-forward's last the last of the others. The order in which modules are declared would say
    less: Phi-3 declares the end of its attention first.

    Args:
        model: the model itself, not a wrapper of it.
        layers: some of its layers.
        style: which of the two modules.

    Returns:
        Full names, layer by layer. Endings of names would not do: ``output.dense`` in a BERT ends
        ``attention.output.dense`` too.

    Raises:
        ValueError: a layer has no attention, or experts for its feed-forward, or else does not end both in a linear module
            of the model's width.
    """
    if style not in get_args(Style):
        raise ValueError(f"style='{style}' must be {' or '.join(get_args(Style))}")
    full = {module: name for name, module in model.named_modules()}
    order = ran(model, [module for module in full if isinstance(module, Linear)])
    found = []
    for layer in layers:
        inside = {module: name.lower() for name, module in layer.named_modules()}
        attention = [module for module in order if "att" in inside.get(module, "")]
        others = [module for module in order if module in inside and module not in attention]
        ends = [*attention[-1:], *others[-1:]]
        whole = len(ends) == 2 and all(width(module) == model.config.hidden_size for module in ends)
        if not whole or any("expert" in name for name in inside.values()):
            kind = model.config.model_type
            raise ValueError(f"where attention and feed-forward end in a '{kind}' model cannot be told; name the modules")
        found += [full[module] for module in (ends if style == "houlsby" else ends[1:])]
    return found


def ran(model: PreTrainedModel, modules: Iterable[Linear]) -> list[Linear]:
    """Those of ``modules`` that run when the model reads two tokens, in order."""
    order: list[Linear] = []
    training = model.training
    with ExitStack() as stack, torch.no_grad():
        for module in modules:
            stack.enter_context(module.register_forward_hook(lambda module, *_: order.append(module)))
        model.eval()
        model(input_ids=torch.tensor([[0, 1]], device=model.device))
    model.train(training)
    return order
