"""``interestlab.load``: load a run folder as a recommender."""

from collections.abc import Sequence
from pathlib import Path

from interestlab.inference.recommender import Recommender
from interestlab.training.open_run import open_run


def load(run: str | Path, checkpoint: str = "best", overrides: Sequence[str] = ()) -> Recommender:
    """Load the model of a finished run, on the CPU, with its data.

    The data is opened with the settings of the run, and every item is encoded once. ``recommender.model`` is the model,
    ``recommender.data`` the data.

    Stability: provisional.

    Args:
        run: folder of the run.
        checkpoint: ``best`` or ``last``.
        overrides: options of the data as on the command line, such as ``--data.source.path=FILE`` if the file has moved.

    Raises:
        DataError: the folder has no finished run, the checkpoint cannot be loaded, or the data differs from the run's.
    """
    return Recommender(*open_run(Path(run), checkpoint, overrides))
