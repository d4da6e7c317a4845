"""A number's checks share one condition, which refuses what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.checking import Check, all_checks, refusing_sql, text_name
from pipelines.expressions import any_sql
from schemas.contract import Column, Table

NUMBERS = (None, float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 0.5, 1.0, 1e308, -1e308)
REFUSED = {  # of NUMBERS, the text of each of which could be read
    "free": [True, True, True, True, False, False, False, False, False, False],
    "low": [True, True, True, True, True, False, False, False, False, True],
    "high": [True, True, True, True, False, False, False, False, True, False],
    "both": [True, True, True, True, True, False, False, False, True, True],
    "warned": [True, True, True, True, False, False, False, False, False, False],
}
BOUNDS: dict[str, dict[str, Any]] = {
    "free": {},
    "low": {"minimum": 0},
    "high": {"maximum": 1},
    "both": {"minimum": 0, "maximum": 1},
    "warned": {"minimum": 0, "maximum": 1, "severity": "warn"},
}


def refusing(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.name.startswith(f"{name}:") and check.severity == "quarantine"]


@pytest.mark.parametrize("text", ["a text", None])
def test_the_shared_condition_refuses_what_the_checks_of_a_number_refuse(spark: SparkSession, text: str | None) -> None:
    contract = Table("t", tuple(Column(name, "double", **bounds) for name, bounds in BOUNDS.items()))
    checks = all_checks(contract, {})
    values = ", ".join(f"n as {name}, cast(t as string) as `{text_name(contract.column(name))}`" for name in BOUNDS)
    rows = spark.createDataFrame([(n, number, text) for n, number in enumerate(NUMBERS)], "i int, n double, t string")
    checked = rows.selectExpr("i", *values.split(", ")).select(
        "i",
        *(F.expr(f"coalesce({refusing_sql(refusing(checks, name))}, false)").alias(f"shared_{name}") for name in BOUNDS),
        *(
            F.expr(f"coalesce({any_sql(check.broken for check in refusing(checks, name))}, false)").alias(f"each_{name}")
            for name in BOUNDS
        ),
    )
    collected = checked.orderBy("i").collect()
    for name, refused in REFUSED.items():
        # A value is read from its text: without one there is none, and nothing is refused.
        expected = refused if text else [False] * len(refused)
        rows_read = collected if text else collected[:1]
        assert [row[f"shared_{name}"] for row in rows_read] == expected[: len(rows_read)]
        assert [row[f"each_{name}"] for row in rows_read] == expected[: len(rows_read)]


def test_each_number_is_checked_once() -> None:
    contract = Table("t", (Column("n", "double", minimum=0, maximum=1), Column("w", "string")))
    checks = [check for check in all_checks(contract, {}) if check.severity == "quarantine"]
    assert len([check for check in checks if check.shown_columns[0].name == "n"]) == 4
    assert refusing_sql(checks).count("`n`") == 2
