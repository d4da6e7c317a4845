"""The catalog's settings, and a warehouse that can't be used."""

from pathlib import Path

import pytest

from pipelines.config import LakeConfig
from pipelines.errors import ExternalError
from pipelines.io.catalog import catalog_settings, check_warehouse


def test_the_embedded_catalog_is_sqlite_under_the_warehouse(tmp_path: Path) -> None:
    settings = catalog_settings(LakeConfig(warehouse=str(tmp_path)))
    assert settings["spark.sql.catalog.lake.type"] == "jdbc"
    assert settings["spark.sql.catalog.lake.uri"].startswith(f"jdbc:sqlite:{tmp_path}/catalog.db?journal_mode=WAL")


def test_a_catalog_of_the_configuration_takes_its_place() -> None:
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


def test_a_warehouse_is_made_and_left_empty(tmp_path: Path) -> None:
    check_warehouse(LakeConfig(warehouse=str(tmp_path / "new")))
    assert list((tmp_path / "new").iterdir()) == []
