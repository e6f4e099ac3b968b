"""Write each user's top items to a Parquet file."""

from interestlab.training.fit import run as run_training
from interestlab.training.lightning_cli import InterestCLI


def run(args: list[str]) -> InterestCLI:
    """Run the command.

    Args:
        args: its options.

    Returns:
        An object with the trainer, model and data that ran.
    """
    return run_training(["predict", *args], description=__doc__)
