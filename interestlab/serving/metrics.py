"""What the server counts, for Prometheus. No label contains a user or an item."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from interestlab.serving.messages import Basis, Status

SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
STAGES = ("queue", "load", "step", "commit", "rank")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one server.

    Attributes:
        stage: seconds of each stage: ``queue``, ``load``, ``step``, ``commit``, ``rank``.
        requests: requests by method and status.
        request_seconds: seconds from the first byte of a request to the last of its answer.
        batch_size: events that were followed at once.
        queue: events and calls without an answer.
        events: events by their status; duplicates and late ones are among these.
        lists: lists by their basis; the cold share is that of ``words`` and ``popular``.
        hits: events after a list, by whether it contained their item (the online hit rate).
        index_recall: measured recall of the index against exact search; NaN if nothing was measured.
        model: 1 for the version that is served.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        stage = Histogram("interestlab_stage_seconds", "Seconds by stage", ["stage"], registry=registry, buckets=SECONDS)
        events = Counter("interestlab_events", "Events by status", ["status"], registry=registry)
        lists = Counter("interestlab_lists", "Lists by basis", ["basis"], registry=registry)
        hits = Counter("interestlab_events_after_list", "Events after a list", ["hit"], registry=registry)
        # A dict is looked up faster than the labels of a metric.
        self.stage = {name: stage.labels(name) for name in STAGES}
        self.events = {status: events.labels(status) for status in get_args(Status)}
        self.lists = {basis: lists.labels(basis) for basis in get_args(Basis)}
        self.hits = {is_hit: hits.labels("yes" if is_hit else "no") for is_hit in (True, False)}
        self.requests = Counter("interestlab_requests", "Requests", ["method", "status"], registry=registry)
        self.request_seconds = Histogram(
            "interestlab_request_seconds", "Seconds by request", registry=registry, buckets=SECONDS
        )
        self.batch_size = Histogram("interestlab_batch_events", "Events by batch", registry=registry, buckets=BATCH_SIZES)
        self.queue = Gauge("interestlab_queue", "Events and calls without an answer", registry=registry)
        self.index_recall = Gauge("interestlab_index_recall", "Recall@10 of the index against exact search", registry=registry)
        self.model = Gauge("interestlab_model", "The model that is served", ["version", "index"], registry=registry)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Measure a stage.

        Args:
            stage: its name.
        """
        start = time.perf_counter()
        yield
        self.stage[stage].observe(time.perf_counter() - start)

    def set_model(self, version: str, index: str, recall: float | None) -> None:
        """Note which model is served.

        Args:
            version: its version.
            index: name of its index.
            recall: measured recall of the index; None if nothing was measured.
        """
        self.model.clear()
        self.model.labels(version, index).set(1)
        self.index_recall.set(float("nan") if recall is None else recall)

    def text(self) -> bytes:
        """Return the metrics in the format of Prometheus."""
        return generate_latest(self.registry)
