"""The SQL shell: column names above rows, and a table that does not exist is named beside those that do."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import ConfigError
from pipelines.io.lake import Lake
from schemas.tables import BROKEN_RULES, RUNS
from setup.sql import Shell, show, statements_of
from tests.conftest import session_on
from tests.sample import pipeline


@pytest.fixture
def shell(spark: SparkSession, tmp_path: Path) -> Shell:
    """A shell on a pipeline with two empty tables."""
    session = session_on(spark, tmp_path / "warehouse")
    (tmp_path / "warehouse").mkdir()
    config = pipeline(tmp_path, "asked")
    with pytest.raises(ConfigError, match=r"^pipeline asked has no tables in .*/warehouse\. Run its jobs first"):
        Shell(config, session)
    for contract in (RUNS, BROKEN_RULES):
        Lake(session, "asked", "run1").create(contract)
    return Shell(config, session)


def test_statements_end_at_semicolons_outside_quotes() -> None:
    text = """select ';' a; select "b;" ;; select `c;d`"""
    assert statements_of(text) == ["select ';' a", 'select "b;"', "select `c;d`"]


def test_rows_have_their_column_names_and_each_is_a_line(spark: SparkSession) -> None:
    out = io.StringIO()
    sql = "select 1 one, 'a\tb\nc' `two.x`, null one, array(1, null) four, timestamp '2013-07-01 12:00:00' t"
    show(spark.sql(sql), out)
    assert out.getvalue() == "one\ttwo.x\tone\tfour\tt\n1\ta\\tb\\nc\tNULL\t[1, null]\t2013-07-01 12:00:00\n"


def test_mistakes_are_one_sentence_and_a_missing_table_names_those_there_are(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("select count(*) c from runs")
    assert capsys.readouterr().out == "c\n0\n"
    with pytest.raises(ConfigError) as missing:
        shell.run("select * from run")
    assert str(missing.value) == "table run does not exist. The tables of asked are: broken_rules, runs."
    for statement, message in (("select nope from runs", "nope"), ("selec 1", "selec"), ("select raise_error('no')", "no")):
        with pytest.raises(ConfigError) as wrong:
            shell.run(statement)
        assert message in str(wrong.value)
        assert "\n" not in str(wrong.value)
