"""What file sources share: which files there are, whether they have changed, and what the first line of one says."""

from __future__ import annotations

import re
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from pipelines.config import Interval
from pipelines.errors import DataError, ExternalError, RingmillError
from pipelines.io.source import Source
from schemas.contract import Table

FILES_AT_ONCE = 8
HEAD_BYTES = 1 << 16
HEAD_LIMIT_BYTES = 1 << 24
PLACEHOLDER = re.compile(r"\{(from|to)(?::([^}]*))?\}")


class File(NamedTuple):
    """One file: its full path, size in bytes, and time of change in milliseconds since 1970."""

    path: str
    size: int
    changed: int


class FileSource(Source):
    """A source that lies in files, on any file system that Spark reads.

    `path` is a file, a folder or a pattern. `{from:%Y-%m-%d}` and `{to:…}` in it stand for the interval's bounds, as strftime
    writes them in the pipeline's time zone; then a run is given its own interval's files, else all of them.
    """

    path: str

    @property
    def place(self) -> str:
        """The path as it is configured."""
        return self.path

    @property
    def sliced(self) -> bool:
        """Whether the path depends on the interval."""
        return PLACEHOLDER.search(self.path) is not None

    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """Each file's name, size and time of change; empty when there is no file."""
        return ";".join(f"{file.path}:{file.size}:{file.changed}" for file in list_files(spark, self.path_for(interval)))

    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's files' rows, as `Source.read` says."""
        path = self.path_for(interval)
        files = list_files(spark, path)
        if not files:
            raise ExternalError(
                f"source {contract.name}: no file at {qualified(spark, path)}. Mend sources.{contract.name}.path (a relative "
                f"one counts from the folder in which the job was started), or put the file there (`make data` extracts the "
                f"example's)."
            )
        filled = [file.path for file in files if file.size]
        if not filled:
            raise DataError(f"source {contract.name}: {qualified(spark, path)} is empty; expected rows.")
        return self.read_files(spark, contract, filled)

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """What Spark said of a file that it can't read."""
        told = unreadable(error)
        return DataError(f"source {contract.name}: {told}. Mend or remove the file. No table was changed.") if told else None

    def path_for(self, interval: Interval) -> str:
        """The path or pattern of an interval's files."""
        bounds = {"from": interval.start, "to": interval.end}
        return PLACEHOLDER.sub(lambda found: bounds[found[1]].strftime(found[2] or "%Y-%m-%d"), self.path)

    @abstractmethod
    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The rows of files that are there and hold something, in the columns of `received`."""


def list_files(spark: SparkSession, path: str) -> list[File]:
    """The files at a path or pattern, of folders all files below them but hidden ones, sorted by name."""
    pattern = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    system = pattern.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    found, left = [], list(system.globStatus(pattern) or ())
    while left:
        status = left.pop()
        if status.isDirectory():
            left += [child for child in system.listStatus(status.getPath()) if child.getPath().getName()[0] not in "._"]
        else:
            found.append(File(status.getPath().toString(), status.getLen(), status.getModificationTime()))
    return sorted(found)


def qualified(spark: SparkSession, path: str) -> str:
    """A path or pattern as its file system takes it, absolute; of local files without the scheme."""
    pattern = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    system = pattern.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    whole = pattern.makeQualified(system.getUri(), system.getWorkingDirectory()).toString()
    return re.sub("^file:/+", "/", str(whole))


def exact(path: str) -> str:
    """A file's path as a pattern that matches that file alone."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def read_text(spark: SparkSession, files: list[str]) -> DataFrame:
    """The files' lines as Spark reads text, bytes that are not UTF-8 included: one column `value`."""
    return spark.read.option("recursiveFileLookup", True).text([exact(file) for file in files])


def first_lines(spark: SparkSession, files: list[str], source: str) -> list[bytes]:
    """Each file's first line that is not blank, without its end; empty where there is none.

    A compressed file is unpacked as its name's ending says. Raises DataError when a file can't be read.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(lambda file: _first_line(spark, file, source), files))


def unreadable(error: Exception) -> str | None:
    """What Spark said when a job failed because a file's content can't be read; None for any other failure."""
    found = re.search(r"\[FAILED_READ_FILE[^\]]*\] ?([^\n]*)", str(error))
    if found is None:
        return None
    causes = re.findall(r"Caused by: [\w.$]*?(\w+(?:Exception|Error))(?:: ([^\n]*))?", str(error))
    cause = f" ({causes[-1][0]}: {causes[-1][1]})" if causes else ""
    return f"{found[1].split(' SQLSTATE')[0].strip()}{cause}"


def _first_line(spark: SparkSession, file: str, source: str) -> bytes:
    size = HEAD_BYTES
    while True:
        head = _head(spark, file, size, source)
        lines = re.split(rb"\r\n|\n|\r", head)
        whole = lines if len(head) < size else lines[:-1]
        for line in whole:
            if line.strip(b"\xef\xbb\xbf \t"):
                return line
        if len(head) < size or size >= HEAD_LIMIT_BYTES:
            return b""
        size *= 16


def _head(spark: SparkSession, file: str, size: int, source: str) -> bytes:
    hadoop: Any = spark._jvm.org.apache.hadoop  # type: ignore[union-attr]
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    path = hadoop.fs.Path(file)
    stream = path.getFileSystem(settings).open(path)
    try:
        codec = hadoop.io.compress.CompressionCodecFactory(settings).getCodec(path)
        return bytes((codec.createInputStream(stream) if codec else stream).readNBytes(size))
    except Py4JJavaError as error:
        raise DataError(
            f"source {source}: {file} can't be read ({error.java_exception}). Is it whole, and compressed as its name says?"
        ) from error
    finally:
        stream.close()
