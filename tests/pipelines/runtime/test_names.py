"""Names that no table can hold are refused before Spark starts, each with another name that works."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ConfigError
from pipelines.runtime.names import check_names
from schemas import flights, tables
from schemas.contract import Column, Outliers, Table
from schemas.names import ICEBERG, INTERNAL
from tests.sample import pipeline

ID = Column("id", "string")


def check(tmp_path: Path, *names: str, edit: Any = lambda _: None, examples: Table = flights.EXAMPLES) -> None:
    """Check a source whose contract has an id and columns of these names."""
    contract = Table("s", (ID, *(Column(name, "string") for name in names)), key=("id",))
    check_names(pipeline(tmp_path, "p", edit), {"s": contract}, examples)


@pytest.mark.parametrize(
    "name", ["extra", "source_file", "source_block", "source_row", "broken_line", "broken_why", "event_at", "run_id",
             "interval_from", "interval_to", "Run_ID"],
)  # fmt: skip
def test_a_source_may_not_name_a_column_that_its_tables_add(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(tmp_path, name)
    assert f"contract s: a column may not be named '{name}'" in str(refused.value)
    assert f"sources.s.rename: {{{name}: received_{name}}}" in str(refused.value)


@pytest.mark.parametrize("name", ["__verdict", "__", "_pos", "_FILE", "_partition", " "])
def test_internal_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"contract s: a column may not be named '{name}': "):
        check(tmp_path, name)


def test_the_suggested_name_is_free(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="such as received_extra_, and"):
        check(tmp_path, "received_EXTRA", "extra")


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="may not be named 'ID': it differs from 'id' in case only"):
        check(tmp_path, "ID")


def test_a_column_may_not_have_the_name_of_anothers_flag(tmp_path: Path) -> None:
    columns = (Column("x", "double", outliers=Outliers("flag")), Column("X_outlier", "boolean"))
    with pytest.raises(ConfigError, match="may not be named 'X_outlier': it is what flags the outliers of x"):
        check_names(pipeline(tmp_path, "p"), {"s": Table("s", columns)}, flights.EXAMPLES)


@pytest.mark.parametrize(
    "name", ["_verdict", "_raw", "_found", "_tie", "_metadata", "_rows", "row_id", "split", "label", "raw", "user.id", "a`b",
             "select", "*", "a b", "ü", "received_extra"],
)  # fmt: skip
def test_other_names_are_allowed(tmp_path: Path, name: str) -> None:
    check(tmp_path, name)


def examples(*names: str) -> Table:
    """Examples with these columns beside the key and the label."""
    return Table("examples", (ID, Column("label", "float"), *(Column(name, "double") for name in names)), key=("id",))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("row_id", "the features table has a column of that name"),
        ("Split", "the features table has a column of that name"),
        ("run_id", "the features table has a column of that name"),
        ("__x", "names that begin with __"),
        ("_pos", "Iceberg has a column of that name"),
        ("ID", "it differs from 'id' in case only"),
        ("baseline_mean", "it is what features.baselines.mean predicts"),
        ("gust_speed", "features.sequence.gust makes an array of that name"),
    ],
)
def test_an_example_may_not_name_a_generated_column(tmp_path: Path, name: str, why: str) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["features"]["baselines"] = {"mean": "0.5"}
        content["features"]["windows"] = {"by": ["id"], "at": "at", "step_minutes": 60}
        content["features"]["sequence"] = {"gust": {"of": {"speed": {}}, "length": 2}}

    with pytest.raises(ConfigError, match=f"EXAMPLES: a column may not be named '{name}': {why}"):
        check(tmp_path, edit=edit, examples=examples(name))


def test_a_split_by_the_column_split_is_allowed(tmp_path: Path) -> None:
    split = {"by": "column", "column": "split"}
    check(tmp_path, edit=lambda content: content["features"].update(split=split), examples=examples("split"))


def test_a_label_in_another_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a column is named 'LABEL'; expected 'label'"):
        check(tmp_path, examples=Table("examples", (ID, Column("LABEL", "float")), key=("id",)))


@pytest.mark.parametrize("name", ["__x", "_deleted", "TIME_HOUR"])
def test_a_feature_may_not_have_such_a_name(tmp_path: Path, name: str) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["features"]["crossed"] = {name: {"of": ["a", "b"]}}

    table = Table("examples", (ID, Column("label", "float"), Column("time_hour", "timestamp")), event_time="time_hour")
    with pytest.raises(ConfigError, match=f"features.crossed.{name}: it makes a column named '{name}', which cannot be"):
        check(tmp_path, edit=edit, examples=table)


def test_the_tables_own_columns_are_not_internal() -> None:
    landed = [column.name for column in (*tables.LANDED, *tables.IDENTIFIED)]
    assert not [name for name in landed if name.startswith(INTERNAL) or name in ICEBERG]
