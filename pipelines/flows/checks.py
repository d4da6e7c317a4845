"""What can be known to be wrong before Spark starts: a configuration against its contracts."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.config import Pipeline, load
from pipelines.errors import ConfigError
from pipelines.io.sources import make_source
from schemas.contract import Table

NUMBERS = ("int", "bigint", "float", "double", "boolean")


def examples_contract(config: Pipeline) -> Table:
    """The contract of what the pipeline's derive function gives."""
    contract: Table = load(f"{config.contracts}:EXAMPLES", "contracts")
    return contract


def check_config(config: Pipeline) -> None:
    """Raise ConfigError when a source has no contract, or a feature no column of the right type."""
    for name, section in config.sources.items():
        config.contract(name)
        make_source(name, section)
    if config.features.rows_of not in config.sources:
        raise ConfigError(
            f"features.rows_of: '{config.features.rows_of}' is no source; expected one of {', '.join(config.sources)}."
        )
    load(config.features.derive, "features.derive")
    examples = examples_contract(config)
    columns = {column.name: column.type for column in examples.columns}
    wanted: dict[str, tuple[Iterable[str], tuple[str, ...]]] = {
        "numeric": (config.features.numeric, NUMBERS),
        "cyclic": (config.features.cyclic, NUMBERS),
        "categorical": (config.features.categorical, ("string",)),
    }
    for kind, (features, types) in wanted.items():
        for name in features:
            if name not in columns:
                raise ConfigError(
                    f"features.{kind}.{name}: unknown column; expected one of {', '.join(columns)}. Mend the name, or "
                    f"declare the column in {config.contracts} EXAMPLES and derive it."
                )
            if columns[name] not in types:
                raise ConfigError(
                    f"features.{kind}.{name}: the column is of type {columns[name]}; expected {' or '.join(types)}."
                )
