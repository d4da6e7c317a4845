"""What baselines predict, beside the examples: SQL over their columns."""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import Pipeline
from pipelines.errors import ConfigError
from schemas.contract import ColumnType


def label_type(config: Pipeline) -> ColumnType:
    """The type of the label, and of what baselines predict, in the features table."""
    return "array<float>" if config.horizon else "float"


def baseline_columns(config: Pipeline) -> tuple[str, ...]:
    """The columns of what each baseline predicts."""
    return tuple(f"baseline_{name}" for name in config.features.baselines)


def with_baselines(config: Pipeline, rows: DataFrame) -> DataFrame:
    """Add what each baseline predicts of labelled rows; raises ConfigError for one that is not SQL over the rows' columns."""
    label = label_type(config)
    for name, sql in config.features.baselines.items():
        try:
            # SQL that fails on a row without a label, say with too short a series, fails nothing.
            predicted = F.when(F.col("label").isNotNull(), F.expr(sql).cast(label))
            rows = rows.withColumn(f"baseline_{name}", predicted)
        except AnalysisException as error:
            raise ConfigError(
                f"features.baselines.{name}: Spark can't read '{sql}' as {label}: {str(error).splitlines()[0]} Expected SQL "
                f"over the examples' columns."
            ) from error
    return rows
