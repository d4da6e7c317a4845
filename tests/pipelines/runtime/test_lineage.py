"""Lineage events of real runs are OpenLineage's: valid by its schemas, with the tables, rows and ends of the runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from pyspark.sql import SparkSession

from pipelines.config import Interval
from pipelines.errors import DataError
from pipelines.interruption import Interrupted
from pipelines.runtime import many as bulk
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.intervals import run_intervals
from pipelines.runtime.lineage import PARENT_ID, end_application
from pipelines.runtime.lineage_transport import ApplicationLineage
from pipelines.runtime.log_context import LOG_CONTEXT
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from tests.log import one_warning
from tests.pipelines.conftest import Run, visitor

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("openlineage_schemas/*.json")}
REGISTRY = jsonschema_rs.Registry([(schema["$id"], schema) for schema in SCHEMAS.values()])
OUTER = "01890000-0000-7000-8000-000000000000"
VISITS = ["1,2013-05-01 10:00,50,a", "2,2013-05-01 11:00,5,b", "2,2013-05-01 11:00,5,b", "x,2013-05-01 12:00,5,b", "3,4"]
Event = dict[str, Any]


def validate(schema: str, value: object) -> None:
    """Hold a value against one of OpenLineage's own schemas, formats of addresses, times and UUIDs included."""
    jsonschema_rs.validator_for(SCHEMAS[schema], registry=REGISTRY, validate_formats=True).validate(value)


def facets_of(event: Event) -> list[dict[str, Any]]:
    """All groups of facets in an event."""
    datasets = [*event["inputs"], *event["outputs"]]
    groups = [event["run"]["facets"], event["job"]["facets"], *(dataset["facets"] for dataset in datasets)]
    return [*groups, *(dataset["outputFacets"] for dataset in datasets if "outputFacets" in dataset)]


def check_valid(event: Event) -> None:
    """Hold an event against the schema of events, and each facet against that which its `_schemaURL` names."""
    validate("OpenLineage", event)
    for facets in facets_of(event):
        for name, facet in facets.items():
            address, _, pointer = facet["_schemaURL"].partition("#/$defs/")
            assert SCHEMAS[pointer]["$id"] == address and name in SCHEMAS[pointer]["properties"]
            validate(pointer, {name: facet})


@pytest.fixture
def lineage(tmp_path: Path) -> Callable[[], list[Event]]:
    """Gives the events that runs have sent since the last call, each of them valid."""
    path, sent = tmp_path / "lineage" / "events.jsonl", 0

    def _events() -> list[Event]:
        nonlocal sent
        events = [json.loads(line) for line in path.read_text().splitlines()]
        new, sent = events[sent:], len(events)
        for event in new:
            check_valid(event)
        return new

    return _events


