"""Run pipeline B, undisturbed; then say what its tables and those of A differ by, and what runs left in the catalog.

`spark-submit tests/chaos/tables.py A.yaml B.yaml` starts Java once for both, and prints one JSON object. Rows are compared as
they are, runs, times, places in files and hosts aside. Of tables that keep the rows of every run those of the last training
and evaluation are compared. The tables runs, run_events and models say what happened and when, and differ.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Pipeline, read_config
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import CATALOG, Lake
from pipelines.runtime.session import spark_session
from pipelines.steps.jobs import run

OF_A_RUN = {
    *("run_id", "model_run_id", "reference_run_id", "source_file", "source_block", "source_row", "provenance"),
    *("seconds", "rows_per_second", "host", "feed_seconds", "compute_seconds", "wait_seconds"),
}
BY_RUN = {
    **dict.fromkeys(("training_history", "feed_receipts"), "train"),
    **dict.fromkeys(
        ("predictions", "evaluation_metrics", "model_differences", "slice_metrics", "feature_importance"), "evaluate"
    ),
}
HISTORY = {"runs", "run_events", "models"}
AT_ONCE = 4  # tables that are compared


def main() -> int:
    """Print the differences, one object; how they are judged is the caller's. The exit code is that of the pipeline."""
    if code := run("pipeline", ["--config", sys.argv[2], "--log-format", "json"]):
        return code
    first, second = (read_config(Path(path)) for path in sys.argv[1:3])
    with spark_session(first, "compare") as spark:
        names = [set(Lake(spark, config.pipeline, "compare").tables()) for config in (first, second)]
        compared = sorted((names[0] & names[1]) - HISTORY)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            differences = dict(zip(compared, pool.map(partial(differing, spark, first, second), compared), strict=True))
        result = {
            "rows": {name: counts.ours for name, counts in differences.items()},
            "differences": {name: counts[1:] for name, counts in differences.items() if counts.only_ours or counts.only_theirs},
            "missing": sorted((names[0] ^ names[1]) - HISTORY),
            "branches": branches(spark, first, names[0]),
            "champion": champion(spark, first),
        }
    print(f"RESULT {json.dumps(result)}", flush=True)
    return 0


class Counts(NamedTuple):
    """Rows of a table in the first pipeline, and how many are there alone, or in the second alone."""

    ours: int
    only_ours: int
    only_theirs: int


def differing(spark: SparkSession, first: Pipeline, second: Pipeline, name: str) -> Counts:
    """Compare a table of both pipelines."""
    return compared_rows(*(rows(spark, config, name).toArrow()["row"].to_pylist() for config in (first, second)))


def compared_rows(first: Iterable[str], second: Iterable[str]) -> Counts:
    """Compare two tables' rows as text: each row, as often as it is there."""
    ours, theirs = Counter(first), Counter(second)
    return Counts(ours.total(), (ours - theirs).total(), (theirs - ours).total())


def rows(spark: SparkSession, config: Pipeline, name: str) -> DataFrame:
    """A table's rows as text."""
    frame = spark.table(f"{CATALOG}.{config.pipeline}.{name}")
    if name in BY_RUN:
        frame = frame.where(F.col("run_id") == last_run(spark, config.pipeline, BY_RUN[name]))
    if name == "feed_receipts":  # an epoch that was interrupted has a receipt for each of its parts
        frame = frame.groupBy("epoch", "rank").agg(F.sum("rows").alias("rows"))
    if name == "model_differences":
        frame = frame.where(~F.col("baseline").startswith("champion"))  # which one that was is history
    kept = [column for column in frame.columns if column not in OF_A_RUN]
    return frame.select(F.to_json(F.struct(*kept)).alias("row"))


@cache
def last_run(spark: SparkSession, pipeline: str, job: str) -> str:
    """The last successful run of a job."""
    runs = spark.table(f"{CATALOG}.{pipeline}.runs").where(f"job = '{job}' AND status = 'succeeded'")
    return str(runs.orderBy(F.desc("started_at")).first()["run_id"])  # type: ignore[index]


def branches(spark: SparkSession, config: Pipeline, tables: set[str]) -> list[str]:
    """Branches other than main, with their tables."""
    identifiers = {table: f"{CATALOG}.{config.pipeline}.{table}" for table in sorted(tables)}
    references = {table: IcebergTable(spark, identifier).references() for table, identifier in identifiers.items()}
    return [f"{table} {name}" for table, names in references.items() for name in names if name.startswith("audit_")]


def champion(spark: SparkSession, config: Pipeline) -> bool:
    """Whether the champion is the model of the last evaluation, and the only one."""
    models = spark.table(f"{CATALOG}.{config.pipeline}.models").where("valid_to IS NULL AND alias = 'champion'")
    return [row.evaluate_run_id for row in models.collect()] == [last_run(spark, config.pipeline, "evaluate")]


if __name__ == "__main__":
    sys.exit(main())
