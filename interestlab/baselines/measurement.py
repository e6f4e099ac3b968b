"""Measure baselines on the validation or test split, with the cost of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from interestlab.baselines.baseline import Baseline
from interestlab.baselines.cooccurrence import Cooccurrence, CooccurrenceSettings
from interestlab.baselines.ease import Ease, EaseSettings
from interestlab.baselines.popularity import Popularity
from interestlab.data.datamodule import InterestData
from interestlab.data.event_store import EventStore
from interestlab.data.split import SplitName
from interestlab.metrics import MetricSummary, TargetRankMetric, summarise

console = Console(stderr=True)


def build_test_baselines(log: EventStore, num_added: int = 0) -> list[Baseline]:
    """Build the baselines that every test of a model measures too; they take a small share of its time.

    Args:
        log: the event store.
        num_added: number of ranked items that are not in the log.
    """
    baselines: list[Baseline] = [Popularity(log.counts), Cooccurrence(log)]
    for baseline in baselines:
        baseline.num_added = num_added
    return baselines


TEST_BASELINES = (Popularity.name, Cooccurrence.name)
"""Names of :func:`build_test_baselines`."""


@dataclass(frozen=True)
class Measurement:
    """A measured baseline.

    Attributes:
        summary: its metrics.
        build_seconds: time to compute the baseline from the log.
        rank_seconds: time to rank the targets of all users.
        num_bytes: size of the arrays that it scores with.
    """

    summary: MetricSummary
    build_seconds: float
    rank_seconds: float
    num_bytes: int


def measure(
    data: InterestData, split: SplitName, ks: Sequence[int], cooccurrence: CooccurrenceSettings, ease: EaseSettings
) -> Iterator[tuple[str, Measurement | str]]:
    """Measure every baseline.

    Args:
        data: the log.
        split: ``validation`` or ``test``.
        ks: cut-offs of the metrics.
        cooccurrence: settings of the co-occurrence counts.
        ease: settings of EASE.

    Yields:
        Name of the baseline, and its measurement, or the reason why it was skipped.
    """
    log = data.log
    yield Popularity.name, measure_one(data, split, ks, Popularity.name, lambda: Popularity(log.counts))
    yield Cooccurrence.name, measure_one(data, split, ks, Cooccurrence.name, lambda: Cooccurrence(log, cooccurrence))
    reason = ease.reason_to_skip(log.meta["items"])
    yield Ease.name, reason or measure_one(data, split, ks, Ease.name, lambda: Ease(log, ease))


def measure_one(
    data: InterestData, split: SplitName, ks: Sequence[int], name: str, build: Callable[[], Baseline]
) -> Measurement:
    """Build a baseline, and rank the target of each user.

    Args:
        data: the log.
        split: ``validation`` or ``test``.
        ks: cut-offs of the metrics.
        name: name of the baseline, for the progress.
        build: returns the baseline.
    """
    loader = data.loader(split)
    start = time.perf_counter()
    with console.status(f"computing {name}"):
        baseline = build()
        baseline.num_added = data.num_added
    built = time.perf_counter()
    batches = track(loader, f"ranking by {name}", console=console, transient=True)
    ranks = TargetRankMetric()
    for batch in batches:
        ranks.update(baseline.rank_targets(batch))
    ranked = time.perf_counter()
    summary = summarise(ranks.gather(), ks, data.log.counts)
    return Measurement(summary, built - start, ranked - built, baseline.num_bytes)
