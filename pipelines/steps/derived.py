"""Derived columns against the types that the examples' contract declares."""

from __future__ import annotations

from pyspark.sql import DataFrame

from pipelines.config import Pipeline
from pipelines.errors import ConfigError
from pipelines.expressions import col
from schemas.contract import Table

# Of a derived type those that hold each of its values as it is: what is declared may be one of them.
WIDER = {
    "tinyint": ("smallint", "int", "bigint", "float", "double"),
    "smallint": ("int", "bigint", "float", "double"),
    "int": ("bigint", "double"),
    "float": ("double",),
    "decimal": ("double",),  # as the nearest one, which is how a double is read from text
    "array<int>": ("array<double>",),
    "array<float>": ("array<double>",),
}
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
LABEL = "label"  # which is stored as a float whatever its type


def check_types(config: Pipeline, contract: Table, derived: DataFrame) -> None:
    """Raise ConfigError when a derived column is there twice, or of a type that is not the declared one or holds other values.

    A number may be declared wider than it is derived, where that loses nothing (int to bigint or double, float to double). So
    may a decimal, which SQL makes of a division by 1000.0, as a double (`as_declared`).
    """
    mistyped: dict[str, list[str]] = {}
    for name, type_ in derived.dtypes:
        mistyped.setdefault(name.lower(), []).append(type_)
    if twice := [name for name in contract.column_names if len(mistyped[name.lower()]) > 1]:
        raise ConfigError(
            f"features.derive: {config.features.derive} gives {', '.join(twice)} more than once, in any case; "
            f"expected each column once. Drop one of them, as after a join."
        )
    wrong = [
        f"{column.name}, declared {column.type}, derived {derived_as}"
        for column in contract.columns
        if not _holds(column.name, column.type, derived_as := mistyped[column.name.lower()][0])
    ]
    if wrong:
        raise ConfigError(
            f"features.derive: {config.features.derive} gives another type than {config.contracts} EXAMPLES declares: "
            f"{'; '.join(wrong)}. Cast them where they are derived (.cast('double')), or declare the type that is derived."
        )


def as_declared(contract: Table, derived: DataFrame) -> DataFrame:
    """The contract's columns of derived rows, decimals as the doubles that are declared; other types as they are derived."""
    types = {name.lower(): type_ for name, type_ in derived.dtypes}
    decimals = {c.name for c in contract.columns if c.type == "double" and types[c.name.lower()].startswith("decimal")}
    return derived.select(
        *(col(name).cast("double").alias(name) if name in decimals else col(name) for name in contract.column_names)
    )


def _holds(name: str, declared: str, derived: str) -> bool:
    plain = derived.partition("(")[0].partition(" collate")[0]  # decimal(10,2) is a decimal
    if name == LABEL and {plain, declared} <= set(NUMBERS):
        return True
    return declared in (plain, *WIDER.get(plain, ()))
