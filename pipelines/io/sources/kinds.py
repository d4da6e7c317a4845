"""The kinds of source there are. Another kind is one module beside this one, and one entry here."""

from __future__ import annotations

from pydantic import ValidationError

from pipelines.config import SourceSection, explain, shortened
from pipelines.errors import ConfigError
from pipelines.io.sources.base import Source
from pipelines.io.sources.csv_files import CsvFiles
from pipelines.io.sources.jdbc import JdbcTable
from pipelines.io.sources.json_files import JsonFiles
from pipelines.io.sources.parquet_files import ParquetFiles
from pipelines.io.sources.rest import RestApi

KINDS: dict[str, type[Source]] = {
    "csv": CsvFiles,
    "jsonl": JsonFiles,
    "parquet": ParquetFiles,
    "rest": RestApi,
    "jdbc": JdbcTable,
}


def make_source(name: str, section: SourceSection) -> Source:
    """The source that a section of the configuration describes; raises ConfigError, naming each wrong key."""
    kind = KINDS.get(section.kind)
    if kind is None:
        raise ConfigError(f"sources.{name}.kind: unknown kind '{section.kind}'; expected one of {', '.join(KINDS)}.")
    try:
        return kind.model_validate(section.model_dump())
    except ValidationError as error:
        raise ConfigError(shortened(explain(error, kind, f"sources.{name}"))) from error
    except ConfigError as error:  # which no report of Pydantic's may show
        raise ConfigError(f"sources.{name}: {error}") from error
