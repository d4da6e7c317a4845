"""The service's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters, histograms and gauges by the names that dashboards see."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("ringmill_requests", "Requests by route and status.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "ringmill_request_seconds",
            "Seconds from a request's head to its answer.",
            ["route"],
            registry=registry,
            buckets=SECONDS,
        )
        self._batch_rows = Histogram("ringmill_batch_rows", "Rows scored in one call.", registry=registry, buckets=ROWS)
        self._model_seconds = Histogram(
            "ringmill_model_seconds", "Seconds of one call of the model.", registry=registry, buckets=SECONDS
        )
        self._model = Gauge("ringmill_model_info", "The current model.", ["name", "version", "runtime"], registry=registry)
        self._loads = Counter(
            "ringmill_model_loads", "Models that were loaded, or could not be.", ["result"], registry=registry
        )
        self._queue = Gauge("ringmill_queue_rows", "Rows that wait to be scored.", registry=registry)
        self._in_flight = Gauge("ringmill_requests_in_flight", "Requests in work.", registry=registry)
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def watch(self, queue: Callable[[], float], in_flight: Callable[[], float]) -> None:
        """Read these two gauges whenever metrics are asked for."""
        self._queue.set_function(queue)
        self._in_flight.set_function(in_flight)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer by route and status, and its seconds."""
        counters = self._answered.get((route, status))
        if counters is None:  # whose look-up by labels takes longer than the counting
            counters = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._answered[route, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)

    def observe_batch(self, rows: int, seconds: float) -> None:
        """Count one call of the model."""
        self._batch_rows.observe(rows)
        self._model_seconds.observe(seconds)

    def loaded(self, name: str, version: str, runtime: str) -> None:
        """Name the model that is now current."""
        self._model.clear()
        self._model.labels(name, version, runtime).set(1)
        self._loads.labels("succeeded").inc()

    def load_failed(self) -> None:
        """Count a model that could not be loaded."""
        self._loads.labels("failed").inc()

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
