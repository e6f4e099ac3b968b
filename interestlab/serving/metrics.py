"""What the server counts, for Prometheus. No label contains a user or an item."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one server.

    Attributes:
        stage: seconds of each stage: ``queue``, ``load``, ``step``, ``commit``, ``rank``.
        requests: requests by method and status.
        request_seconds: seconds from the first byte of a request to the last of its answer.
        batch_size: events that were followed at once.
        queue: events and calls that wait.
        events: events by what became of them; duplicates and late ones are among these.
        lists: lists by their basis; the cold share is that of ``words`` and ``popular``.
        hits: events after a list: whether it contained their item (the online hit rate).
        index_recall: measured recall of the index against exact search; NaN if nothing was measured.
        model: 1 for the version that is served.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.stage = Histogram("interestlab_stage_seconds", "Seconds by stage", ["stage"], registry=registry, buckets=SECONDS)
        self.requests = Counter("interestlab_requests", "Requests", ["method", "status"], registry=registry)
        self.request_seconds = Histogram(
            "interestlab_request_seconds", "Seconds by request", registry=registry, buckets=SECONDS
        )
        self.batch_size = Histogram("interestlab_batch_events", "Events by batch", registry=registry, buckets=BATCH_SIZES)
        self.queue = Gauge("interestlab_queue", "Events and calls that wait", registry=registry)
        self.events = Counter("interestlab_events", "Events by status", ["status"], registry=registry)
        self.lists = Counter("interestlab_lists", "Lists by basis", ["basis"], registry=registry)
        self.hits = Counter("interestlab_events_after_list", "Events after a list", ["hit"], registry=registry)
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
        self.stage.labels(stage).observe(time.perf_counter() - start)

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
