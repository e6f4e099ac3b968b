"""Which package to install when a known plugin or library is absent. Importing this module imports nothing else."""

PLUGINS = {
    "encoders": "adalora adapter behaviour bitfit features frozen full ia3 id image lora peft side",
    "fusion": "attention bottleneck concat film gated transformer",
    "dynamics": "evolution ewma gru lru mamba momentum multi_interest ode time_transformer transformer",
    "objectives": "bpr contrastive fgm forecast gbce interest next_item pgd rdrop sampled_softmax",
    "sources": "amazon files recbole simulated taobao",
}
"""Names of the project's own plugins by kind; ``interestlab-KIND`` is the distribution of each."""

LIBRARIES = {
    "wandb": "interestlab[tracking]",
    "tensorboard": "interestlab[tracking]",
    "matplotlib": "interestlab[report]",
    "jinja2": "interestlab[report]",
    "plotly": "interestlab[report]",
    "sklearn": "interestlab[drift]",
    "ot": "interestlab[drift]",
    "ruptures": "interestlab[drift]",
    "river": "interestlab[drift]",
    "ray": "interestlab[ray]",
    "transformers": "interestlab-encoders",
    "peft": "interestlab-encoders",
    "tokenizers": "interestlab-encoders",
    "safetensors": "interestlab-encoders",
    "huggingface_hub": "interestlab-encoders",
    "PIL": "interestlab-encoders[image]",
    "orjson": "interestlab-sources",
}
"""Module of an optional library -> the requirement that brings it."""


def distribution_of(kind: str, name: str) -> str | None:
    """Return the distribution that brings a plugin of the project.

    Args:
        kind: such as ``encoders``.
        name: of the plugin.

    Returns:
        the name of the distribution, or None if the project has no such plugin.
    """
    return f"interestlab-{kind}" if name in PLUGINS.get(kind, "").split() else None


def library_hint(err: BaseException) -> str:
    """Return how to install the library whose absence an error reports.

    Args:
        err: the error of an import, or one raised from it.

    Returns:
        a command that continues a sentence, or an empty string if no known library is absent.
    """
    seen: BaseException | None = err
    while seen is not None and not isinstance(seen, ModuleNotFoundError):
        seen = seen.__cause__
    module = str(seen.name).partition(".")[0] if isinstance(seen, ModuleNotFoundError) else ""
    return f"; install it: pip install '{LIBRARIES[module]}'" if module in LIBRARIES else ""
