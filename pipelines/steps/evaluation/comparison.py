"""A model against the champion on the same test rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import ChampionGate
from pipelines.config.registry import DEFAULT_METRICS
from pipelines.errors import DataError
from pipelines.features.transform import usable
from pipelines.registry.gate import Comparison
from pipelines.registry.versions import ModelVersion
from pipelines.runtime.context import Context
from pipelines.serving.bundle import Bundle
from pipelines.steps.evaluation.bootstrap import paired_interval
from pipelines.steps.examples import examples
from pipelines.steps.scoring import score_examples, score_features
from pipelines.steps.train import FEATURES, snapshot_tag
from schemas import tables


def compare(
    context: Context, uri: str, champion: ModelVersion, gate: ChampionGate, threshold: float | None = None
) -> Comparison:
    """The paired interval of a model's metric less the champion's, on the interval's labelled test rows, of which both make
    features. Where both take the same fitted features, these are read from their table; else both score raw values anew.
    """
    bundles = Bundle(champion.uri), Bundle(uri)
    metric = gate.metric or DEFAULT_METRICS[context.config.task.kind]
    with _scored(context, *bundles) as (rival, own):
        difference = paired_interval(
            rival,
            own,
            metric,
            task=context.config.task,
            thresholds=(champion.metrics.get("threshold", 0.5), 0.5 if threshold is None else threshold),
            bins=context.config.evaluate.calibration_bins,
            replicates=gate.replicates,
            confidence=gate.level,
        )
    return Comparison(champion.version, metric, difference.estimate, difference.low, difference.high)


@contextmanager
def _scored(context: Context, champion: Bundle, model: Bundle) -> Iterator[tuple[DataFrame, DataFrame]]:
    """The test rows with the scores of each model."""
    if champion.spec.agrees_with(model.spec):
        rows = context.lake.read(FEATURES, snapshot_tag(str(model.manifest["run_id"])))
        tested = rows.where(context.in_interval & (F.col("split") == "test"))
        yield score_features(context, tested, champion.uri), score_features(context, tested, model.uri)
        return
    with examples(context, by="publish") as (rows, *_):
        tested = rows.where((F.col("split") == "test") & F.col("label").isNotNull())
        for bundle in (champion, model):
            tested = usable(tested, bundle.spec).rows
        if not tested.head(1):
            raise DataError(
                "publish: the interval has no labelled test row of which both this model and the champion make features; "
                "expected some to compare them on. Check features.split and the interval."
            )
        yield _scores(context, tested, champion), _scores(context, tested, model)


def _scores(context: Context, rows: DataFrame, bundle: Bundle) -> DataFrame:
    """Test rows with their labels and a model's scores, as the bootstrap takes them."""
    label = "label" if context.config.horizon is None else "labels"
    passed = (tables.ROW_ID, next(column for column in tables.SCORED if column.name == label))
    return score_examples(context, rows.withColumn(label, F.col("label").cast(passed[1].type)), bundle, passed)
