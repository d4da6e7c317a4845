"""Compare the clean tables of two pipelines over the same contracts: `python setup/compare.py conf/a.yaml conf/b.yaml`."""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from pipelines.config import Pipeline, read_config
from pipelines.io.lake import CATALOG
from pipelines.runtime.session import spark_session
from schemas import tables

NOT_COMPARED = ("run_id",)


def main() -> int:
    """Print a line a table; return 0 when all are equal, 3 when some are not."""
    first, second = (read_config(Path(path)) for path in sys.argv[1:3])
    differing = 0
    with spark_session(first, "compare") as spark:
        for source in first.sources:
            name = tables.clean(first.contract(source)).name
            ours, theirs = (_rows(spark, config, name) for config in (first, second))
            lost, new = ours.exceptAll(theirs).count(), theirs.exceptAll(ours).count()
            differing += lost + new
            line = (
                f"{ours.count():,} rows, equal"
                if not lost + new
                else f"{lost:,} rows alone in the first, {new:,} in the second"
            )
            print(f"{name}: {line}")
    return 3 if differing else 0


def _rows(spark: SparkSession, config: Pipeline, name: str) -> DataFrame:
    return spark.table(f"{CATALOG}.{config.pipeline}.{name}").drop(*NOT_COMPARED)


if __name__ == "__main__":
    sys.exit(main())
