"""The examples: rows joined and derived from the clean tables, each with an id and a split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from posixpath import dirname
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import ColumnSplit, EntitySplit, Pipeline, TimeSplit, load
from pipelines.errors import ConfigError
from pipelines.expressions import col, cols
from pipelines.io.filesystem import delete_folder, idle_folders, is_local
from pipelines.io.remote_rows import read_rows, write_rows
from pipelines.io.row_groups import Files, files_at, files_of
from pipelines.runtime.checks import example_time, examples_contract
from pipelines.runtime.context import Context
from pipelines.runtime.session import broadcast_joins, short_methods
from pipelines.runtime.window import WindowRows, window_of, window_rows
from pipelines.stages.splits import outside_embargo, split_by_entity, split_by_time
from pipelines.stages.windows import windowed
from pipelines.steps.baselines import with_baselines
from pipelines.steps.derived import as_declared, check_types
from schemas import tables as stored
from schemas.contract import Table


class Examples(NamedTuple):
    """The derived rows, their files, the clean rows that they were derived from by source, and the clean tables' snapshots."""

    rows: DataFrame
    files: Files
    sources: dict[str, WindowRows]
    snapshots: dict[str, int | None]


@contextmanager
def examples(context: Context, by: str, *, baselines: bool = False) -> Iterator[Examples]:
    """The window's examples with their contract's columns, a row id and a split, in files of a folder that is there while
    they are used. With `baselines` labelled rows have what each baseline predicts, a column each.

    Files, and not Spark's cache: they take less time to make, tasks read them by Arrow, and what is held in memory does not
    grow with the rows. Raises DataError, in the name of the step `by`, when the window is not cleaned.
    """
    config = context.config
    contract = examples_contract(config)
    snapshots = context.each(lambda name: context.lake.snapshot_id(stored.clean(config.contract(name)).name))
    window = window_of(context, by)
    # The derivation reads the table as often as it likes: of Parquet only the columns that it takes, which is quicker than
    # Spark's cache of all of them.
    sources = context.each(lambda name: window_rows(context, window, name))
    tables = {name: source.rows for name, source in sources.items()}
    derive = load(config.features.derive, "features.derive")
    derived: DataFrame = derive(tables, {**config.features.parameters, "timezone": config.timezone})
    _check_derived(config, contract, derived)
    declared = as_declared(contract, derived)
    if config.features.windows:
        declared = windowed(declared, config.features.windows, config.features.sequence)
    if window.since < window.start:
        declared = declared.where(col(example_time(config)) >= F.lit(window.start))
    end = context.interval.end
    split = _split(config, contract.event_time, end)
    identified = declared.withColumns({"row_id": F.xxhash64(*cols(contract.key)), "split": split})
    rows = identified.withColumn("label", _outside_embargo(config, contract.event_time, end))
    if baselines:
        rows = with_baselines(config, rows)
    folder = context.artifacts("examples")
    for leftover in idle_folders(dirname(folder), timedelta(days=config.maintain.audit_days).total_seconds()):
        _remove(leftover)
    try:
        with short_methods(context.spark, len(rows.columns)):
            with broadcast_joins(context.spark, sum(source.rows_in for source in sources.values())):
                files = _write(rows, folder)
            yield Examples(_read(context, rows, folder, files), files, sources, snapshots)
    finally:
        _remove(folder)


def _remove(folder: str) -> None:
    """Remove a folder; what can't be removed now, by this job or another at the same time, a later one removes."""
    with suppress(OSError):
        delete_folder(folder)


def _write(rows: DataFrame, folder: str) -> Files:
    """Write the examples, by Spark to a local or mounted folder, and by Arrow to a remote store (pipelines.io.remote_rows)."""
    if not is_local(folder):
        return files_at(write_rows(rows, folder))
    rows.write.options(**_file_options(rows)).parquet(folder)
    return files_of(folder)


def _read(context: Context, rows: DataFrame, folder: str, files: Files) -> DataFrame:
    """The examples as they were written, with the columns of `rows`."""
    if not is_local(folder):
        return read_rows(context.spark, files, rows.schema)
    # A warehouse's path may have brackets in it. Without the schema Spark would read it from a file, by a job.
    read = context.spark.read.schema(rows.schema).option("__globPaths__", "false").parquet(folder)
    return read.select(*cols(rows.columns))


def _file_options(rows: DataFrame) -> dict[str, str]:
    """Small row groups, so that a task holds little, and dictionaries for texts alone: to find out that numbers hardly repeat
    takes a third of the writing.
    """
    texts = {f"parquet.enable.dictionary#{name}": "true" for name, type_ in rows.dtypes if type_ == "string"}
    return {"compression": "lz4_raw", "parquet.block.size": str(32 << 20), "parquet.enable.dictionary": "false", **texts}


def _check_derived(config: Pipeline, contract: Table, derived: DataFrame) -> None:
    """Raise ConfigError when derived rows lack a column of their contract, have one twice, or of another type."""
    if not isinstance(derived, DataFrame):
        raise ConfigError(f"features.derive: {config.features.derive} gives {type(derived).__name__}; expected a DataFrame.")
    derived_names = {name.lower() for name in derived.columns}
    if lacking := [name for name in contract.column_names if name.lower() not in derived_names]:
        raise ConfigError(
            f"features.derive: {config.features.derive} gives no column {', '.join(lacking)}; expected all that "
            f"{config.contracts} EXAMPLES declares, received {', '.join(derived.columns)}. Derive them, or declare them no "
            f"longer."
        )
    check_types(config, contract, derived)


def _split(config: Pipeline, event_time: str | None, end: datetime) -> Column:
    split = config.features.split
    if isinstance(split, EntitySplit):
        return split_by_entity(split.columns, split.validation, split.test, split.seed)
    if isinstance(split, ColumnSplit):
        return col(split.column)
    return split_by_time(col(str(event_time)), *split.bounds(end))


def _outside_embargo(config: Pipeline, event_time: str | None, end: datetime) -> Column:
    split, label = config.features.split, F.col("label")
    if not isinstance(split, TimeSplit) or not split.embargo_hours:
        return label
    return outside_embargo(label, col(str(event_time)), split.bounds(end), split.embargo_hours)
