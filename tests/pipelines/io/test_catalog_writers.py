"""Writers of one catalog lose and double no commit. `benchmarks/catalog_writers.py` has more of them, in processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.catalog_check import Contents, Faults, Kind, Result, WriteCheck, WriteOutcome
from benchmarks.catalog_work import contents, writes
from benchmarks.catalog_writers import CATALOGS
from pipelines.config import LakeConfig
from pipelines.io.catalog import catalog_settings
from pipelines.io.lake import Lake
from tests.conftest import session_on

NONE = Faults(set(), set(), set())
WHOLE = [("w1n1", 0), ("w1n1", 1)]


def outcome(number: int, kind: Kind, result: Result = "succeeded") -> WriteOutcome:
    """A write of writer 1."""
    return WriteOutcome(
        writer=1, number=number, kind=kind, slot={"own": "1-1", "shared": "shared"}.get(kind, ""), result=result
    )


def faults(*outcomes: WriteOutcome, events: str = "", nights: str = "", rows: list[tuple[str, int]] | None = None) -> Faults:
    """What is wrong where `events` and `nights` are the runs of the snapshots, and `rows` those of the slots."""
    slots = {name: {each.slot: rows or [] for each in outcomes if each.slot} for name in ("nights", "row_ledger")}
    snapshots = {"events": events.split(), "nights": nights.split(), "row_ledger": nights.split()}
    return WriteCheck(outcomes, Contents(snapshots=snapshots, events=events.split(), slots=slots)).faults()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("w1n1 w1n2", NONE),
        ("w1n1", Faults({"w1n2"}, set(), set())),
        ("w1n1 w1n2 w1n1", Faults(set(), {"w1n1"}, set())),
        ("w1n1 w1n2 w1n3", Faults(set(), set(), {"w1n3"})),
        ("w1n1 w1n2 w1n4", NONE),
        ("w1n1 w1n2 w9n9", Faults(set(), set(), {"w9n9"})),
    ],
)
def test_appends_are_there_once_and_failed_ones_not(events: str, expected: Faults) -> None:
    of_all = [outcome(1, "rows"), outcome(2, "frame"), outcome(3, "rows", "failed"), outcome(4, "frame", "unknown")]
    assert faults(*of_all, events=events) == expected


@pytest.mark.parametrize(
    ("nights", "rows", "expected"),
    [
        ("w1n0 w1n1", WHOLE, NONE),
        ("w1n0 w1n1", [("w1n1", 0)], Faults({"w1n1"}, set(), set())),
        ("w1n0 w1n1", [("w1n0", 0), ("w1n0", 1)], Faults({"w1n1"}, set(), {"w1n0"})),
        ("w1n0 w1n1", [*WHOLE, ("w1n1", 1)], Faults(set(), {"w1n1"}, set())),
        ("w1n1", WHOLE, Faults({"w1n0"}, set(), set())),
        ("w1n0 w1n1 w1n0", [("w1n0", 0), ("w1n0", 1)], Faults(set(), {"w1n0"}, set())),
        ("w1n0 w1n1 w1n2", WHOLE, NONE),
        ("w1n0 w1n1 w1n2", [("w1n2", 0), ("w1n2", 1)], Faults({"w1n1"}, set(), {"w1n2"})),
    ],
)
def test_a_slot_has_the_rows_of_the_last_successful_write_alone(
    nights: str, rows: list[tuple[str, int]], expected: Faults
) -> None:
    of_all = [outcome(0, "shared"), outcome(1, "shared"), outcome(2, "shared", "refused")]
    assert faults(*of_all, nights=nights, rows=rows) == expected


@pytest.fixture(scope="module", params=CATALOGS)
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeConfig]:
    """Each kind of catalog, new."""
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "warehouse").mkdir()
    with CATALOGS[request.param](folder) as catalog:
        yield LakeConfig(warehouse=str(folder / "warehouse"), catalog=catalog)


def session_of(spark: SparkSession, lake: LakeConfig) -> SparkSession:
    """Another session, with a connection of its own to a catalog."""
    session = session_on(spark, Path(lake.warehouse))
    for key, value in catalog_settings(lake).items():
        session.conf.set(key, value)
    return session


@pytest.mark.slow
def test_a_namespace_that_many_create_at_once_is_open_to_all(spark: SparkSession, lake: LakeConfig) -> None:
    sessions = [session_of(spark, lake) for _ in range(6)]
    with ThreadPoolExecutor(len(sessions)) as pool:
        for namespace in ("first", "second"):
            lakes = list(pool.map(partial(Lake, namespace=namespace, run_id="run1"), sessions))
            assert [each.tables() for each in lakes] == [[]] * 6


@pytest.mark.slow
def test_writers_of_one_catalog_lose_and_double_no_commit(spark: SparkSession, lake: LakeConfig) -> None:
    sessions = [session_of(spark, lake) for _ in range(3)]
    with ThreadPoolExecutor(len(sessions)) as pool:
        results = list(pool.map(lambda each: list(writes(each[1], each[0], seconds=1)), enumerate(sessions)))
    outcomes = [outcome for of_writer in results for outcome in of_writer]
    assert [outcome for outcome in outcomes if outcome.result not in ("succeeded", "refused")] == []
    assert {outcome.kind for outcome in outcomes if outcome.result == "succeeded"} == {"rows", "own", "frame", "shared"}
    assert WriteCheck(outcomes, contents(session_of(spark, lake))).faults() == NONE
