"""Measure a trained model on the test split; --run_dir DIR repeats the test of a run."""

from interestlab.training.fit import run as run_training
from interestlab.training.lightning_cli import InterestCLI


def run(args: list[str]) -> InterestCLI:
    """Run the command.

    Args:
        args: its options.

    Returns:
        An object with the trainer, model and data that ran.
    """
    return run_training(["test", *args], description=__doc__)
