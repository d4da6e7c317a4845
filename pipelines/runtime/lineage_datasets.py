"""The datasets of lineage events: sources and Iceberg tables, named as OpenLineage's conventions and its Spark listener do."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.config import LakeConfig, Pipeline
from pipelines.io.filesystem import warehouse_uri
from pipelines.io.sources.base import Source
from pipelines.io.table_metadata import TableMetadata
from pipelines.io.variables import expanded
from pipelines.runtime.context import Context
from pipelines.runtime.lineage_events import Dataset, Facet, data_source, dataset_version, output_statistics, schema, symlink
from pipelines.runtime.step import Step
from schemas import tables

TAGGED = ("features", tables.FEATURE_STATS.name)  # of which a training run's snapshots keep a tag
DATABASES = {"postgresql": "postgres", "mariadb": "mysql"}  # by JDBC's name, OpenLineage's
PORTS = {"postgres": 5432, "mysql": 3306}
PATTERN = re.compile(r"[*?\[{]")


def input_datasets(step: Step, context: Context, inputs: dict[str, str]) -> tuple[Dataset, ...]:
    """What a step reads: sources, and tables at the snapshots that they have now, or had when a model was trained."""
    datasets = []
    for name in step.reads:
        if name == "sources":
            datasets += [source_dataset(source) for source in context.sources.values()]
            continue
        for table in tables_of(name, context.config):
            tag = f"train_{inputs['train']}" if table in TAGGED and "train" in inputs else None
            if context.lake.exists(table):
                datasets.append(_read_table(context, table, tag))
    return tuple(datasets)


def output_datasets(context: Context, outputs: dict[str, int]) -> tuple[Dataset, ...]:
    """The tables that a run published, at its snapshots, with the rows that it wrote."""
    return tuple(_written_table(context, table, snapshot) for table, snapshot in sorted(outputs.items()))


def tables_of(name: str, config: Pipeline) -> list[str]:
    """The tables that an entry of a step's `reads` stands for: `raw_*` and `clean_*` are each source's."""
    if name.endswith("*"):
        return [f"{name.removesuffix('*')}{source}" for source in config.sources]
    return [name]


def _read_table(context: Context, table: str, tag: str | None) -> Dataset:
    metadata = TableMetadata(context.spark, context.lake.identifier(table))
    snapshot = (metadata.snapshot_id(tag) if tag else None) or metadata.snapshot_id()
    namespace, name = dataset_name(metadata.location)
    return Dataset(namespace, name, _table_facets(context, table, metadata, snapshot))


def _written_table(context: Context, table: str, snapshot: int) -> Dataset:
    metadata = TableMetadata(context.spark, context.lake.identifier(table))
    added = metadata.added(snapshot)
    namespace, name = dataset_name(metadata.location)
    facets = _table_facets(context, table, metadata, snapshot)
    return Dataset(namespace, name, facets, (output_statistics(added.rows, added.size, added.files),))


def _table_facets(context: Context, table: str, metadata: TableMetadata, snapshot: int | None) -> tuple[Facet, ...]:
    return (
        schema(metadata.schema),
        data_source(*_store(metadata.location)),
        symlink(catalog_namespace(context.config.lake), f"{context.lake.namespace}.{table}"),
        *((dataset_version(str(snapshot)),) if snapshot is not None else ()),
    )


def dataset_name(location: str) -> tuple[str, str]:
    """Namespace and name of what lies at a path or URI: `file` and its path, `s3://bucket` and its key."""
    parts = urlsplit(location)
    if parts.scheme in ("", "file"):
        return "file", _path_of(location).rstrip("/") or "/"
    if parts.scheme in ("s3", "s3a", "s3n", "gs"):
        scheme = "gs" if parts.scheme == "gs" else "s3"
        return f"{scheme}://{parts.netloc}", _path_of(location).strip("/") or "/"
    return f"{parts.scheme}://{parts.netloc}", _path_of(location).rstrip("/") or "/"


def catalog_namespace(config: LakeConfig) -> str:
    """The catalog's address as it is configured; the warehouse's where the address holds parameters or variables, or there is
    none.
    """
    address = config.catalog.get("uri", "")
    if address and not re.search(r"[?;@]|\$\{", address):
        return re.sub("^thrift:", "hive:", address)
    namespace, path = dataset_name(warehouse_uri(config))
    return f"file:{path}" if namespace == "file" else f"{namespace}/{path.strip('/')}"


def source_dataset(source: Source) -> Dataset:
    """The dataset that a source is: files, a table of a database, or the path of an API."""
    location = source.location
    if location.startswith("jdbc:"):
        namespace, name = _database_name(location)
        return Dataset(namespace, name, (data_source(namespace, namespace),))
    if source.kind == "rest":
        parts = urlsplit(expanded(location, "url"))
        namespace = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return Dataset(namespace, _folder_of_pattern(parts.path).strip("/") or "/", (data_source(namespace, namespace),))
    path = _folder_of_pattern(location)
    if urlsplit(path).scheme == "":
        path = str(Path(path).absolute())
    return Dataset(*dataset_name(path), (data_source(*_store(path)),))


def _store(location: str) -> tuple[str, str]:
    """The name and URI of the store that a path or URI is in."""
    namespace, _ = dataset_name(location)
    return namespace, "file:///" if namespace == "file" else namespace


def _path_of(location: str) -> str:
    """A URI's path as it is written: a `?` or `#` in the name of a file is no query."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*:(?=/)", "", location)
    return "/" + rest[2:].partition("/")[2] if rest.startswith("//") else rest


def _folder_of_pattern(path: str) -> str:
    """A path, or the folder above the first part of it that is a pattern or holds a bound of the interval."""
    if not PATTERN.search(path) or Path(path).exists():
        return path
    return posixpath.dirname(path[: PATTERN.search(path).start()])  # type: ignore[union-attr]


def _database_name(location: str) -> tuple[str, str]:
    """`postgres://host:port` and `database.schema.table` of a JDBC address and a table; of a database that OpenLineage has no
    convention for, the address and the table.
    """
    address, _, table = location.removeprefix("jdbc:").partition(" ")
    parts = urlsplit(address)
    scheme = DATABASES.get(parts.scheme, parts.scheme)
    database = parts.path.strip("/")
    if scheme not in PORTS or "," in parts.netloc or not database:
        return address, table
    schema_of = "public." if scheme == "postgres" and "." not in table else ""
    return f"{scheme}://{parts.hostname or 'localhost'}:{parts.port or PORTS[scheme]}", f"{database}.{schema_of}{table}"
