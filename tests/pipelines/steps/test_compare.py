"""Two evaluation runs are compared on the rows that each wrote, and by the query that docs/data.md shows."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from pipelines.errors import DataError
from pipelines.evaluation.report import render
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run, RunLog
from pipelines.steps.compare import comparison, read_evaluation
from schemas import tables as stored
from tests.root import ROOT
from tests.sample import pipeline

ROWS = 300


@pytest.fixture(scope="module")
def evaluated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Three runs over one interval, side by side in the tables; the last one has predicted one row less."""

    def edit(content: dict[str, Any]) -> None:
        content["evaluate"] = {"replicates": 20}

    config = pipeline(tmp_path_factory.mktemp("compare"), "compared", edit)
    interval = config.interval.located(config.timezone)
    random = np.random.default_rng(1)
    labels, noise = random.integers(0, 2, ROWS), random.random(ROWS)
    for run_id, sure, rows in (("worse", 0.2, ROWS), ("better", 0.6, ROWS), ("fewer", 0.6, ROWS - 1)):
        tables = Lake(spark, "t_compare", run_id)
        context = Context(config, interval, spark, tables, RunLog(tables, interval), Console(quiet=True))
        start, end = context.bounds
        stamp = {"run_id": run_id, "interval_from": start, "interval_to": end, "model_run_id": run_id, "split": "test"}
        scores = sure * labels + (1 - sure) * noise
        predicted = [
            {**stamp, "row_id": n, "label": float(labels[n]), "score": float(scores[n])} for n in range(rows)
        ]  # fmt: skip
        measured = {"threshold": 0.5, "auc": 0.5 + sure / 4}
        metrics: list[dict[str, object]] = [{**stamp, "metric": name, "value": value} for name, value in measured.items()]
        with context.audit("evaluate") as audit:
            own = context.in_interval & (F.col("run_id") == run_id)
            audit.write(stored.PREDICTIONS, tables.frame(stored.PREDICTIONS, predicted), own)
            audit.write_rows(stored.EVALUATION_METRICS, metrics, {**context.whose_interval, "run_id": run_id})
            outputs = audit.publish()
        context.runs.add(
            Run(
                run_id=run_id,
                pipeline="compared",
                job="evaluate",
                status="succeeded",
                fingerprint="f",
                config_hash=run_id,
                code_version="1",
                started_at=start,
                seconds=1.0,
                inputs={"train": run_id},
                outputs=outputs,
            )
        )
    return context


def test_the_second_run_is_compared_with_the_first(evaluated: Context) -> None:
    first, second = (read_evaluation(evaluated, run_id) for run_id in ("worse", "better"))
    assert first.predictions.count() == ROWS
    assert first.metrics["auc"] == pytest.approx(0.55)
    findings = comparison(evaluated, first, second)
    assert "It is better than the model of run worse: its AUC is higher by" in findings.verdict
    metrics, lineage = findings.first
    auc = metrics.rows[0]
    assert (auc[0], auc[1], auc[2], auc[-1]) == ("AUC", "0.5500", "0.6500", "better")
    assert ("config_hash", "worse", "better", "differs") in lineage.rows
    assert ("code_version", "1", "1", "") in lineage.rows
    assert ("run of train", "worse", "better", "differs") in lineage.rows


def test_other_rows_are_not_compared(evaluated: Context) -> None:
    findings = comparison(evaluated, *(read_evaluation(evaluated, run_id) for run_id in ("better", "fewer")))
    assert findings.verdict == "The two runs did not predict the same test rows, so nothing says which model is better."
    assert findings.first[0].rows[0][3:] == ("", "", "")


def test_a_missing_run_is_named(evaluated: Context) -> None:
    with pytest.raises(DataError, match="no successful evaluation has the run id gone; expected one of the table runs"):
        read_evaluation(evaluated, "gone")
    one = read_evaluation(evaluated, "better")
    with pytest.raises(DataError, match="both runs are better; expected two different ones"):
        comparison(evaluated, one, one)
    outputs = {"evaluation_metrics": 1, "predictions": 2}
    row = evaluated.lake.rows(stored.RUNS, {"run_id": "better"})[0]
    evaluated.lake.append_rows(stored.RUNS, [{**row, "run_id": "old", "outputs": json.dumps(outputs)}])
    with pytest.raises(DataError, match="the snapshot of evaluation_metrics that run old published has expired"):
        read_evaluation(evaluated, "old")


def test_the_query_of_the_docs_compares_two_runs(evaluated: Context) -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    [query] = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for shown, run_id in (("20140105t031500_a1b2c3", "worse"), ("20140112t031500_d4e5f6", "better")):
        assert shown in query
        query = query.replace(shown, run_id)
    rows = evaluated.spark.sql(query.replace("evaluation_metrics", evaluated.lake.identifier("evaluation_metrics"))).collect()
    assert [tuple(row) for row in rows] == [("auc", 0.55, 0.65, pytest.approx(0.1)), ("threshold", 0.5, 0.5, 0.0)]


def test_the_page_names_both_runs(evaluated: Context) -> None:
    findings = comparison(evaluated, *(read_evaluation(evaluated, run_id) for run_id in ("worse", "better")))
    html = re.sub("<td [^>]*>", "<td>", render(findings))  # whatever colour a cell has
    assert "<h1>better compared with worse</h1>" in html
    assert "<td>config_hash</td><td>worse</td><td>better</td><td>differs</td>" in html
