"""What can be known to be wrong before Spark starts: a configuration against its contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines.config import ColumnSplit, EntitySplit, Pipeline, TimeSplit, Windows, load, load_examples
from pipelines.errors import ConfigError
from pipelines.features.kinds.base import NUMBERS
from pipelines.runtime.contract_checks import check_baselines, check_orders, check_sources
from pipelines.runtime.names import check_names
from schemas.contract import Table

ROUNDING = 1e-9


def examples_contract(config: Pipeline) -> Table:
    """The contract of what the pipeline's derive function gives."""
    return load_examples(config.contracts)


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
                f"features.{key}: unknown column {', '.join(unknown)}; expected some of {', '.join(types)}. Fix the name, or "
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
    """Raise ConfigError when a source has no contract, a contract is wrong, or a feature has no column of the right type."""
    check_sources(config)
    if config.features.rows_of not in config.sources:
        raise ConfigError(
            f"features.rows_of: '{config.features.rows_of}' is no source; expected one of {', '.join(config.sources)}."
        )
    if not callable(derive := load(config.features.derive, "features.derive")):
        raise ConfigError(
            f"features.derive: {config.features.derive} is of type {type(derive).__name__}; expected a function of the clean "
            f"tables and the parameters. Name one."
        )
    examples = examples_contract(config)
    check_names(config, {name: config.contract(name) for name in config.sources}, examples)
    _check_columns(config, examples)
    columns = {column.name: column.type for column in examples.columns}
    for kind, name, feature in config.features.declared:
        if examples.event_time in feature.output_columns(name):
            raise ConfigError(
                f"features.{kind}.{name}: it makes a column {examples.event_time}, which is the event time of "
                f"{config.contracts} EXAMPLES; expected another name."
            )
        for column in feature.columns(name):
            _check_type(config, f"features.{kind}.{name}", column, columns, feature.types)
    if config.features.look_back:
        example_time(config)
    check_orders(config, examples)
    check_baselines(config, examples)
    _check_windows(config, columns)
    _check_slices(config)


def _check_slices(config: Pipeline) -> None:
    """Raise ConfigError when a slice names what has no words to group rows by."""
    features = config.features
    known = [name for _, name, feature in features.declared if feature.sliceable]
    if wrong := sorted({name for names in config.evaluate.slices for name in names} - set(known)):
        raise ConfigError(
            f"evaluate.slices: {', '.join(wrong)} is no categorical, crossed or bucketized feature; expected some of "
            f"{', '.join(known) or 'none, since there is none'}. Name those, or declare it as one."
        )


def example_time(config: Pipeline) -> str:
    """The examples' column that says whether one is of the window: the event time of the rows that they are of, where examples
    have it, else their own.

    Raises ConfigError when there is neither, as where derivations look back before the window.
    """
    examples, rows_of = examples_contract(config), config.contract(config.features.rows_of)
    if rows_of.event_time in examples.column_names:
        return str(rows_of.event_time)
    if rows_of.event_time is None or examples.event_time is None:
        raise ConfigError(
            f"features.look_back: expected an event_time in the contract of {rows_of.name} and in {config.contracts} EXAMPLES, "
            f"by which the examples of the window are known. Declare it, or leave look_back out."
        )
    return examples.event_time


def _check_type(config: Pipeline, key: str, column: str, columns: Mapping[str, str], types: tuple[str, ...]) -> None:
    named = "" if key.endswith(f".{column}") else f" {column}"
    if column not in columns:
        raise ConfigError(
            f"{key}: unknown column{named}; expected one of {', '.join(columns)}. "
            f"Fix the name, or declare the column in {config.contracts} EXAMPLES and derive it."
        )
    if columns[column] not in types:
        raise ConfigError(f"{key}: the column{named} is of type {columns[column]}; expected {' or '.join(types)}.")


def _check_windows(config: Pipeline, columns: Mapping[str, str]) -> None:
    """Raise ConfigError when windows name a column that is not there, or the label is declared in two places or none."""
    windows, label = config.features.windows, "label" in columns
    if windows and windows.label:
        _check_type(config, "features.windows.label", windows.label, columns, NUMBERS)
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
            f"features.split: it is by time; expected an event_time in {config.contracts} EXAMPLES, or another split."
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
