"""Hundreds of columns and features pass: no expression is as deep as there are columns. benchmarks/width.py has thousands."""

from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.rows import split_validated, validate_rows
from pipelines.config import FeaturesConfig
from pipelines.expressions import union_of
from pipelines.features.fit import fit, requests
from pipelines.features.transform import transform
from schemas.contract import Column, Table
from tests.pipelines.cleaning.landed import landed
from tests.pipelines.features.profiled import profiled

pytestmark = pytest.mark.slow
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
COLUMNS, FEATURES = 250, 400


def test_a_contract_of_hundreds_of_columns_is_cleaned(spark: SparkSession) -> None:
    columns = tuple(Column(f"c{at}", "int", minimum=0, maximum=9) for at in range(COLUMNS))
    contract = Table("s", (Column("id", "int", nullable=False), *columns), key=("id",))
    good = ("1", *(str(at % 10) for at in range(COLUMNS)))
    bad = ("2", *("10" if at in (3, COLUMNS - 1) else "x" if at == 7 else "5" for at in range(COLUMNS)))
    validated = validate_rows(landed(spark, contract, good, bad), contract, START, END)
    parts = split_validated(validated, contract)
    assert [tuple(row) for row in parts.clean.collect()] == [(1, *(at % 10 for at in range(COLUMNS)))]
    assert [row.reasons for row in parts.quarantined.collect()] == [
        [
            "c3: expected at most 9, received '10'",
            "c7: expected a value of type int, received 'x'",
            f"c{COLUMNS - 1}: expected at most 9, received '10'",
        ]
    ]


def test_hundreds_of_features_are_fitted_and_transformed(spark: SparkSession) -> None:
    names = [f"n{at}" for at in range(FEATURES)]
    settings = {"impute": 0.0, "scale": "minmax", "indicator": True}
    config = FeaturesConfig.model_validate(
        {
            "rows_of": "t",
            "derive": "m:f",
            "split": {"by": "column", "column": "part"},
            "numeric": dict.fromkeys(names, settings),
        }
    )
    values = [f"if(id = 3, null, double(id * {at + 1})) as n{at}" for at in range(FEATURES)]
    rows = spark.range(1, 4).selectExpr("id as row_id", "'train' as part", *values)
    spec = fit(config, profiled(rows, requests(config), "part")["train"]).spec
    features = {row.row_id: row for row in transform(rows, spec, ("row_id",)).rows.collect()}
    for at in (0, 1, FEATURES - 1):
        # From 0, which stands in for the missing, to 2 (at + 1).
        assert [features[number][f"n{at}"] for number in (1, 2, 3)] == [0.5, 1.0, 0.0]
        assert [features[number][f"n{at}_missing"] for number in (1, 2, 3)] == [0.0, 0.0, 1.0]


def test_hundreds_of_frames_are_one(spark: SparkSession) -> None:
    frames = [spark.range(1).select(F.lit(at).alias("n")) for at in range(300)]
    assert union_of(frames).coalesce(1).agg(F.sum("n")).collect()[0][0] == 300 * 299 // 2
