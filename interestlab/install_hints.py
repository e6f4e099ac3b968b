"""Which package to install when a known plugin or library is absent. Importing this module imports nothing else."""

DISTRIBUTIONS = {
    "encoders": "interestlab-encoders",
    "fusion": "interestlab-fusion",
    "dynamics": "interestlab-dynamics",
    "objectives": "interestlab-objectives",
    "sources": "interestlab-sources",
}
"""Kind of plugin -> the project's own distribution of that kind."""

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
    "optuna": "interestlab[search]",
    "granian": "interestlab[serve]",
    "msgspec": "interestlab[serve]",
    "prometheus_client": "interestlab[serve]",
    "faiss": "interestlab[serve]",
    "transformers": "interestlab-encoders",
    "peft": "interestlab-encoders",
    "tokenizers": "interestlab-encoders",
    "safetensors": "interestlab-encoders",
    "huggingface_hub": "interestlab-encoders",
    "PIL": "interestlab-encoders[image]",
    "orjson": "interestlab-sources",
}
"""Module of an optional library -> the requirement that brings it."""


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
