"""What can be known to be wrong before Spark starts: a configuration against its contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from pipelines.config import ColumnSplit, EntitySplit, Pipeline, TimeSplit, Windows, kinds, load
from pipelines.errors import ConfigError
from pipelines.flows.names import check_names
from pipelines.flows.secret import check_hash_key
from pipelines.io.sources import make_source
from schemas.contract import Table

FEATURES = "features"  # the step, by whose name it quarantines rows
ROUNDING = 1e-9


def examples_contract(config: Pipeline) -> Table:
    """The contract of what the pipeline's derive function gives."""
    contract: Table = load(f"{config.contracts}:EXAMPLES", "contracts")
    return contract


def _check_references(contracts: dict[str, Table]) -> None:
    for name, contract in contracts.items():
        for reference in contract.references:
            if reference.source not in contracts:
                raise ConfigError(
                    f"contract {name}: a reference to {reference.source}, which is no source; expected one of "
                    f"{', '.join(contracts)}."
                )
            if unknown := sorted(set(reference.to) - set(contracts[reference.source].column_names)):
                raise ConfigError(
                    f"contract {name}: a reference to {', '.join(unknown)} of {reference.source}, which has no such column; "
                    f"expected some of {', '.join(contracts[reference.source].column_names)}."
                )
    try:
        TopologicalSorter({n: {r.source for r in c.references} for n, c in contracts.items()}).prepare()
    except CycleError as error:
        raise ConfigError(
            f"contracts refer to each other in a circle: {' to '.join(error.args[1])}. Leave one reference out."
        ) from error


def _check_columns(config: Pipeline, examples: Table) -> None:
    """Raise ConfigError when examples have no key, or split or known_at names a column that is not there, or that is no time
    where one is needed.
    """
    if not examples.key:
        raise ConfigError(
            f"{config.contracts} EXAMPLES: no key; expected the columns that tell rows apart, of which row ids are made."
        )
    split, features = config.features.split, config.features
    named: dict[str, tuple[str, ...]] = {"known_at": tuple(features.known_at.values())}
    if isinstance(split, EntitySplit):
        named["split.columns"] = split.columns
    if isinstance(split, ColumnSplit):
        named["split.column"] = (split.column,)
    if features.predicted_at:
        named["predicted_at"] = (features.predicted_at,)
    types = {column.name: column.type for column in examples.columns}
    for key, columns in named.items():
        if unknown := sorted(set(columns) - set(types)):
            raise ConfigError(
                f"features.{key}: unknown column {', '.join(unknown)}; expected some of {', '.join(types)}. Mend the name, or "
                f"declare the column in {config.contracts} EXAMPLES and derive it."
            )
        timeless = [name for name in columns if types[name] != "timestamp"] if key in ("known_at", "predicted_at") else []
        if timeless:
            raise ConfigError(f"features.{key}: {', '.join(timeless)} is no time; expected a column of type timestamp.")


def check_sections(config: Pipeline, needed: Iterable[str]) -> None:
    """Raise ConfigError when the configuration lacks a section that a job works by."""
    for section in needed:
        if getattr(config, section) is None:
            raise ConfigError(f"{section}: the configuration has no section {section}, which this job works by. Add one.")


def check_config(config: Pipeline) -> None:
    """Raise ConfigError when a source has no contract, or a feature no column of the right type."""
    if FEATURES in config.sources:
        raise ConfigError(
            f"sources.{FEATURES}: a source may not be named {FEATURES}; expected another name, since quarantined rows of that "
            f"name are those of the step. Rename the source and its contract."
        )
    contracts = {name: config.contract(name) for name in config.sources}
    for name, section in config.sources.items():
        make_source(name, section)
        check_hash_key(config, contracts[name])
    _check_references(contracts)
    if config.features.rows_of not in config.sources:
        raise ConfigError(
            f"features.rows_of: '{config.features.rows_of}' is no source; expected one of {', '.join(config.sources)}."
        )
    load(config.features.derive, "features.derive")
    examples = examples_contract(config)
    check_names(config, contracts, examples)
    _check_columns(config, examples)
    columns = {column.name: column.type for column in examples.columns}
    for kind, name, feature in config.features.declared:
        if examples.event_time in feature.made(name):
            raise ConfigError(
                f"features.{kind}.{name}: it makes a column {examples.event_time}, which is the event time of "
                f"{config.contracts} EXAMPLES; expected another name."
            )
        for column in feature.columns(name):
            _check_type(config, f"features.{kind}.{name}", column, columns, feature.types)
    _check_windows(config, columns)


def _check_type(config: Pipeline, key: str, column: str, columns: Mapping[str, str], types: tuple[str, ...]) -> None:
    named = "" if key.endswith(f".{column}") else f" {column}"
    if column not in columns:
        raise ConfigError(
            f"{key}: unknown column{named}; expected one of {', '.join(columns)}. "
            f"Mend the name, or declare the column in {config.contracts} EXAMPLES and derive it."
        )
    if columns[column] not in types:
        raise ConfigError(f"{key}: the column{named} is of type {columns[column]}; expected {' or '.join(types)}.")


def _check_windows(config: Pipeline, columns: Mapping[str, str]) -> None:
    """Raise ConfigError when windows name a column that is not there, or the label is declared in two places or none."""
    windows, label = config.features.windows, "label" in columns
    if windows and windows.label:
        _check_type(config, "features.windows.label", windows.label, columns, kinds.NUMBERS)
    if label == bool(windows and windows.label):
        raise ConfigError(
            f"{config.contracts} EXAMPLES: {'a' if label else 'no'} column label, and features.windows.label "
            f"{'names another' if label else 'names none'}; expected one of both."
        )
    if windows:
        _check_type(config, "features.windows.at", windows.at, columns, ("timestamp",))
        _check_embargo(config, windows)
        for by in windows.by:
            _check_type(config, "features.windows.by", by, columns, tuple(set(columns.values())))
    if isinstance(config.features.split, TimeSplit) and examples_contract(config).event_time is None:
        raise ConfigError(
            f"features.split is by time; expected an event_time in {config.contracts} EXAMPLES, or another split."
        )


def _check_embargo(config: Pipeline, windows: Windows) -> None:
    """Raise ConfigError when labels of rows before a split by time would reach beyond it."""
    split, ahead = config.features.split, windows.horizon * windows.step_minutes / 60
    if windows.label and isinstance(split, TimeSplit) and split.embargo_hours < ahead * (1 - ROUNDING):
        raise ConfigError(
            f"features.split.embargo_hours: {split.embargo_hours:g} hours, but labels lie up to {ahead:g} hours ahead "
            f"(windows.horizon of {windows.horizon} steps of {windows.step_minutes:g} minutes) and would tell of the next "
            f"split; expected at least {ahead:g}."
        )
