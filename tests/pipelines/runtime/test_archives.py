"""Drivers and Python workers take pyspark from where it is installed, if that is the same version."""

import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines.runtime.archives import without_archives


def archives(folder: Path, files: dict[str, str]) -> list[str]:
    """Spark's two archives, that of pyspark with files in it, and a jar."""
    paths = [str(folder / name) for name in ("pyspark.zip", "py4j-0.10.9.9-src.zip", "spark.jar")]
    for path in paths:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items() if path.endswith("pyspark.zip") else ():
                archive.writestr(name, text)
    return paths


@pytest.mark.parametrize("quote", ["'", '"'])
def test_archives_of_the_installed_version_are_left_out(tmp_path: Path, quote: str) -> None:
    *packed, jar = archives(tmp_path, {"pyspark/version.py": f"__version__: str = {quote}{version('pyspark')}{quote}\n"})
    assert without_archives(["", *packed, jar, "/elsewhere"]) == ["", jar, "/elsewhere"]


@pytest.mark.parametrize("files", [{"pyspark/version.py": "__version__ = '4.0.99'\n"}, {}])
def test_archives_of_another_version_stay(tmp_path: Path, files: dict[str, str]) -> None:
    path = [*archives(tmp_path, files), "/elsewhere"]
    assert without_archives(path) == path


def test_archives_that_are_not_there_stay(tmp_path: Path) -> None:
    path = [str(tmp_path / "pyspark.zip")]
    assert without_archives(path) == path


def test_tasks_write_their_temporary_files_to_their_executors_folder(spark: SparkSession) -> None:
    def folder(_: object) -> str:
        import tempfile

        return tempfile.gettempdir()

    directory = Path(spark.sparkContext.parallelize([0], 1).map(folder).first())
    assert directory.name.startswith("blockmgr-"), directory


def test_tasks_have_the_installed_pyspark(spark: SparkSession) -> None:
    def module_files(_: object) -> tuple[str, str]:
        import py4j
        import pyspark

        return pyspark.__file__, py4j.__file__

    paths = spark.sparkContext.parallelize([0], 1).map(module_files).first()
    assert not any(".zip" in path for path in paths), paths
