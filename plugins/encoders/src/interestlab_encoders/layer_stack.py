"""A text model as a stack of layers that can be split between any two of them."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from interestlab.batch import Inputs


class LayerStack:
    """The layers of a text model, lowest first, and operations on some of them.

    The layers are found by tracing the model on two tokens. This works for all BERT-like and GPT-like models whose layers
    pass hidden states ``[U, L, D]`` to the next one.

    Args:
        model: the model itself, not a wrapper.

    Attributes:
        layers: the layers; empty if they do not form a sequence (ALBERT runs one layer repeatedly).
        top: modules that run after the last layer, such as a final norm.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._path, self._returns_tuples = "", False
        self.layers: list[nn.Module] = []
        self.top: list[nn.Module] = []
        for name, module in model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == getattr(model.config, "num_hidden_layers", None):
                self._trace(name, list(module))
                if self.layers:
                    break

    def _trace(self, path: str, layers: list[nn.Module]) -> None:
        """Run the model and set the attributes if ``layers`` form a sequence."""
        calls: list[tuple[nn.Module, Any, Any]] = []

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            calls.append((module, _input_states(args, kwargs), out))

        hooks = [
            module.register_forward_hook(record, with_kwargs=True)
            for module in self.model.modules()
            if module in layers or not list(module.children())
        ]
        training = self.model.training
        with torch.no_grad():
            self.model.eval()(input_ids=torch.tensor([[0, 1]], device=self.model.device))
        self.model.train(training)
        for hook in hooks:
            hook.remove()
        layer_calls = [i for i, (module, *_) in enumerate(calls) if module in layers]
        if [calls[i][0] for i in layer_calls] != layers:
            return
        if any(_output_states(calls[i][2]) is not calls[j][1] for i, j in pairwise(layer_calls)):
            return
        self._path, self.layers, self._returns_tuples = path, layers, isinstance(calls[layer_calls[-1]][2], tuple)
        self.top = [module for module, *_ in calls[layer_calls[-1] + 1 :]]

    def top_layers(self, layers: int | str) -> list[nn.Module]:
        """Select the top layers.

        Args:
            layers: number of layers, or ``all``.

        Returns:
            the layers, lowest first.

        Raises:
            ValueError: the model has fewer layers, or they do not form a sequence.
        """
        count = len(self.layers)
        model_type = self.model.config.model_type
        if not count:
            raise ValueError(f"the layers of a '{model_type}' model do not form a sequence, so layers cannot be selected")
        selected = count if layers == "all" else int(layers)
        if not 1 <= selected <= count:
            raise ValueError(f"layers={layers}: this '{model_type}' model has {count}; use 1 to {count}, or all")
        return self.layers[count - selected :]

    def module_names(self, modules: list[nn.Module]) -> list[str]:
        """Return the full names of modules of the model.

        Args:
            modules: some modules.

        Returns:
            their names, in the order of the model.
        """
        return [name for name, module in self.model.named_modules() if any(module is m for m in modules)]

    def count_constant_layers(self, changeable: Iterable[nn.Parameter]) -> int:
        """Count the lowest layers whose output does not depend on any of some parameters.

        Args:
            changeable: parameters of the model or of a wrapper.

        Returns:
            number of layers below the lowest of these parameters.
        """
        depth = {id(p): len(self.layers) for module in self.top for p in module.parameters()}
        # From the top down, so that a parameter shared by several layers gets the depth of the lowest one.
        depth |= {id(p): i for i, layer in reversed(list(enumerate(self.layers))) for p in layer.parameters()}
        return min((depth.get(id(p), 0) for p in changeable), default=len(self.layers))

    def set_eval_below(self, depth: int) -> None:
        """Disable dropout in the lowest layers and in everything that runs before them.

        Args:
            depth: number of lowest layers in evaluation mode; all modules above are in training mode. 0 has no effect.
        """
        if depth:
            self.model.eval()
            for module in [*self.layers[depth:], *self.top]:
                module.train()

    def hidden_states(self, inputs: Inputs, depth: int) -> list[Tensor]:
        """Run the lowest layers only.

        Args:
            inputs: token ids ``[U, L]`` and their lengths.
            depth: number of layers to run.

        Returns:
            ``depth + 1`` hidden states ``[U, L, D]``: before the first layer and after each layer.
        """
        states: list[Tensor] = []

        def recording(layer: nn.Module) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                if not states:
                    states.append(_input_states(args, kwargs))
                out = layer.forward(*args, **kwargs)
                states.append(_output_states(out))
                return out

            return forward

        forwards = [recording(layer) for layer in self.layers[:depth]]
        forwards += [self._skip] * (len(self.layers) - depth)
        last_hidden_state(self._with_forwards(forwards, depth), inputs.values.long(), inputs)
        return states

    def run_from(self, inputs: Inputs, depth: int) -> Tensor:
        """Run the layers above a depth.

        Args:
            inputs: hidden states ``[U, L, D]`` after the lowest ``depth`` layers, and their lengths.
            depth: number of layers to skip, at least 1.

        Returns:
            ``[U, L, D]``, the last hidden state of the model.
        """
        states = inputs.values
        # The model embeds these tokens and derives masks and positions from their shape; the first layer discards the result.
        tokens = torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)
        forwards: list[Callable[..., Any]] = [lambda *_, **__: self._skip(states)] + [self._skip] * (depth - 1)
        return last_hidden_state(self._with_forwards(forwards, 0), tokens, inputs)

    def _skip(self, *args: Any, **kwargs: Any) -> Any:
        """Replace the forward of a layer: return the input states."""
        states = _input_states(args, kwargs)
        return (states,) if self._returns_tuples else states

    def _with_forwards(self, forwards: list[Callable[..., Any]], depth: int) -> nn.Module:
        """Copy the model with other forwards of its lowest layers; the lowest ``depth`` of them still run the layer.

        Only the modules on the path to the layers are copied, and all weights are shared.
        """
        top = node = _shallow_copy(self.model)
        for name in self._path.split("."):
            child = _shallow_copy(node.get_submodule(name))
            node._modules = {**node._modules, name: child}
            node = child
        layers = dict(node._modules)
        for number, (key, forward) in enumerate(zip(list(layers), forwards, strict=False)):
            layers[key] = layer = _shallow_copy(node.get_submodule(key))
            layer.forward = forward
            if number >= depth:  # the layer does not run, so hooks, such as those that gather sharded weights, must not either
                layer._forward_pre_hooks = layer._forward_hooks = OrderedDict()
        node._modules = layers
        return top


def _shallow_copy(module: nn.Module) -> nn.Module:
    """Copy a module that shares all attributes; ``copy.copy`` would rebuild a sharded module."""
    twin: nn.Module = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    return twin


def last_hidden_state(model: nn.Module, tokens: Tensor, inputs: Inputs) -> Tensor:
    """Run a text model.

    Args:
        model: a model of transformers, or a PEFT wrapper.
        tokens: ``[U, L]`` int64 token ids.
        inputs: its lengths determine the attention mask.

    Returns:
        ``[U, L, D]``.
    """
    hidden = model(input_ids=tokens, attention_mask=inputs.mask.long(), return_dict=True).last_hidden_state
    return hidden[:, hidden.shape[1] - tokens.shape[1] :]  # prompt tuning inserts tokens before the text


def _input_states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the hidden states among the arguments of a layer."""
    return args[0] if args else kwargs.get("hidden_states")


def _output_states(out: Any) -> Any:
    """Return the hidden states in the output of a layer."""
    return out[0] if isinstance(out, tuple) else out
