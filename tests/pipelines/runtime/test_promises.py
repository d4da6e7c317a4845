"""What Spark alone knows of contracts, and derived types, is exit 2; a rule that fails on a row is named."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import ConfigError, DataError
from pipelines.runtime import promises
from pipelines.runtime.promises import check_promises
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.derived import as_declared, check_types
from pipelines.steps.ingest import STEP as INGEST
from schemas.contract import Column, Rule, Table
from tests.pipelines.conftest import Run
from tests.pipelines.steps.visits import VISITS
from tests.sample import pipeline


def with_rules(*rules: Rule, **column: Any) -> Table:
    """The contract of visits with other rules, and a column more."""
    more = (Column("more", "string", **column),) if column else ()
    return replace(VISITS, rules=rules, columns=(*VISITS.columns, *more))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (
            with_rules(Rule("a", "spent > 1"), Rule("b", "nofunc(spent)")),
            r"rule 'b': Spark can't read 'nofunc\(spent\)': .*nofunc",
        ),
        (
            with_rules(Rule("a", "upper(shop)")),
            r"rule 'a': .*it gives string, not true or false; expected SQL that is true",
        ),
        (with_rules(Rule("a", "max(spent) > 3")), r"rule 'a': .*MISSING_GROUP_BY"),
        (with_rules(Rule("a", "at > 5")), r"rule 'a': .*DATATYPE_MISMATCH"),
        (with_rules(Rule("a", "spent > > 5")), r"rule 'a': .*PARSE_SYNTAX_ERROR"),
        (with_rules(pattern=r"\p{Foo}"), r"column more: pattern '.*Foo}': Unknown character property name {Foo}"),
    ],
)
def test_what_spark_can_not_read_is_named_before_anything_lands(
    visit: Run, monkeypatch: pytest.MonkeyPatch, contract: Table, message: str
) -> None:
    context = visit(contract=contract)
    with pytest.raises(ConfigError, match=rf"^contract visits: {message}") as caught:
        check_promises(context)
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigError, match=message):
        visit(INGEST, contract=contract)
    assert not context.lake.exists("raw_visits")


def test_promises_are_analysed_once_in_an_application(visit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    context = visit(contract=with_rules(Rule("a", "spent > 1")))
    analysed: list[str] = []
    monkeypatch.setattr(promises, "_check_rules", lambda _, contract: analysed.append(contract.name))
    check_promises(context)
    check_promises(context.over(context.interval))
    assert analysed == ["visits"]
    check_promises(visit(contract=with_rules(Rule("a", "spent > 1"))))
    assert analysed == ["visits", "visits"]


def test_a_rule_that_fails_on_a_row_is_named_and_changes_nothing(visit: Run, tmp_path: Path) -> None:
    (tmp_path / "visits-05-01.csv").write_text("id,at,spent,shop\n1,2013-05-01 10:00,5,a\n2,2013-05-01 10:00,7,b\n")
    context = visit(INGEST)
    for holds, message in (
        ("spent / (id - 1) > 1", r"can't be worked out for some row: Division by zero\."),
        ("cast(shop as int) > 1", r"The value 'a' of the type \"STRING\" cannot be cast to \"INT\" because it is malformed"),
    ):
        with pytest.raises(DataError, match=rf"^source visits: rule 'even' .*{message}.*try_divide, try_cast"):
            visit(CLEAN, contract=with_rules(Rule("even", holds), Rule("other", "id > 0")))
    assert not context.lake.exists("clean_visits") or context.lake.read("clean_visits").count() == 0
    visit(CLEAN, contract=with_rules(Rule("even", "try_divide(spent, id - 1) > 1")))
    assert context.lake.read("clean_visits").count() == 2


def test_derived_types_are_the_declared_ones_or_hold_less(spark: SparkSession, tmp_path: Path) -> None:
    config = pipeline(tmp_path, "derived")
    types = {"a": "double", "b": "bigint", "c": "string", "d": "timestamp", "label": "float"}
    contract = Table("examples", tuple(Column(name, type_) for name, type_ in types.items()), key=("a",))  # type: ignore[arg-type]

    def check(**derived: str) -> None:
        schema = ", ".join(f"{name} {type_}" for name, type_ in {**types, **derived}.items())
        check_types(config, contract, spark.createDataFrame([], schema))

    for lossless in ({}, {"a": "float"}, {"a": "int"}, {"b": "smallint"}, {"label": "double"}, {"label": "int"}):
        check(**lossless)
    check(a="decimal(10,2)")
    wrong = [("a", "bigint"), ("b", "double"), ("c", "int"), ("d", "date"), ("label", "string"), ("a", "string"), ("c", "void")]
    for name, derived in (*wrong, ("b", "decimal(10,2)"), ("c", "decimal(10,2)"), ("label", "boolean")):
        with pytest.raises(
            ConfigError, match=rf"gives another type than .*: {name}, declared {types[name]}, derived \w+"
        ) as caught:
            check(**{name: derived})
        assert f"derived {derived}. Cast them" in str(caught.value)
    with pytest.raises(ConfigError, match=r"a, declared double, derived string; label, declared float, derived string\. Cast"):
        check(a="string", label="string")
    some = spark.sql("select 1.10 as A, cast(2 as bigint) as b, 'x' as c, null as d, 0.5 as label, 3 as more")
    [row] = as_declared(contract, some).collect()
    assert row.asDict() == {"a": 1.1, "b": 2, "c": "x", "d": None, "label": Decimal("0.5")}
    with pytest.raises(ConfigError, match="gives a more than once"):
        check(A="double")
