"""Contracts refuse to contradict themselves."""

from typing import Any

import pytest

from schemas import flights, tables
from schemas.contract import Column, ContractError, Table

ID, NAME = Column("id", "int"), Column("name", "string")


@pytest.mark.parametrize("where", ["key", "latest_by", "partition_by", "sorted_by"])
def test_unknown_column_is_named_with_the_known_ones(where: str) -> None:
    kwargs: dict[str, Any] = {where: ("nme",)}
    with pytest.raises(ContractError, match=r"contract t: unknown column nme; expected one of id, name"):
        Table("t", (ID, NAME), **kwargs)


def test_unknown_event_time_is_refused() -> None:
    with pytest.raises(ContractError, match="unknown column at"):
        Table("t", (ID,), event_time="at")


def test_column_declared_twice_is_refused() -> None:
    with pytest.raises(ContractError, match="declared twice: id"):
        Table("t", (ID, ID))


def test_raw_table_has_every_column_as_text() -> None:
    raw = tables.raw(flights.WEATHER)
    assert raw.name == "raw_weather"
    assert {raw.column(name).type for name in flights.WEATHER.column_names} == {"string"}


def test_features_table_lies_in_the_order_of_its_hash() -> None:
    table = tables.features((Column("at", "timestamp"),), {"x": "float", "w": "int"})
    assert table.sorted_by == ("row_id",)
    assert [table.column(name).type for name in ("x", "w", "at")] == ["float", "int", "timestamp"]
