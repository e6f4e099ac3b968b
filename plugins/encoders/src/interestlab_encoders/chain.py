"""A text model as a chain of layers that can be cut between any two of them."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from interestlab.batch import Inputs


class Chain:
    """The layers of a text model, lowest first, and what can be done with some of them.

    Where a model's layers lie is found by watching it read two tokens, so that every BERT-like and GPT-like model will do
    whose layers hand on hidden states ``[U, L, D]``, each to the next.

    Args:
        model: the model itself, not a wrapper of it.

    Attributes:
        layers: the layers; none where they do not follow one another (ALBERT runs one of them again and again).
        top: modules that run after the last layer, such as a final norm.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._path, self._tuples = "", False
        self.layers: list[nn.Module] = []
        self.top: list[nn.Module] = []
        for name, module in model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == getattr(model.config, "num_hidden_layers", None):
                self._watch(name, list(module))
                if self.layers:
                    break

    def _watch(self, path: str, layers: list[nn.Module]) -> None:
        seen: list[tuple[nn.Module, Any, Any]] = []

        def watch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            seen.append((module, given(args, kwargs), out))

        hooks = [
            module.register_forward_hook(watch, with_kwargs=True)
            for module in self.model.modules()
            if module in layers or not list(module.children())
        ]
        training = self.model.training
        with torch.no_grad():
            self.model.eval()(input_ids=torch.tensor([[0, 1]], device=self.model.device))
        self.model.train(training)
        for hook in hooks:
            hook.remove()
        places = [i for i, (module, *_) in enumerate(seen) if module in layers]
        if [seen[i][0] for i in places] != layers:
            return
        if any(first(seen[i][2]) is not seen[j][1] for i, j in pairwise(places)):
            return
        self._path, self.layers, self._tuples = path, layers, isinstance(seen[places[-1]][2], tuple)
        self.top = [module for module, *_ in seen[places[-1] + 1 :]]

    def choose(self, layers: int | str) -> list[nn.Module]:
        """The top ``layers`` of them, or ``all``.

        Raises:
            ValueError: the model has fewer, or is no chain.
        """
        count = len(self.layers)
        kind = self.model.config.model_type
        if not count:
            raise ValueError(f"the layers of a '{kind}' model cannot be told apart, so none can be chosen")
        chosen = count if layers == "all" else int(layers)
        if not 1 <= chosen <= count:
            raise ValueError(f"layers={layers}: this '{kind}' model has {count}; give 1 to {count}, or all")
        return self.layers[count - chosen :]

    def names(self, modules: list[nn.Module]) -> list[str]:
        """Full names of modules of the model."""
        return [name for name, module in self.model.named_modules() if any(module is m for m in modules)]

    def constant(self, changing: Iterable[nn.Parameter]) -> int:
        """How many of the lowest layers none of the ``changing`` parameters, the model's or a wrapper's, stands in or under."""
        place = {id(p): len(self.layers) for module in self.top for p in module.parameters()}
        # Downwards: what several layers share stands in the lowest of them.
        place |= {id(p): i for i, layer in reversed(list(enumerate(self.layers))) for p in layer.parameters()}
        return min((place.get(id(p), 0) for p in changing), default=len(self.layers))

    def rest(self, depth: int) -> None:
        """In training, let the lowest ``depth`` layers and all that runs before them be in evaluation mode: no dropout."""
        if depth:
            self.model.eval()
            for module in [*self.layers[depth:], *self.top]:
                module.train()

    def states(self, inputs: Inputs, depth: int) -> list[Tensor]:
        """Hidden states ``[U, L, D]`` under the first layer and after each of the lowest ``depth``; no other layer runs."""
        states: list[Tensor] = []

        def watched(layer: nn.Module) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                if not states:
                    states.append(given(args, kwargs))
                out = layer.forward(*args, **kwargs)
                states.append(first(out))
                return out

            return forward

        run = [watched(layer) for layer in self.layers[:depth]] + [self._through] * (len(self.layers) - depth)
        read(self._with(run, depth), inputs.values.long(), inputs)
        return states

    def resume(self, inputs: Inputs, depth: int) -> Tensor:
        """From hidden states ``[U, L, D]`` after the lowest ``depth`` layers -> the model's last hidden state."""
        states = inputs.values
        # The model embeds these tokens and makes masks and positions of their form; the first layer then puts them aside.
        tokens = torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)
        run: list[Callable[..., Any]] = [lambda *_, **__: self._through(states)] + [self._through] * (depth - 1)
        return read(self._with(run, 0), tokens, inputs)

    def _through(self, *args: Any, **kwargs: Any) -> Any:
        states = given(args, kwargs)
        return (states,) if self._tuples else states

    def _with(self, forwards: list[Callable[..., Any]], depth: int) -> nn.Module:
        """The model with other forwards in its lowest layers, of which the lowest ``depth`` run the layer itself.

        Copies of the few modules on the way there share all weights.
        """
        top = node = copy(self.model)
        for name in self._path.split("."):
            child = copy(node.get_submodule(name))
            node._modules = {**node._modules, name: child}
            node = child
        layers = dict(node._modules)
        for number, (key, forward) in enumerate(zip(list(layers), forwards, strict=False)):
            layers[key] = layer = copy(node.get_submodule(key))
            layer.forward = forward
            if number >= depth:  # no layer runs, and hooks, such as those that gather sharded weights, have nothing to do
                layer._forward_pre_hooks = layer._forward_hooks = OrderedDict()
        node._modules = layers
        return top


def copy(module: nn.Module) -> nn.Module:
    """A module that shares all that the given one holds; Python's own would build a sharded module anew."""
    twin: nn.Module = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    return twin


def read(model: nn.Module, tokens: Tensor, inputs: Inputs) -> Tensor:
    """The last hidden state ``[U, L, D]`` of a model over tokens ``[U, L]``; the mask of ``inputs`` says what is real."""
    hidden = model(input_ids=tokens, attention_mask=inputs.mask.long(), return_dict=True).last_hidden_state
    return hidden[:, hidden.shape[1] - tokens.shape[1] :]  # prompt tuning puts tokens of its own before


def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The hidden states that a layer is given."""
    return args[0] if args else kwargs.get("hidden_states")


def first(out: Any) -> Any:
    """The hidden states that a layer gives."""
    return out[0] if isinstance(out, tuple) else out
