"""Which files a path or pattern names, on any file system that Hadoop reads; names hold whatever the file system allows.

Hadoop's own search for patterns, and its reader of local files with checksums, take a colon in a name for the end of a scheme.
Spark reads a path as a pattern, and passes over files whose names begin with `_` or `.`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrameReader, SparkSession
from pyspark.sql import functions as F

# Without checksums Hadoop opens a local file with a colon in its name; for others it goes on to check those that it wrote.
WITHOUT_CHECKSUMS = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",  # else Hadoop goes on with the one that it has
}
HIDDEN = re.compile(r"[._]|.*\._COPYING_$")
COLON_FIRST = re.compile(r"[^/:]+:(?!/)")
PATTERN = re.compile(r"[\[\]{}*?\\]")


class File(NamedTuple):
    """One file: its full path, size in bytes, and time of change in milliseconds since 1970."""

    path: str
    size: int
    changed: int


def list_files(spark: SparkSession, path: str) -> list[File]:
    """The files at a path or pattern, of folders all files below them, sorted by name; hidden files are left out.

    A path that exists as it is written is no pattern. Raises Py4JJavaError when the file system does not answer, does not
    exist, or the pattern is none.
    """
    system = file_system(spark, path)
    files, waiting = [], list(_matches(spark, system, path))
    while waiting:
        status = waiting.pop()
        if status.isDirectory():
            waiting += [child for child in system.listStatus(status.getPath()) if not _is_hidden(child) and not _is_loop(child)]
        else:
            files.append(File(status.getPath().toString(), status.getLen(), status.getModificationTime()))
    return sorted(files)


def qualified(spark: SparkSession, path: str) -> str:
    """A path or pattern as its file system takes it, absolute; of local files without the scheme."""
    qualified_path = file_system(spark, path).makeQualified(_path(spark, path)).toString()
    return re.sub("^file:/+", "/", str(qualified_path))


def is_hidden(path: str) -> bool:
    """Whether Spark passes over a file of that name."""
    return HIDDEN.match(path.rpartition("/")[2]) is not None


def file_system(spark: SparkSession, path: str) -> Any:
    """Hadoop's file system of a path, which opens local files with a colon in their names, too."""
    return _path(spark, path).getFileSystem(settings_for(spark, [path]))


def settings_for(spark: SparkSession, files: list[str]) -> Any:
    """Hadoop's configuration with which these files can be opened."""
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    if options := _options(files):
        settings = spark._jvm.org.apache.hadoop.conf.Configuration(settings)  # type: ignore[union-attr]
        for key, value in options.items():
            settings.set(key, value)
    return settings


def reader(spark: SparkSession, files: list[str]) -> DataFrameReader:
    """A reader for exactly these files, whatever is in their names."""
    return spark.read.options(recursiveFileLookup=True, __globPaths__=False, **_options(files))


def file_path(metadata: Column | None = None) -> Column:
    """The path of the file that a row is from, as the file system writes it: Spark's metadata have it as a URI."""
    path = (F.col("_metadata") if metadata is None else metadata).getField("file_path")
    decoded = F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))
    return F.when(F.contains(path, F.lit("%")), decoded).otherwise(path)


def _options(files: list[str]) -> dict[str, str]:
    return WITHOUT_CHECKSUMS if any(":" in file.rpartition("/")[2] for file in files) else {}


def _path(spark: SparkSession, path: str) -> Any:
    # What stands before a colon and no slash is taken for a scheme.
    return spark._jvm.org.apache.hadoop.fs.Path(f"./{path}" if COLON_FIRST.match(path) else path)  # type: ignore[union-attr]


def _is_hidden(status: Any) -> bool:
    name = status.getPath().getName()
    return is_hidden(name) if status.isFile() else name[0] in "._"


def _is_loop(status: Any) -> bool:
    """Whether a local folder is a link to one that it lies in: all files would be listed again below it."""
    uri = status.getPath().toUri()
    if uri.getScheme() not in (None, "file") or not status.isDirectory():
        return False
    path = str(uri.getPath())
    target, parent = os.path.realpath(path), os.path.realpath(Path(path).parent)
    return f"{parent}/".startswith(f"{target.rstrip('/')}/")


def _matches(spark: SparkSession, system: Any, path: str) -> Iterator[Any]:
    """What is at a path or pattern: files and folders."""
    full_path = _path(spark, path)
    if system.exists(full_path):
        yield system.getFileStatus(full_path)
    elif PATTERN.search(path):
        for expanded in spark._jvm.org.apache.hadoop.fs.GlobExpander.expand(path):  # type: ignore[union-attr]
            uri = system.makeQualified(_path(spark, expanded)).toUri()
            components = [part for part in uri.getPath().split("/") if part]
            statuses = _below(spark, system, (uri.getScheme(), uri.getAuthority()), "/", components)
            yield from (status for status in statuses if status.isDirectory() or not _is_hidden(status))


def _below(spark: SparkSession, system: Any, store: tuple[str, str], folder: str, components: list[str]) -> Iterator[Any]:
    """What the components of a pattern match below a folder."""
    hadoop: Any = spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
    if not components:
        yield system.getFileStatus(hadoop.Path(*store, folder))
        return
    pattern = hadoop.GlobPattern(components[0])
    base = folder.rstrip("/")
    if pattern.hasWildcard():
        try:
            children = system.listStatus(hadoop.Path(*store, folder))
        except Py4JJavaError as error:
            if not is_missing(error):
                raise
            return
        names = [child.getPath().getName() for child in children if len(components) == 1 or child.isDirectory()]
        matching = [name for name in names if pattern.matches(name)]
    else:
        name = re.sub(r"\\(.)", r"\1", components[0])
        matching = [name] if system.exists(hadoop.Path(*store, f"{base}/{name}")) else []
    for name in matching:
        yield from _below(spark, system, store, f"{base}/{name}", components[1:])


def is_missing(error: Py4JJavaError) -> bool:
    """Whether Java failed since a file or folder does not exist."""
    return str(error.java_exception.getClass().getSimpleName()) in ("FileNotFoundException", "NoSuchFileException")
