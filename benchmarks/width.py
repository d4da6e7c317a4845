"""How long planning takes as contracts and features get wide, and whether all steps pass: seconds by number of columns.

`python benchmarks/width.py` writes CSV files of 200, 1,000 and 2,000 numbers a row, with a contract and a numeric feature for
each number. First it plans clean and features (from the frames' expressions to Spark's physical plan, over no row); then it
runs the steps from ingest to train over 10,000 rows. Planning should grow in proportion to the columns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from benchmarks.results import grid, store
from pipelines.cleaning.rows import split_validated, validate_rows
from pipelines.config import LakeConfig, Pipeline
from pipelines.features.fitted import FittedNumeric, FittedSpec
from pipelines.features.transform import transform
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.log_handler import begin_log, job_console
from pipelines.runtime.runs import RunLog, new_run_id
from pipelines.runtime.session import spark_session
from pipelines.runtime.step import Step
from pipelines.runtime.width import plan_for
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.train import STEP as TRAIN
from schemas import tables as stored
from schemas.contract import Column, Table

SOURCES: dict[str, Table] = {}
EXAMPLES = Table("examples", (Column("id", "string"),))
SPLITS = ("train", "train", "train", "validation", "test")
BOUNDS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
STEPS = (INGEST, CLEAN, FEATURES, TRAIN)


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, nargs="*", default=[200, 1000, 2000])
    parser.add_argument("--rows", type=int, default=10_000, help="rows that the steps run over; 0 to plan alone")
    parser.add_argument("--steps", nargs="*", default=[step.name for step in STEPS])
    arguments = parser.parse_args()
    # The configuration names contracts and a derivation by their module, which is not called __main__.
    sys.modules["benchmarks.width"] = sys.modules[__name__]
    steps = [step for step in STEPS if step.name in arguments.steps and arguments.rows]
    table = grid(f"{arguments.rows:,} rows", "columns", "plan clean, s", "plan features, s", *(f"{s.name}, s" for s in steps))
    figures = []
    begin_log("width", json_lines=False)
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        config = configured(Path(folder), arguments.columns[0], arguments.rows)
        with spark_session(config, "width") as spark:
            planned(spark, 10)  # what is loaded once counts for no width
            for columns in arguments.columns:
                plan_for(spark, columns)
                seconds = {**planned(spark, columns), **run(spark, Path(folder), columns, arguments.rows, steps)}
                figures.append({"columns": columns, **seconds})
                table.add_row(f"{columns:,}", *(f"{duration:.1f}" for duration in seconds.values()))
                Console(width=110).print(table)
    store("width", {"rows": arguments.rows, "figures": figures})


def names(columns: int) -> list[str]:
    """What the numbers are called."""
    return [f"n{at}" for at in range(columns)]


def declare(columns: int) -> Table:
    """Declare the contracts of so many numbers; return the source's."""
    numbers = tuple(Column(name, "double", minimum=-10, maximum=10) for name in names(columns))
    key_columns = (Column("id", "string", nullable=False), Column("part", "string"), Column("label", "float"))
    SOURCES["s"] = Table("s", (*key_columns, *numbers), key=("id",))
    globals()["EXAMPLES"] = Table("examples", SOURCES["s"].columns, key=("id",))
    return SOURCES["s"]


def derive(tables: dict[str, DataFrame], _: dict[str, object]) -> DataFrame:
    """Return the rows of the one source unchanged, as the examples."""
    return tables["s"]


def planned(spark: SparkSession, columns: int) -> dict[str, float]:
    """Seconds of planning the validation of rows, and the transformation of their features."""
    contract = declare(columns)
    schema = ", ".join(f"{column.name} {column.type}" for column in stored.raw(contract).columns)
    examples = ", ".join(f"{name} double" for name in names(columns))
    scaling = {"fill": 0.5, "clip": None, "log1p": False, "offset": 0.1, "scale": 2.0}
    spec = FittedSpec(features=tuple(FittedNumeric(name=name, **scaling) for name in names(columns)))
    raw, rows = spark.createDataFrame([], schema), spark.createDataFrame([], f"row_id bigint, {examples}")
    seconds: dict[str, float] = {}
    with _timed(seconds, "plan clean"):
        _plan(split_validated(validate_rows(raw, contract, *BOUNDS), contract).clean)
    with _timed(seconds, "plan features"):
        _plan(transform(rows, spec, ("row_id",)).rows)
    return seconds


def run(spark: SparkSession, folder: Path, columns: int, rows: int, steps: list[Step]) -> dict[str, float]:
    """Run the steps in turn over a new folder; return the seconds of each, by its name."""
    declare(columns)
    config = configured(folder, columns, rows)
    of_run = Lake(spark, config.pipeline, new_run_id())
    interval = config.interval.located(config.timezone)
    context = Context(config, interval, spark, of_run, RunLog(of_run, interval), job_console())
    seconds: dict[str, float] = {}
    for step in steps:
        with _timed(seconds, step.name):
            execute(step, context, force=True)
    return seconds


def configured(folder: Path, columns: int, rows: int) -> Pipeline:
    """Write so many rows of so many numbers; the pipeline over them."""
    path = folder / f"{columns}.csv"
    if rows:
        _write(path, columns, rows)
    return Pipeline.model_validate(
        {
            "pipeline": f"width_{columns}",
            "interval": {"from": BOUNDS[0], "to": BOUNDS[1]},
            "lake": LakeConfig(warehouse=str(folder / "warehouse")),
            "packages": ["benchmarks"],
            "contracts": "benchmarks.width",
            "sources": {"s": {"kind": "csv", "path": str(path)}},
            "features": {
                "rows_of": "s",
                "derive": "benchmarks.width:derive",
                "split": {"by": "column", "column": "part"},
                "numeric": {name: {} for name in names(columns)},
            },
            "train": {"ranks": 2, "epochs": 2, "batch_size": 256, "network": {"hidden": [16]}},
        }
    )


def _write(path: Path, columns: int, rows: int) -> None:
    values = np.random.default_rng(1).normal(size=(rows, columns)).clip(-9, 9).round(4)
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(["id", "part", "label", *names(columns)]) + "\n")
        for at, row in enumerate(values):
            numbers = ",".join(map(str, row.tolist()))
            file.write(f"{at},{SPLITS[at % len(SPLITS)]},{int(row[0] > 0)},{numbers}\n")


def _plan(frame: DataFrame) -> None:
    frame._jdf.queryExecution().executedPlan()


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


if __name__ == "__main__":
    main()
