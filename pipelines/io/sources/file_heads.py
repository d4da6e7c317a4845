"""The beginnings of files, read by the driver: what the first line of one says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from pipelines.errors import DataError
from pipelines.io.java_errors import java_reason
from pipelines.io.sources.file_kinds import check_is_text
from pipelines.io.sources.file_names import file_system, settings_for

T = TypeVar("T")
FILES_AT_ONCE = 8
HEAD_BYTES = 1 << 16
HEAD_LIMIT_BYTES = 1 << 24


def over_heads(spark: SparkSession, files: list[str], source: str, work: Callable[[Iterable[bytes]], T]) -> list[T]:
    """What `work` returns for the beginning of each file, which it gets in pieces; several files at once.

    A compressed file is unpacked as its name's ending says. Raises DataError when a file can't be read.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(partial(_over_head, spark, source, work), files))


class _LongerError(Exception):
    """Raised within `over_heads` where the beginning that was read is too short."""


def _over_head(spark: SparkSession, source: str, work: Callable[[Iterable[bytes]], T], file: str) -> T:
    size = HEAD_BYTES
    while size <= HEAD_LIMIT_BYTES:
        head = _head(spark, file, size, source)
        check_is_text(head, file, source)
        try:
            return work(_pieces(head, is_whole=len(head) < size))
        except _LongerError:
            size *= 16
    raise DataError(
        f"source {source}: the first {HEAD_LIMIT_BYTES >> 20} MiB of {file} are blank, or one line; expected a header and "
        f"rows. Fix the file, or take it out of sources.{source}.path."
    )


def _pieces(head: bytes, *, is_whole: bool) -> Iterator[bytes]:
    yield head
    if not is_whole:
        raise _LongerError


def _head(spark: SparkSession, file: str, size: int, source: str) -> bytes:
    hadoop: Any = spark._jvm.org.apache.hadoop  # type: ignore[union-attr]
    path = hadoop.fs.Path(file)
    stream = None
    try:
        stream = file_system(spark, file).open(path)
        codec = hadoop.io.compress.CompressionCodecFactory(settings_for(spark, [file])).getCodec(path)
        return bytes((codec.createInputStream(stream) if codec else stream).readNBytes(size))
    except Py4JJavaError as error:
        raise DataError(
            f"source {source}: {file} can't be read ({java_reason(error)}). Is it whole, and compressed as its name says? "
            f"May this user read it?"
        ) from error
    finally:
        if stream is not None:
            stream.close()
