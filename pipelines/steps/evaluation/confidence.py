"""How sure the test split's metrics are: intervals of the model, of what it differs by from each baseline, and of slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import Pipeline
from pipelines.errors import DataError
from pipelines.evaluation.bootstrap import ConfidenceInterval, Replicates, confidence_interval, paired_difference
from pipelines.expressions import col, cols
from pipelines.features.fitted import FittedSpec
from pipelines.steps.evaluation.bootstrap import replicate_metrics
from pipelines.steps.evaluation.predictions import baseline_predictions

MODEL = "model"
SLICE = "slice"
Intervals = Mapping[str, ConfidenceInterval]


class SliceMetrics(NamedTuple):
    """The metrics of the test rows that share the values of some features."""

    features: tuple[str, ...]
    values: tuple[str, ...]
    rows: int
    intervals: Intervals


class Suppressed(NamedTuple):
    """How many groups of a slice had too few rows to be shown, and how many rows these were."""

    features: tuple[str, ...]
    groups: int
    rows: int


@dataclass(frozen=True)
class Confidence:
    """Intervals of the model's metrics and of each baseline's, of the model's less each baseline's, and of slices."""

    model: Intervals
    baselines: Mapping[str, Intervals]
    differences: Mapping[str, Intervals]
    slices: Sequence[SliceMetrics]
    suppressed: Sequence[Suppressed]


def confidence(
    config: Pipeline,
    spec: FittedSpec | None,
    predictions: DataFrame,
    features: DataFrame,
    thresholds: Mapping[str, float],
    fitted: Mapping[str, DataFrame],
) -> Confidence:
    """Measure the test rows of a model's predictions and of baselines, by the features table's columns or `fitted` by name.

    `thresholds` has the threshold of the model (as `MODEL`) and of each baseline; `spec` the words of the sliced features.
    """
    test = predictions.where(F.col("split") == "test")
    rows = features.where(F.col("split") == "test")
    declared = {name: baseline_predictions(config, rows, name) for name in config.features.baselines}
    others = {name: frame.where(F.col("split") == "test") for name, frame in fitted.items()}
    models = {MODEL: test, **declared, **others}
    settings = config.evaluate
    replicates = replicate_metrics(
        models,
        task=config.task,
        thresholds=thresholds,
        bins=settings.calibration_bins,
        replicates=settings.replicates,
        slices=_sliced(settings.slices, test, rows),
        least_rows=settings.minimum_slice_rows,
    )
    slices, suppressed = _slices(settings.slices, spec, replicates, settings.confidence)
    of_models = {name: _intervals(replicates[name], settings.confidence) for name in models}
    return Confidence(
        model=of_models.pop(MODEL),
        baselines=of_models,
        differences=_differences(replicates, [name for name in models if name != MODEL], settings.confidence),
        slices=slices,
        suppressed=suppressed,
    )


def _intervals(replicates: Replicates, share: float) -> dict[str, ConfidenceInterval]:
    return {name: confidence_interval(values, share) for name, values in replicates.metrics.items()}


def _differences(replicates: Mapping[str, Replicates], baselines: Sequence[str], share: float) -> dict[str, Intervals]:
    """The model's metrics less each baseline's; a baseline that predicts only some of the rows can't be compared."""
    differences: dict[str, Intervals] = {}
    for name in baselines:
        try:
            metrics = replicates[MODEL].metrics
            differences[name] = {
                metric: paired_difference(replicates[name], replicates[MODEL], metric, share) for metric in metrics
            }
        except DataError:
            continue
    return differences


def _sliced(slices: Sequence[tuple[str, ...]], test: DataFrame, rows: DataFrame) -> DataFrame | None:
    """The predictions once a slice, with a group that names the slice's position and the ids of its features."""
    if not slices:
        return None
    ids = rows.select("row_id", *cols(dict.fromkeys(name for names in slices for name in names)))
    groups = F.array(*(_group(position, names) for position, names in enumerate(slices)))
    return test.join(ids, "row_id").withColumn("group", F.explode(groups))


def _group(position: int, names: Sequence[str]) -> Column:
    return F.concat_ws(":", F.lit(SLICE), F.lit(position), *(col(name).cast("string") for name in names))


def _slices(
    slices: Sequence[tuple[str, ...]], spec: FittedSpec | None, replicates: Mapping[str, Replicates], share: float
) -> tuple[list[SliceMetrics], list[Suppressed]]:
    measured: list[SliceMetrics] = []
    few: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    words = {feature.name: feature.labels for feature in (spec.features if spec else ())}
    for group, of_slice in replicates.items():
        if not group.startswith(f"{SLICE}:"):
            continue
        position, *ids = map(int, group.split(":")[1:])
        names = slices[position]
        if not of_slice.metrics:
            few[names].append(of_slice.rows)
            continue
        values = tuple(words[name][number] for name, number in zip(names, ids, strict=True))
        measured.append(SliceMetrics(names, values, of_slice.rows, _intervals(of_slice, share)))
    order = {names: position for position, names in enumerate(slices)}
    measured.sort(key=lambda one: (order[one.features], -one.rows, one.values))
    return measured, [Suppressed(names, len(rows), sum(rows)) for names, rows in few.items()]
