"""Rows that are asked as a job asks them: laid out, written, read by tasks."""

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

from pyspark.sql import Column, DataFrame

from pipelines.stages.aggregates import Asked, Question, answers, laid_out


def answered(rows: DataFrame, asked: Sequence[Asked], by: Column | str, **thinned: int) -> dict[str, dict[str, Any]]:
    """What each group of rows answers."""
    question = Question(asked, by, **thinned)
    with TemporaryDirectory() as made:
        laid_out(rows, [question]).write.parquet(f"{made}/rows")
        return answers(rows.sparkSession, f"{made}/rows", [question])[0]
