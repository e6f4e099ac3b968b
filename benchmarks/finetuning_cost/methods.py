"""The fine-tuning methods on both sides, and the pairs that are compared. Imports neither torch nor transformers."""

from typing import Any

FIELD = "item.title"
"""The text that the encoders read."""

FRAMEWORK_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "lora": ("lora", {}),
    "lora, top 2": ("lora", {"layers": 2}),
    "side": ("side", {}),
    "frozen": ("frozen", {}),
}
"""Name of an encoder and its arguments, by method."""
AMORTISED = ", amortised"
"""Ends the name of a method that encodes only a share of a step's titles with gradient (``--model.amortize``)."""
AMORTISED_METHODS = [name + AMORTISED for name in ("full", "lora, top 2")]
PLAIN_METHODS = ("full", "lora", "frozen")
SIDES = [f"plain {name}" for name in PLAIN_METHODS] + [f"ours {name}" for name in [*FRAMEWORK_METHODS, *AMORTISED_METHODS]]

PAIRS: list[tuple[str, str, float | None]] = [
    ("full", "plain full", 3.0),
    ("lora", "plain lora", None),
    ("lora, top 2", "plain lora", 8.0),
    ("side", "plain full", 20.0),
    ("side", "plain frozen", None),
    ("frozen", "plain full", 20.0),
    ("frozen", "plain frozen", None),
    ("full, amortised", "ours full", 8.0),
    ("full, amortised", "plain full", 30.0),
    ("lora, top 2, amortised", "ours lora, top 2", 8.0),
    ("lora, top 2, amortised", "plain lora", 80.0),
]
"""A method of interestlab, the side that it is compared with, and the goal: how many times as fast the first is to be."""
EPOCHS = (1, 10)
"""Numbers of epochs over which the work done once is spread."""


def has_trained_layers(method: str) -> bool:
    """Return whether gradients of the method pass through layers of the text model in interestlab."""
    return method not in ("side", "frozen")
