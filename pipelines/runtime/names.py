"""Names of columns that cannot be: refused before Spark starts, each with a way out. All others are quoted, and work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipelines.config import ColumnSplit, Pipeline
from pipelines.errors import ConfigError
from schemas import tables
from schemas.contract import LANDING_ORDER, Table
from schemas.names import ICEBERG, INTERNAL

LABEL, LABELS = "label", "labels"


def check_names(config: Pipeline, contracts: Mapping[str, Table], examples: Table) -> None:
    """Raise ConfigError, which names the column and suggests another name, for one that no table or stage can hold."""
    for source, contract in contracts.items():
        for name, why in _wrong(contract.column_names, _reserved_by_source(contract)):
            other = _other_name(name, contract)
            raise ConfigError(
                f"contract {source}: a column may not be named '{name}': {why}. Give it another name in the contract, such as "
                f"{other}, and set sources.{source}.rename: {{{name}: {other}}}, so that it is read from the field {name}."
            )
    for name, why in _wrong(examples.column_names, _reserved_by_examples(config)):
        raise ConfigError(
            f"{config.contracts} EXAMPLES: a column may not be named '{name}': {why}. Give it another name there and in "
            f"features.derive, such as {_other_name(name, examples)}."
        )
    _check_features(config, examples)


def _wrong(names: Iterable[str], reserved: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each name that cannot be, and why; `reserved` says by name in lower case what else has it."""
    before: dict[str, str] = {}
    for name in names:
        lower = name.lower()
        if why := _never(name):
            yield name, why
        elif lower in reserved:
            yield name, reserved[lower]
        elif lower in before:
            yield name, f"it differs from '{before[lower]}' in case only, and Spark takes both for the same"
        before[lower] = name


def _never(name: str) -> str | None:
    """Why nothing may have a name; None for most."""
    if not name.strip():
        return "it is empty"
    if name.startswith(INTERNAL):
        return f"names that begin with {INTERNAL} are those of columns that only exist while a stage works"
    if name.lower() in ICEBERG:
        return "Iceberg has a column of that name in every table, which says where a row lies"
    return None


def _reserved_by_source(contract: Table) -> dict[str, str]:
    landed = {
        column.name: "every raw or clean table has a column of that name beside the contract's" for column in tables.LANDED
    }
    landed[LANDING_ORDER] = "raw and clean tables keep the order of landing in a column of that name"
    flags = {c.flag.lower(): f"it is what flags the outliers of {c.name}" for c in contract.columns if c.flag}
    return {**landed, **flags}


def _reserved_by_examples(config: Pipeline) -> dict[str, str]:
    reserved = {
        column.name: "the features table has a column of that name beside those of EXAMPLES" for column in tables.IDENTIFIED
    }
    split = config.features.split
    if isinstance(split, ColumnSplit) and split.column == tables.SPLIT.name:
        del reserved[tables.SPLIT.name]
    reserved |= {
        f"baseline_{name}".lower(): f"it is what features.baselines.{name} predicts" for name in config.features.baselines
    }
    for name, sequence in config.features.sequence.items():
        reserved |= {
            column.lower(): f"features.sequence.{name} makes an array of that name" for column in sequence.output_columns(name)
        }
    return reserved


def _check_features(config: Pipeline, examples: Table) -> None:
    """Raise ConfigError for a feature, or a column that it makes, which the features table cannot have."""
    carried = (examples.event_time or "").lower()
    for kind, name, feature in config.features.declared:
        for column in dict.fromkeys((name, *feature.output_columns(name))):
            why = _never(column)
            if config.horizon and column.lower() == LABELS:
                why = "evaluate calls a label with a horizon so"
            if column.lower() == carried and column != examples.event_time:
                why = f"it differs from the event time {examples.event_time} in case only, and Spark takes both for the same"
            if why:
                raise ConfigError(
                    f"features.{kind}.{name}: it makes a column named '{column}', which cannot be: {why}. Give the feature, "
                    f"and the column that it is made of, another name."
                )
    if wrong := [name for name in examples.column_names if name.lower() == LABEL != name]:
        raise ConfigError(f"{config.contracts} EXAMPLES: a column is named '{wrong[0]}'; expected '{LABEL}', in lower case.")


def _other_name(name: str, contract: Table) -> str:
    """A name like it that is free."""
    names = {each.lower() for each in contract.column_names}
    other = f"received_{name.strip().lstrip('_') or 'column'}"
    while other.lower() in names:
        other += "_"
    return other
