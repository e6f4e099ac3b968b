"""Show what the searches of a sweep have done and will do, in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from interestlab.sweep.display import Display
from interestlab.sweep.running import Record
from interestlab.sweep.search.study import Study
from interestlab.sweep.search.summary import settings_text
from interestlab.sweep.search.table import count_states
from interestlab.sweep.search.trial import SearchTrial


class SearchDisplay(Display):
    """Progress bars of all searches of a sweep.

    Args:
        studies: the search of each combination.
    """

    def __init__(self, studies: Sequence[Study]) -> None:
        limit = studies[0].search.trials
        total = None if limit is None else limit * len(studies)
        counts = [count_states(study) for study in studies]
        ends = {status: sum(count[status] for count in counts) for status in ("done", "failed", "pruned")}
        super().__init__(total, **ends, title="search")

    def search_ended(self, study: Study, trial: SearchTrial, record: Record) -> None:
        """Show that a trial of a search ended.

        Args:
            study: the search of its combination.
            trial: the trial.
            record: how it ended.
        """
        best, value = study.best(), study.value(trial.number)
        note = f", {trial.metric} {value:.4f} (best {best.value:.4f})" if best and value is not None else ""
        self.ended(trial, record, note)


def print_searches(studies: Sequence[Study]) -> None:
    """Print a line for each search: what it varies, its budget, and what it has done.

    Args:
        studies: the search of each combination.
    """
    search = studies[0].search
    limits = [f"{search.trials} trials"] if search.trials is not None else []
    limits += [f"{search.minutes:g} minutes"] if search.minutes is not None else []
    title = f"search for the best {search.metric}, {' or '.join(limits)} per combination, pruner {search.pruner}"
    table = Table(*studies[0].spec.axes, "options", "so far", "best", title=title)
    for study in studies:
        best = study.best()
        counts = ", ".join(f"{count} {status}" for status, count in count_states(study).items() if count) or "missing"
        chosen = f"{best.value:.4f}: {settings_text(study.settings(best))}" if best else ""
        table.add_row(*study.labels.values(), "\n".join(study.space), counts + " (over)" * study.is_over(), chosen)
    Console().print(table)
