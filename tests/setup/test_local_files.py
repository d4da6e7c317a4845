"""Local files by ringmill's own class for Hadoop: permissions are those that chmod would set, on files, links and folders."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession


@pytest.fixture
def files(spark: SparkSession) -> Any:
    """Hadoop's local file system, as Spark and Iceberg find it."""
    context = spark.sparkContext
    return context._jvm.org.apache.hadoop.fs.FileSystem.get(context._jsc.hadoopConfiguration())  # type: ignore[union-attr]


def set_permission(spark: SparkSession, files: Any, path: Path, bits: int) -> None:
    """Set a file's permission bits by Hadoop."""
    hadoop = spark.sparkContext._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
    files.setPermission(hadoop.Path(str(path)), hadoop.permission.FsPermission(f"{bits:04o}"))


def bits_of(path: Path) -> int:
    """The permission bits that the system has of it."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_class_path_of_a_session_ends_in_it(files: Any) -> None:
    assert files.getClass().getName() == "ringmill.LocalFiles"


@pytest.mark.parametrize("bits", [0o000, 0o421, 0o124, 0o644, 0o777, 0o1777])  # the last has a bit that Java has no name for
def test_permissions_are_set_bit_by_bit(spark: SparkSession, files: Any, tmp_path: Path, bits: int) -> None:
    file, folder, link = tmp_path / "it's a file", tmp_path / "folder", tmp_path / "link"
    file.touch()
    folder.mkdir()
    link.symlink_to(file)
    set_permission(spark, files, folder, bits)
    set_permission(spark, files, link, bits)
    assert (bits_of(file), bits_of(folder)) == (bits, bits)


def test_a_file_that_is_not_there_is_an_error_of_input_and_output(spark: SparkSession, files: Any, tmp_path: Path) -> None:
    with pytest.raises(Py4JJavaError, match=r"java\.nio\.file\.NoSuchFileException: .*/none"):
        set_permission(spark, files, tmp_path / "none", 0o644)


def test_new_files_follow_the_mask_of_hadoop_and_have_a_checksum_beside_them(
    spark: SparkSession, files: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rows"
    stream = files.create(spark.sparkContext._jvm.org.apache.hadoop.fs.Path(str(path)))  # type: ignore[union-attr]
    stream.write(7)
    stream.close()
    assert path.read_bytes() == b"\7"
    assert {file.name for file in tmp_path.iterdir()} == {".rows.crc", "rows"}
    assert (bits_of(path), bits_of(tmp_path / ".rows.crc")) == (0o644, 0o644)
