"""A model against the champion on the same test rows."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import ChampionGate
from pipelines.config.registry import DEFAULT_METRICS
from pipelines.errors import DataError
from pipelines.flows.bootstrap import paired_interval
from pipelines.flows.context import Context
from pipelines.flows.examples import examples
from pipelines.flows.scoring import score_examples
from pipelines.registry.gate import Comparison
from pipelines.registry.versions import ModelVersion
from pipelines.serving.bundle import Bundle
from pipelines.stages.feature_transform import usable
from schemas import lake


def compare(
    context: Context, uri: str, champion: ModelVersion, gate: ChampionGate, threshold: float | None = None
) -> Comparison:
    """The paired interval of a model's metric less the champion's, on the interval's labelled test rows, of which both make
    features. Both score them anew from raw values, since their features may have been fitted on other rows.
    """
    bundles = Bundle(champion.uri), Bundle(uri)
    metric = gate.metric or DEFAULT_METRICS[context.config.task.kind]
    with examples(context, []) as (rows, *_):
        tested = rows.where((F.col("split") == "test") & F.col("label").isNotNull())
        for bundle in bundles:
            tested = usable(tested, bundle.spec).rows
        if not tested.head(1):
            raise DataError(
                f"publish: the interval has no labelled test row of which both this model and version {champion.version} make "
                f"features; expected some to compare them on. Check features.split and the interval."
            )
        own, rival = (_scores(context, tested, bundle) for bundle in reversed(bundles))
        found = paired_interval(
            rival,
            own,
            metric,
            task=context.config.task,
            thresholds=(champion.metrics.get("threshold", 0.5), 0.5 if threshold is None else threshold),
            bins=context.config.evaluate.calibration_bins,
            replicates=gate.replicates,
            confidence=gate.level,
        )
    return Comparison(champion.version, metric, found.estimate, found.low, found.high)


def _scores(context: Context, rows: DataFrame, bundle: Bundle) -> DataFrame:
    """Test rows with their labels and a model's scores, as the bootstrap takes them."""
    label = "label" if context.config.horizon is None else "labels"
    kept = (lake.ROW_ID, next(column for column in lake.SCORED if column.name == label))
    return score_examples(context, rows.withColumn(label, F.col("label").cast(kept[1].type)), bundle, kept)
