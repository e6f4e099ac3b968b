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
PLAIN_METHODS = ("full", "lora", "frozen")
SIDES = [f"plain {name}" for name in PLAIN_METHODS] + [f"ours {name}" for name in FRAMEWORK_METHODS]

PAIRS: list[tuple[str, str, float | None]] = [
    ("full", "full", 3.0),
    ("lora", "lora", None),
    ("lora, top 2", "lora", 8.0),
    ("side", "full", 20.0),
    ("side", "frozen", None),
    ("frozen", "full", 20.0),
    ("frozen", "frozen", None),
]
"""A method of interestlab, one of the plain loop, and the goal: how many times as fast the first is to be."""
EPOCHS = (1, 10)
"""Numbers of epochs over which the work done once is spread."""


def has_trained_layers(method: str) -> bool:
    """Return whether gradients of the method pass through layers of the text model in interestlab."""
    return method not in ("side", "frozen")