def events_to(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Edits a configuration so that its events go to a file of the folder."""

    def _edit(content: dict[str, Any]) -> None:
        content["openlineage"] = {"transport": {"type": "file", "path": str(folder / "lineage" / "events.jsonl")}}

    return _edit


@pytest.fixture
def to_file(tmp_path: Path) -> Callable[[dict[str, Any]], None]:
    """Edits a configuration so that its events go to a file."""
    return events_to(tmp_path)


def by_table(datasets: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Datasets by the last part of their name."""
    return {dataset["name"].rpartition("/")[2]: dataset for dataset in datasets}


def test_the_schemas_refuse_what_is_no_event() -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        validate("OpenLineage", {"eventTime": "yesterday", "producer": "urn:x:1", "schemaURL": "urn:x:2"})
    with pytest.raises(jsonschema_rs.ValidationError):
        validate("NominalTimeRunFacet", {"nominalTime": {"_producer": "urn:x:1", "_schemaURL": "urn:x:2"}})


class Reported(NamedTuple):
    """A run of ingest and clean in one application, and the events that it sent, each of them valid."""

    context: Context
    folder: Path
    events: list[Event]


@pytest.fixture(scope="module")
def reported(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """Five visits, two of them no good and one a copy, landed and cleaned by a job that Airflow started."""
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "visits-05-01.csv").write_text("\n".join(["id,at,spent,shop", *VISITS]) + "\n")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(LOG_CONTEXT, "job", "pipeline")
        monkeypatch.setenv(PARENT_ID, f"http://airflow:8080/nights.ingest/{OUTER}")
        context = visitor(spark, folder, monkeypatch)(INGEST, CLEAN, config=events_to(folder))
        end_application(context)
    events = [json.loads(line) for line in (folder / "lineage" / "events.jsonl").read_text().splitlines()]
    for event in events:
        check_valid(event)
    return Reported(context, folder, events)


def test_an_application_and_its_steps_send_a_start_and_an_end_each(reported: Reported) -> None:
    pipeline, events = reported.context.config.pipeline, reported.events
    steps = [f"{pipeline}.{name}" for name in ("jobs.pipeline", "ingest", "ingest", "clean", "clean", "jobs.pipeline")]
    assert [event["job"]["name"] for event in events] == steps
    assert [event["eventType"] for event in events] == ["START", "START", "COMPLETE", "START", "COMPLETE", "COMPLETE"]
    assert len({event["run"]["runId"] for event in events}) == 3


def test_the_parent_of_an_application_is_the_run_that_the_environment_names(reported: Reported) -> None:
    parent = reported.events[0]["run"]["facets"]["parent"]
    assert parent["run"] == {"runId": OUTER}
    assert parent["job"] == {"namespace": "http://airflow:8080", "name": "nights.ingest"}


def test_a_step_names_its_application_its_interval_and_its_run(reported: Reported) -> None:
    context, (application, *steps, _) = reported.context, reported.events
    pipeline = context.config.pipeline
    for event in steps:
        facets = event["run"]["facets"]
        assert facets["parent"]["run"]["runId"] == application["run"]["runId"]
        assert facets["parent"]["job"] == {"namespace": pipeline, "name": f"{pipeline}.jobs.pipeline"}
        assert facets["nominalTime"]["nominalStartTime"] == "2013-05-01T00:00:00.000Z"
        assert facets["nominalTime"]["nominalEndTime"] == "2013-05-02T00:00:00.000Z"
        assert facets["tags"]["tags"] == [{"key": "run_id", "value": context.run_id, "source": "RINGMILL"}]


def test_inputs_are_the_files_and_the_snapshots_that_were_read(reported: Reported) -> None:
    _, ingest, ingested, clean, cleaned, _ = reported.events
    assert ingest["outputs"] == [] and by_table(clean["inputs"]).keys() == {"raw_visits", "raw_shops"}
    assert {(one["namespace"], one["name"]) for one in ingested["inputs"]} == {
        ("file", str(reported.folder)),  # the path of visits has the interval's bounds in its name
        ("file", str(reported.folder / "shops.csv")),
    }
    raw = by_table(cleaned["inputs"])["raw_visits"]
    assert raw["facets"]["version"]["datasetVersion"] == str(reported.context.lake.snapshot_id("raw_visits"))


def test_outputs_are_the_tables_with_the_rows_that_were_written(reported: Reported) -> None:
    _, _, ingested, _, cleaned, _ = reported.events
    check_tables(reported.context, ingested, {"raw_visits": 5, "raw_shops": 2, "row_ledger": 2})
    check_tables(reported.context, cleaned, {"clean_visits": 2, "clean_shops": 2, "quarantine": 2, "row_ledger": 2})


def test_a_tables_columns_have_their_types_and_descriptions(reported: Reported) -> None:
    cleaned = reported.events[4]
    fields = {field["name"]: field for field in by_table(cleaned["outputs"])["clean_visits"]["facets"]["schema"]["fields"]}
    assert {name: fields[name]["type"] for name in ("id", "at", "spent", "shop")} == {
        "id": "integer", "at": "timestamp", "spent": "double", "shop": "string",
    }  # fmt: skip
    assert fields["spent"]["description"] == "euros"


def check_tables(context: Context, event: Event, rows: dict[str, int]) -> None:
    """Hold an event's outputs against the rows that were written by hand, and the catalog's snapshots and folders."""
    outputs = by_table(event["outputs"])
    counts = {name: dataset["outputFacets"]["outputStatistics"]["rowCount"] for name, dataset in outputs.items()}
    assert {name: counts[name] for name in rows} == rows
    warehouse = context.spark.conf.get("spark.sql.catalog.lake.warehouse")
    for name in rows:
        assert (outputs[name]["namespace"], outputs[name]["name"]) == ("file", f"{warehouse}/{context.lake.namespace}/{name}")
        [link] = outputs[name]["facets"]["symlinks"]["identifiers"]
        assert link["name"] == f"{context.lake.namespace}.{name}" and link["type"] == "TABLE"
    for name in {"raw_visits", "clean_visits"} & outputs.keys():
        assert outputs[name]["facets"]["version"]["datasetVersion"] == str(context.lake.snapshot_id(name))
        files = context.spark.table(f"{context.lake.identifier(name)}.files").collect()
        statistics = outputs[name]["outputFacets"]["outputStatistics"]
        assert (statistics["size"], statistics["fileCount"]) == (sum(f.file_size_in_bytes for f in files), len(files))


def test_a_run_that_fails_or_is_interrupted_says_why(
    visit: Run, to_file: Callable[[dict[str, Any]], None], lineage: Callable[[], list[Event]]
) -> None:
    context = visit(config=to_file)
    errors: dict[str, BaseException] = {"FAIL": DataError("no rows."), "ABORT": Interrupted(signal.SIGTERM)}
    for end, error in errors.items():

        def work(_: Context, error: BaseException = error) -> Outcome:
            raise error

        with pytest.raises(type(error)):
            execute(Step("probe", (), lambda _: {}, work), context, force=True)
        started, ended = lineage()
        assert (started["eventType"], ended["eventType"]) == ("START", end)
        assert ended["run"]["runId"] == started["run"]["runId"] and "parent" not in ended["run"]["facets"]
        facet = ended["run"]["facets"]["errorMessage"]
        assert (facet["message"], facet["programmingLanguage"]) == (str(error), "PYTHON")


def test_a_batch_of_intervals_is_one_run_with_the_rows_of_all(
    visit: Run,
    tmp_path: Path,
    to_file: Callable[[dict[str, Any]], None],
    lineage: Callable[[], list[Event]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "FEWEST", 2)
    for day in (1, 2):
        (tmp_path / f"visits-05-0{day}.csv").write_text(f"id,at,spent,shop\n{day},2013-05-0{day} 10:00,5,a\n")
    context = visit(config=to_file)
    days = [Interval(start=datetime(2013, 5, day, tzinfo=UTC), end=datetime(2013, 5, day + 1, tzinfo=UTC)) for day in (1, 2)]
    run_intervals([INGEST], context, days, force=False)
    started, ended = lineage()
    assert (started["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert ended["run"]["facets"]["nominalTime"]["nominalEndTime"] == "2013-05-03T00:00:00.000Z"
    check_tables(context, ended, {"raw_visits": 2})


def test_lineage_that_can_not_be_gathered_or_written_is_one_warning(
    visit: Run,
    tmp_path: Path,
    to_file: Callable[[dict[str, Any]], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "lineage").write_text("no folder")
    context = visit(config=to_file)
    probe = Step("probe", (), lambda _: {}, lambda _: Outcome())
    for _ in range(3):
        execute(probe, context, force=True)
    warning = one_warning(caplog)
    assert warning.startswith("openlineage.transport.path: an event was not sent (File exists). See that")

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("pipelines.runtime.lineage.input_datasets", fail)
    execute(probe, replace(context, lineage=ApplicationLineage()), force=True)
    warning = one_warning(caplog)
    assert warning.startswith("openlineage: a lineage event could not be built (ZeroDivisionError: a bug). The")
    monkeypatch.setenv(PARENT_ID, "a/b/no-uuid")
    execute(probe, replace(context, lineage=ApplicationLineage()), force=True)
    warning = one_warning(caplog)
    assert "OPENLINEAGE_PARENT_ID: expected <namespace>/<job>/<run>, the run a UUID; received 'a/b/no-uuid'" in warning
