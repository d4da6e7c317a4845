"""Windows end with their row, labels begin after it, and no gap is bridged."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from pipelines.config import Windows
from pipelines.features.kinds.sequence import Sequence
from pipelines.stages.windows import windowed

PAST = {"past": Sequence.model_validate({"of": {"x": {}}, "length": 3})}
START = datetime(2013, 3, 10, 5)  # the clocks of New York skip an hour at 7 UTC: a series does not


def series(spark: SparkSession, hours: list[int], station: str = "a") -> DataFrame:
    """Rows of these hours, whose value is the hour."""
    rows = [(station, START + timedelta(hours=hour), float(hour)) for hour in hours]
    return spark.createDataFrame(rows, "station string, at timestamp, x double")


def windowed_rows(rows: DataFrame, **settings: Any) -> list[Row]:
    """The rows with windows and labels, in order."""
    config = {"by": ["station"], "at": "at", "step_minutes": 60, "label": "x", "horizon": 2, **settings}
    return windowed(rows, Windows.model_validate(config), PAST).orderBy("station", "at").collect()


def test_a_whole_series_by_hand(spark: SparkSession) -> None:
    rows = windowed_rows(series(spark, [0, 1, 2, 3, 4, 5]))
    assert [row.past_x for row in rows] == [None, None, [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert [row.label for row in rows] == [None, None, [3, 4], [4, 5], None, None]
    assert rows[0].asDict().keys() == {"station", "at", "x", "past_x", "label"}


def test_no_gap_is_bridged(spark: SparkSession) -> None:
    rows = {int(row.x): row for row in windowed_rows(series(spark, [0, 1, 2, 3, 5, 6, 7, 8, 9]))}
    assert {hour: row.past_x for hour, row in rows.items() if row.past_x} == {
        2: [0, 1, 2], 3: [1, 2, 3], 7: [5, 6, 7], 8: [6, 7, 8], 9: [7, 8, 9],
    }  # fmt: skip
    assert {hour: row.label for hour, row in rows.items() if row.label} == {7: [8, 9]}


def test_series_are_separate_and_so_are_rows_between_the_steps(spark: SparkSession) -> None:
    late = series(spark, [0, 1, 2, 3, 4]).selectExpr("station", "at + INTERVAL 30 MINUTES AS at", "x + 100 AS x")
    rows = windowed_rows(series(spark, [0, 1, 2, 3, 4]).union(late).union(series(spark, [0, 1, 2], "b")))
    assert [(row.station, row.past_x, row.label) for row in rows if row.label] == [
        ("a", [0, 1, 2], [3, 4]),
        ("a", [100, 101, 102], [103, 104]),
    ]


def test_a_missing_value_stays_in_a_window_and_takes_a_label_away(spark: SparkSession) -> None:
    rows = series(spark, [0, 1, 2, 3, 4, 5]).selectExpr("station", "at", "nullif(x, 1) AS x")
    assert [row.past_x for row in windowed_rows(rows) if row.label] == [[0, None, 2], [None, 2, 3]]
    rows = series(spark, [0, 1, 2, 3, 4, 5]).selectExpr("station", "at", "nullif(x, 4) AS x")
    assert [row.label for row in windowed_rows(rows) if row.label] == []


@pytest.mark.parametrize(("stride", "labelled"), [(1, 5), (2, 3), (3, 2)])
def test_one_row_in_a_stride_has_a_label(spark: SparkSession, stride: int, labelled: int) -> None:
    rows = windowed_rows(series(spark, list(range(9))), stride=stride)
    assert len(rows) == 9
    assert sum(row.label is not None for row in rows) in (labelled, labelled - 1)


def test_without_a_label_column_the_label_is_the_rows_own(spark: SparkSession) -> None:
    rows = series(spark, [0, 1, 2, 3]).selectExpr("*", "x * 10 AS label")
    assert [row.label for row in windowed_rows(rows, label=None)] == [None, None, 20, 30]


def test_a_step_that_is_there_twice_makes_up_for_no_missing_one(spark: SparkSession) -> None:
    rows = windowed_rows(series(spark, [0, 2, 2, 3, 4]))
    assert {int(row.x): row.past_x for row in rows if row.past_x} == {}
    assert [row.label for row in windowed_rows(series(spark, [0, 1, 2, 4, 4]))] == [None] * 5
    assert [row.label for row in windowed_rows(series(spark, [0, 1, 2, 3, 4, 6, 6])) if row.label] == [[3, 4]]
