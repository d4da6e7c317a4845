"""OpenLineage's events as JSON: a run of a job, its datasets, and the facets of each. The format is that of
https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import pyspark
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from pipelines.config import Interval
from pipelines.runtime.code import code_version

SPEC = "https://openlineage.io/spec"
RUN_EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
URI = ":/?#[]@!$&'()*+,;=%-._~"  # what stands for itself in a URI, beside letters and digits
EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]
JobType = Literal["APPLICATION", "JOB"]


@dataclass(frozen=True)
class Facet:
    """One facet: its key, the version and name of its schema, and its content."""

    key: str
    version: str
    schema: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """A dataset that a run reads or writes, by OpenLineage's naming conventions; `statistics` are of this run alone."""

    namespace: str
    name: str
    facets: tuple[Facet, ...] = ()
    statistics: tuple[Facet, ...] = ()


@dataclass(frozen=True)
class LineageRun:
    """A run of a job: the names by which OpenLineage knows both."""

    namespace: str
    name: str
    run_id: UUID


@dataclass(frozen=True)
class RunEvent:
    """One change of a run's state, with what is known of the run by then."""

    type: EventType
    time: datetime
    run: LineageRun
    run_facets: tuple[Facet, ...] = ()
    job_facets: tuple[Facet, ...] = ()
    inputs: tuple[Dataset, ...] = ()
    outputs: tuple[Dataset, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The event as the API takes it."""
        return {
            "eventType": self.type,
            "eventTime": _instant(self.time),
            "producer": producer(),
            "schemaURL": RUN_EVENT,
            "run": {"runId": str(self.run.run_id), "facets": _facets(self.run_facets)},
            "job": {"namespace": self.run.namespace, "name": self.run.name, "facets": _facets(self.job_facets)},
            "inputs": [_dataset(each, "inputFacets") for each in self.inputs],
            "outputs": [_dataset(each, "outputFacets") for each in self.outputs],
        }


def producer() -> str:
    """The URI that identifies this version of ringmill."""
    return f"urn:ringmill:{code_version()}"


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facets(facets: Iterable[Facet]) -> dict[str, Any]:
    return {
        facet.key: {
            "_producer": producer(),
            "_schemaURL": f"{SPEC}/facets/{facet.version}/{facet.schema}.json#/$defs/{facet.schema}",
            **facet.content,
        }
        for facet in facets
    }


def _dataset(dataset: Dataset, statistics: str) -> dict[str, Any]:
    own = {statistics: _facets(dataset.statistics)} if dataset.statistics else {}
    return {"namespace": dataset.namespace, "name": dataset.name, "facets": _facets(dataset.facets), **own}


def job_type(kind: JobType) -> Facet:
    """That a job is a batch job of Spark's: a step (`JOB`), or an application of several."""
    content = {"processingType": "BATCH", "integration": "SPARK", "jobType": kind}
    return Facet("jobType", "2-0-4", "JobTypeJobFacet", content)


def engine() -> Facet:
    """The facet with the version of Spark that ran the job."""
    return Facet(
        "processing_engine", "1-1-1", "ProcessingEngineRunFacet", {"name": "spark", "version": str(pyspark.__version__)}
    )


def run_tags(run_id: str) -> Facet:
    """The run's id in the table `runs`, by which the two are joined."""
    tags = [{"key": "run_id", "value": run_id, "source": "RINGMILL"}]
    return Facet("tags", "1-0-0", "TagsRunFacet", {"tags": tags})


def nominal_time(interval: Interval) -> Facet:
    """The interval that a run works on."""
    bounds = {"nominalStartTime": _instant(interval.start), "nominalEndTime": _instant(interval.end)}
    return Facet("nominalTime", "1-0-1", "NominalTimeRunFacet", bounds)


def parent(run: LineageRun) -> Facet:
    """The run that started this one."""
    content = {"run": {"runId": str(run.run_id)}, "job": {"namespace": run.namespace, "name": run.name}}
    return Facet("parent", "1-2-0", "ParentRunFacet", content)


def error_message(message: str) -> Facet:
    """Why a run failed or was interrupted."""
    content = {"message": message, "programmingLanguage": "PYTHON"}
    return Facet("errorMessage", "1-0-1", "ErrorMessageRunFacet", content)


def data_source(name: str, uri: str) -> Facet:
    """The store that a dataset is in."""
    return Facet("dataSource", "1-0-1", "DatasourceDatasetFacet", {"name": name, "uri": quote(uri, safe=URI)})


def dataset_version(version: str) -> Facet:
    """Which version of a dataset was read or written: of a table its snapshot."""
    return Facet("version", "1-0-1", "DatasetVersionDatasetFacet", {"datasetVersion": version})


def symlink(namespace: str, name: str) -> Facet:
    """The name that a dataset has in a catalog, beside that of its files."""
    identifiers = [{"namespace": namespace, "name": name, "type": "TABLE"}]
    return Facet("symlinks", "1-0-1", "SymlinksDatasetFacet", {"identifiers": identifiers})


def schema(columns: StructType) -> Facet:
    """A dataset's columns, with Spark's names of their types."""
    return Facet("schema", "1-2-0", "SchemaDatasetFacet", {"fields": [_field(column) for column in columns.fields]})


def output_statistics(rows: int, size: int, files: int) -> Facet:
    """Rows, bytes and files that a run wrote."""
    content = {"rowCount": rows, "size": size, "fileCount": files}
    return Facet("outputStatistics", "1-0-2", "OutputStatisticsOutputDatasetFacet", content)


def _field(column: StructField) -> dict[str, Any]:
    """A column and what is nested in it, under the names that OpenLineage's Spark listener gives to elements."""
    comment = column.metadata.get("comment") if column.metadata else None
    nested = _nested(column.dataType)
    return {
        "name": column.name,
        "type": column.dataType.typeName(),
        **({"description": comment} if comment else {}),
        **({"fields": [_field(each) for each in nested]} if nested else {}),
    }


def _nested(type_: DataType) -> Sequence[StructField]:
    match type_:
        case StructType():
            return type_.fields
        case MapType():
            return StructField("key", type_.keyType), StructField("value", type_.valueType)
        case ArrayType():
            return (StructField("_element", type_.elementType),)
    return ()
