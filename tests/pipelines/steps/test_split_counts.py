"""What is counted of each split, and that train and features both refuse splits on which no metric can be computed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from pipelines.config import Pipeline
from pipelines.errors import DataError
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.split_counts import SplitFacts, check_labels, count_splits
from pipelines.steps.train import prepare
from schemas import tables
from schemas.contract import Column
from tests.pipelines.conftest import Run
from tests.sample import pipeline

AT = "scheduled_departure"


def numbers(**task: Any) -> Any:
    """Edits the configuration to have a regression, with a horizon where one is given."""
    horizon = task.pop("horizon", None)

    def edit(content: dict[str, Any]) -> None:
        content.update(task={"kind": "regression", **task}, evaluate={}, search=None)
        if horizon:
            windows = {"by": ["origin"], "at": AT, "step_minutes": 60, "label": "temp", "horizon": horizon}
            content["features"]["windows"] = windows

    return edit


def counted(spark: SparkSession, config: Pipeline, labels: dict[str, list[Any]]) -> dict[str, SplitFacts]:
    """Count examples of given labels, an hour apart from 2013-05-01 on."""
    rows = [(split, label) for split, given in labels.items() for label in given]
    data = [(split, label, datetime(2013, 5, 1, hour, tzinfo=UTC)) for hour, (split, label) in enumerate(rows)]
    kind = "array<double>" if config.horizon else "double"
    return count_splits(config, spark.createDataFrame(data, f"split string, label {kind}, {AT} timestamp"))


def test_rows_are_counted_by_split_and_class_with_their_span(spark: SparkSession, tmp_path: Path) -> None:
    config = pipeline(tmp_path, "counted")
    facts = counted(spark, config, {"train": [0.0, 1.0, 1.0, None], "test": [1.0, 2.0, 0.5, float("nan")], "odd": [0.0]})
    assert {name: (of.counts.rows, of.counts.unlabelled, dict(of.counts.classes), of.wrong) for name, of in facts.items()} == {
        "train": (3, 1, {0: 1, 1: 2}, 0),
        "test": (4, 0, {1: 1}, 3),
        "odd": (1, 0, {0: 1}, 0),
    }
    first, last = facts["train"].counts.first, facts["train"].counts.last
    assert (str(first), str(last)) == ("2013-04-30 20:00:00-04:00", "2013-04-30 22:00:00-04:00")  # in New York


@pytest.mark.parametrize("horizon", [None, 2])
def test_moments_are_of_log1p_and_bounds_in_the_labels_unit(spark: SparkSession, tmp_path: Path, horizon: int | None) -> None:
    config = pipeline(tmp_path, "logged", numbers(transform="log1p", horizon=horizon))
    values = np.array([0.1, 3.0, 40.0, 7.5])
    given = [[value, 2 * value] for value in values] if horizon else values
    facts = counted(spark, config, {"train": [*np.asarray(given).tolist(), None], "test": np.asarray(given).tolist()[:1]})
    labels = facts["train"].labels
    assert labels is not None
    assert (labels.mean, labels.deviation) == pytest.approx((np.log1p(values).mean(), np.log1p(values).std()), rel=1e-12)
    assert (labels.minimum, labels.maximum) == (float(np.float32(0.1)), 80 if horizon else 40)
    assert facts["test"].counts.deviation == 0
    check_labels(config, facts)


@pytest.mark.parametrize(
    ("horizon", "column", "labels"),
    [
        (None, "label", {"train": [1.0, -1.0, -1 + 1e-9, -0.999], "test": [-7.5, None]}),
        (2, "temp", {"train": [[1.0, -1.0], [-0.999, 0.0], [-2.0, -7.5]], "test": [[0.0, -1 + 1e-9]]}),
    ],
)
def test_labels_without_a_logarithm_are_refused_by_column(
    spark: SparkSession, tmp_path: Path, horizon: int | None, column: str, labels: dict[str, list[Any]]
) -> None:
    config = pipeline(tmp_path, "negative", numbers(transform="log1p", horizon=horizon))
    expected = rf"task\.transform: log1p of the column {column}, which is at or below -1 .* in 3 rows, down to -7\.5; expected"
    with pytest.raises(DataError, match=expected) as caught:
        check_labels(config, counted(spark, config, labels))
    assert caught.value.exit_code == 3
    plain = pipeline(tmp_path, "negative", numbers(horizon=horizon))
    check_labels(plain, counted(spark, plain, labels))


@pytest.mark.slow
def test_features_refuse_one_class_before_anything_is_written(cleaned: Run) -> None:
    before = cleaned().lake.snapshot_id("features")
    expected = (
        r"features: the train and the validation and the test split has rows of one class only, .* Received: train "
        r"[\d,]+ rows \(on time: [\d,]+, from 2013-01-01 .* to 2013-09-30 .*\); validation .*Move features\.split\.val"
    )
    with pytest.raises(DataError, match=expected):
        cleaned(FEATURES, config=lambda content: content["features"]["parameters"].update(late_minutes=100_000))
    assert cleaned().lake.snapshot_id("features") == before


@pytest.mark.slow
def test_train_refuses_a_table_whose_validation_has_one_class(run: Run) -> None:
    context = run()
    start, end = context.bounds
    table = tables.features((Column(AT, "timestamp"),), {"x": "float"}, "float", ())
    stamp: dict[str, Any] = {"run_id": context.run_id, "interval_from": start, "interval_to": end, AT: start, "x": 1.0}
    labels = {"train": [0.0, 1.0], "validation": [1.0, 1.0], "test": [0.0, 1.0]}
    rows = [
        {"row_id": at, "split": split, "label": of, **stamp} for split, given in labels.items() for at, of in enumerate(given)
    ]
    with context.audit("features") as audit:
        audit.write(table, context.lake.frame(table, rows), context.in_interval)
        audit.publish()
    with pytest.raises(
        DataError, match=r"train: the validation split has rows of one class only, .*validation 2 rows \(late: 2"
    ):
        prepare(context)
