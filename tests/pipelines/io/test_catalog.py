"""The catalog's settings, and a warehouse that can't be used."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tenacity import wait_none

from pipelines.config import LakeConfig
from pipelines.errors import ConfigError, ExternalError
from pipelines.io import lake
from pipelines.io.catalog import catalog_settings, check_warehouse, redaction_settings
from pipelines.io.lake import Lake
from setup.postgres import PostgresServer
from tests.conftest import session_on


def test_the_embedded_catalog_is_sqlite_under_the_warehouse(tmp_path: Path) -> None:
    settings = catalog_settings(LakeConfig(warehouse=str(tmp_path)))
    assert settings["spark.sql.catalog.lake.type"] == "jdbc"
    assert settings["spark.sql.catalog.lake.uri"].startswith(f"jdbc:sqlite:{tmp_path}/catalog.db?journal_mode=WAL")


def test_a_catalog_of_the_configuration_replaces_the_embedded_one() -> None:
    settings = catalog_settings(LakeConfig(warehouse="s3://b/w", catalog={"type": "rest", "uri": "http://127.0.0.1:1"}))
    assert settings == {
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.warehouse": "s3://b/w",
        "spark.sql.catalog.lake.type": "rest",
        "spark.sql.catalog.lake.uri": "http://127.0.0.1:1",
    }


def test_a_relative_warehouse_counts_from_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert catalog_settings(LakeConfig(warehouse="w"))["spark.sql.catalog.lake.warehouse"] == str(tmp_path / "w")


def test_a_warehouse_that_cannot_be_written_is_exit_5(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExternalError, match=r"lake\.warehouse: .*file/w can't be written to \(Not a directory\)") as caught:
        check_warehouse(LakeConfig(warehouse=str(tmp_path / "file" / "w")))
    assert caught.value.exit_code == 5


def test_a_warehouse_is_created_and_stays_empty(tmp_path: Path) -> None:
    check_warehouse(LakeConfig(warehouse=str(tmp_path / "new")))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_new_catalog_that_many_open_at_once_is_open_to_all(spark: SparkSession, tmp_path: Path) -> None:
    for attempt in range(5):
        sessions = [session_on(spark, tmp_path / str(attempt)) for _ in range(6)]
        (tmp_path / str(attempt)).mkdir()
        with ThreadPoolExecutor(len(sessions)) as pool:
            lakes = list(pool.map(lambda session: Lake(session, "shared", "run1"), sessions))
        assert [lake.tables() for lake in lakes] == [[]] * 6


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that can't be opened is tried as often as ever, without the seconds between."""
    monkeypatch.setattr(lake, "_pause", wait_none())


@pytest.mark.usefixtures("impatient")
def test_a_catalog_that_cannot_be_opened_is_exit_5(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("no database, but text that is long enough for SQLite to see it" * 100)
    with pytest.raises(ExternalError, match=r"lake\.catalog: the catalog can't be opened \(.* tried 8 times"):
        Lake(session_on(spark, tmp_path), "broken", "run1")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "catalog",
    [
        {"type": "nosuch"},
        {"type": "rest", "uri": "http://127.0.0.1:1"},
        {"type": "jdbc", "uri": "jdbc:nosuch://there/db"},
    ],
)
def test_a_catalog_of_wrong_settings_is_exit_5_and_one_sentence(
    spark: SparkSession, tmp_path: Path, catalog: dict[str, str]
) -> None:
    session = session_on(spark, tmp_path)
    for key, value in catalog.items():
        session.conf.set(f"spark.sql.catalog.lake.{key}", value)
    with pytest.raises(ExternalError, match=r"^lake\.catalog: the catalog can't be opened \(.+; tried \d times\)\.") as caught:
        Lake(session, "broken", "run1")
    assert "\n" not in str(caught.value) and "org." not in str(caught.value)


def test_a_warehouse_in_a_store_without_a_client_is_exit_2(spark: SparkSession, tmp_path: Path) -> None:
    session = session_on(spark, tmp_path)
    for key, value in {"type": "hadoop", "warehouse": "s4://bucket/there"}.items():
        session.conf.set(f"spark.sql.catalog.lake.{key}", value)
    with pytest.raises(ConfigError, match=r"^lake\.warehouse: Spark has no client for s4://\. Add the jar of Hadoop's client"):
        Lake(session, "broken", "run1")


def test_spark_hides_what_a_catalog_has_from_the_environment() -> None:
    catalog = {"type": "rest", "uri": "http://h", "header.X-Key": "${KEY}", "credential": "id:word", "jdbc.password": "${PW}"}
    for rule, hides in ((None, ("credential", "jdbc.password", "s3.secret-access-key", "s3.access-key-id", "header.X-Key")),
                        ("(?i)mine", ("mine", "jdbc.password", "header.X-Key"))):  # fmt: skip
        pattern = redaction_settings(LakeConfig(warehouse="w", catalog=catalog), rule)["spark.redaction.regex"]
        for name in hides:
            assert re.search(pattern, f"spark.sql.catalog.lake.{name}"), name
        for name in ("spark.sql.catalog.lake.uri", "spark.sql.catalog.lake.type", "spark.sql.catalog.lake.header.X-Keys"):
            assert not re.search(pattern, name), name
    assert redaction_settings(LakeConfig(warehouse="w"), "mine") == {"spark.redaction.regex": "mine"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("scheme", ["jdbc", "rest"])
def test_a_wrong_connection_tells_no_secret(spark: SparkSession, tmp_path: Path, postgres: PostgresServer, scheme: str) -> None:
    server = f"{postgres.url}?user={postgres.user}&password=verysecret"
    catalogs = {
        "jdbc": {"type": "jdbc", "uri": server, "jdbc.password": "verysecret", "jdbc.user": postgres.user},
        "rest": {"type": "rest", "uri": "http://127.0.0.1:1", "credential": "me:verysecret", "token": "verysecret"},
    }
    session = session_on(spark, tmp_path)
    for key, value in catalogs[scheme].items():
        session.conf.set(f"spark.sql.catalog.lake.{key}", value)
    with pytest.raises(ExternalError, match=r"^lake\.catalog: the catalog can't be opened") as caught:
        Lake(session, "broken", "run1")
    assert "verysecret" not in str(caught.value)
