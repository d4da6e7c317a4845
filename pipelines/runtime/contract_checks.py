"""What can be known to be wrong with contracts before Spark starts: each against its source, and against the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from pipelines.config import Pipeline
from pipelines.errors import ConfigError
from pipelines.io.sources.kinds import make_source
from pipelines.runtime.secret import check_hash_key
from schemas.contract import Reference, Table
from schemas.sql import choices, sql_problem
from schemas.vocabulary import NUMBERS, shown

FEATURES = "features"  # the step, by whose name it quarantines rows
OF_RINGMILL = ("partition_by", "one_partition", "sorted_by", "properties")  # what ringmill's own tables declare
# Columns that examples have beside their contract's, with the types that SQL sees.
ADDED = {"row_id": "bigint", "split": "string", "label": "float"}


def check_sources(config: Pipeline) -> None:
    """Raise ConfigError when a source, its contract, or what one contract says of another is wrong."""
    for name in config.sources:
        _check_name(name)
    contracts = {name: config.contract(name) for name in config.sources}
    for name, contract in contracts.items():
        _check_contract(config, name, contract)
        make_source(name, config.sources[name]).renamed([], contract)
        check_hash_key(config, contract)
    _check_references(contracts)


def _check_name(name: str) -> None:
    if name == FEATURES:
        raise ConfigError(
            f"sources.{FEATURES}: a source may not be named {FEATURES}; expected another name, since quarantined rows of that "
            f"name are those of the step. Rename the source and its contract."
        )
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        key = f"sources.{name}" if name else "sources"
        raise ConfigError(
            f"{key}: {shown(name)} can't be part of a table's name; expected letters of a to z, digits and _. Rename the "
            f"source and its contract."
        )


def _check_contract(config: Pipeline, name: str, contract: Table) -> None:
    if contract.name != name:
        raise ConfigError(
            f"contract {contract.name}: {config.contracts} SOURCES has it as {shown(name)}; expected one name, by which tables "
            f"are found. Rename one of both."
        )
    if nested := [column.name for column in contract.columns if "<" in column.type]:
        raise ConfigError(
            f"contract {name}: column {', '.join(nested)} is of type {contract.column(nested[0]).type}, which no received text "
            f"is read as; expected boolean, {', '.join(NUMBERS)}, string, date or timestamp. Declare it as string."
        )
    if physical := [key for key in OF_RINGMILL if getattr(contract, key)]:
        raise ConfigError(
            f"contract {name}: it sets {', '.join(physical)}, which tables of raw and clean rows do not take: they are "
            f"partitioned by interval. Remove it from the contract."
        )


def _check_references(contracts: Mapping[str, Table]) -> None:
    for name, contract in contracts.items():
        for reference in contract.references:
            if reference.source not in contracts:
                raise ConfigError(
                    f"contract {name}: a reference to {reference.source}, which is no source; expected one of "
                    f"{', '.join(contracts)}."
                )
            _check_target(contract, reference, contracts[reference.source])
    try:
        TopologicalSorter({n: {r.source for r in c.references} for n, c in contracts.items()}).prepare()
    except CycleError as error:
        raise ConfigError(
            f"contracts: they refer to each other in a circle, {' to '.join(error.args[1])}. Leave one reference out."
        ) from error


def _check_target(contract: Table, reference: Reference, target: Table) -> None:
    if unknown := sorted(set(reference.to) - set(target.column_names)):
        raise ConfigError(
            f"contract {contract.name}: a reference to {', '.join(unknown)} of {reference.source}, which has no such column; "
            f"expected some of {choices(target.column_names, unknown)}."
        )
    for ours, theirs in zip(map(contract.column, reference.columns), map(target.column, reference.to), strict=True):
        if ours.type != theirs.type and not {ours.type, theirs.type} <= set(NUMBERS):
            raise ConfigError(
                f"contract {contract.name}: a reference of {ours.name}, of type {ours.type}, to {theirs.name} of "
                f"{reference.source}, of type {theirs.type}; expected one type. Change one of both, or leave the reference out."
            )
        if theirs.personal == "drop":
            raise ConfigError(
                f"contract {contract.name}: a reference to {theirs.name} of {reference.source}, which is personal and dropped, "
                f"so that no clean row has it; expected another column. Hash it, or leave the reference out."
            )


def check_orders(config: Pipeline, examples: Table) -> None:
    """Raise ConfigError when the order of an ordinal lacks a word that the examples' contract allows."""
    for name, ordinal in config.features.ordinal.items():
        if lacking := [word for word in examples.column(name).allowed if word not in ordinal.order]:
            raise ConfigError(
                f"features.ordinal.{name}.order: it lacks {', '.join(map(shown, lacking))}, which {config.contracts} EXAMPLES "
                f"allows; expected all of {', '.join(examples.column(name).allowed)}. Add it where it belongs, or leave it out "
                f"of allowed."
            )


def check_baselines(config: Pipeline, examples: Table) -> None:
    """Raise ConfigError when a baseline's SQL is none, or names no column of the examples."""
    types: dict[str, str] = {column.name: column.type for column in examples.columns} | ADDED
    types |= dict.fromkeys(_arrays(config), "array<double>")
    for name, sql in config.features.baselines.items():
        if problem := sql_problem(sql, types, truth=False):
            raise ConfigError(f"features.baselines.{name}: {shown(sql)} {problem}.")


def _arrays(config: Pipeline) -> Iterable[str]:
    return (column for name, sequence in config.features.sequence.items() for column in sequence.output_columns(name))
