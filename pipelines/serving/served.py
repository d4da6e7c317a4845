"""A model that is loaded, warmed and ready to answer; it never changes, so that a request sees one model only."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from pipelines.bundles.signature import InputField
from pipelines.errors import BundleError
from pipelines.features.fitted import UNKNOWN_WORD
from pipelines.features.images import BLANK
from pipelines.registry.source import Current
from pipelines.serving.batcher import Batcher, Scores
from pipelines.serving.bundle import Bundle
from pipelines.serving.metrics import Metrics
from pipelines.serving.named import NamedReader
from pipelines.serving.plain import PlainReader
from pipelines.serving.rows import RequestRows, RowSchema
from pipelines.serving.scorers import Scorer
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.tensors import TensorReader, output_names

INLINE_SECONDS = 0.005  # a batch that takes less runs on the event loop: a thread's hand-over costs about as much
WARM_UP_CALLS = 3
FALLBACK_NUMBER = 1.0


class ServedModel:
    """One version of a model, with its schema, its scorer and the queue of its requests."""

    def __init__(self, current: Current, settings: Settings, metrics: Metrics) -> None:
        self.current = current
        self.version, self.uri = current.version, current.uri
        self.bundle = Bundle.open(current.uri)
        self.name = settings.name or str(self.bundle.manifest.get("pipeline") or "model")
        self.schema = RowSchema(self.bundle.input_schema)
        self.output = self.bundle.output_schema
        self.threshold = _threshold(settings, current.threshold, self.output.threshold)
        self._scorer, limits = self.bundle.scorer(), settings.limits
        self.runtime = self._scorer.runtime
        self.batch_seconds = self._warm_up(limits)
        self.inline = self.batch_seconds <= INLINE_SECONDS
        executor = None if self.inline else ThreadPoolExecutor(1, thread_name_prefix="model")
        # Nothing here refers back to this object, so that a replaced model's memory is free once its last request is done.
        compute = partial(_timed_scores, self._scorer, self.schema, metrics)
        self.batcher = Batcher(compute, batch_rows=limits.batch_rows, queue_rows=limits.queue_rows, executor=executor)
        self.named_reader = NamedReader(self.schema, limits.rows)
        self.tensor_reader = TensorReader(self.schema, limits.rows, output_names(self.output))
        self.plain_reader = PlainReader(self.schema, limits.rows)

    def _warm_up(self, limits: Limits) -> float:
        """Score one row and a whole batch a few times; the seconds of the quickest batch."""
        try:
            images = self.bundle.spec.images
            one = self.schema.inputs(filler_rows(self.schema, 1, images))
            many = self.schema.inputs(filler_rows(self.schema, limits.batch_rows, images))
            seconds = []
            for _ in range(WARM_UP_CALLS):
                self._scorer.score(one)
                started = time.perf_counter()
                scores = self._scorer.score(many)
                seconds.append(time.perf_counter() - started)
        except Exception as error:
            raise BundleError(f"model {self.uri}: it can't score ({type(error).__name__}: {error}). Train again.") from error
        expected = (limits.batch_rows,) if self.output.outputs is None else (limits.batch_rows, self.output.outputs)
        if scores.shape != expected:
            raise BundleError(f"model {self.uri}: it gives scores of shape {scores.shape}; expected {expected}. Train again.")
        return min(seconds)


def _timed_scores(scorer: Scorer, schema: RowSchema, metrics: Metrics, rows: RequestRows) -> Scores:
    """Scores of checked rows, computed at once."""
    started = time.perf_counter()
    scores = scorer.score(schema.inputs(rows))
    metrics.observe_batch(rows.count, time.perf_counter() - started)
    return scores


def filler_rows(schema: RowSchema, count: int, images: Collection[str] = ()) -> RequestRows:
    """Rows of the schema's example, or of a number, a blank image and an unknown word where it has none, to warm a model up."""

    def number(field: InputField) -> float:
        return field.example if isinstance(field.example, int | float) else FALLBACK_NUMBER

    def word(field: InputField) -> str:
        return field.example if isinstance(field.example, str) else BLANK if field.name in images else UNKNOWN_WORD

    numbers = np.array([[number(field)] * count for field in schema.numbers], np.float64).reshape(-1, count)
    words = {field.name: [word(field)] * count for field in schema.words}
    series = {field.name: np.full((count, field.length or 0), FALLBACK_NUMBER) for field in schema.series}
    return RequestRows(numbers, words, series)


def _threshold(settings: Settings, *chosen: float | None) -> float:
    """The least probability of the second class: the service's own setting, the first that was chosen, or a half."""
    return next((value for value in (settings.threshold, *chosen) if value is not None), 0.5)
