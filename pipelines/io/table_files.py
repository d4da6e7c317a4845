"""The files of a table (Java's) as its metadata have them, looked at by the driver; for tables of few files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any


def planned_files(scan: Any) -> Iterator[Any]:
    """The data files (Java's) that a scan reads."""
    tasks = scan.planFiles()
    try:
        yield from (task.file() for task in _items(tasks))
    finally:
        tasks.close()


def surplus_files(table: Any, below: float) -> int:
    """How many files fewer the table would have, were those of a partition that have fewer bytes than `below` one file."""
    small: Counter[tuple[int, str]] = Counter()
    for file in planned_files(table.newScan()):
        if int(file.fileSizeInBytes()) < below:
            spec = int(file.specId())
            small[spec, str(table.specs()[spec].partitionToPath(file.partition()))] += 1
    return small.total() - len(small)


def referenced_files(jvm: Any, table: Any) -> Iterator[str]:
    """The URIs of all files that the table's metadata refer to: the metadata's own, and the data files of all snapshots."""
    iceberg, io = jvm.org.apache.iceberg, table.io()
    reachable = iceberg.ReachableFileUtil
    yield from map(str, reachable.metadataFileLocations(table, False))
    yield from map(str, reachable.manifestListLocations(table))
    yield from map(str, reachable.statisticsFilesLocations(table))
    yield str(reachable.versionHintLocation(table))
    yield from {str(each.path()) for snapshot in table.snapshots() for each in snapshot.allManifests(io)}
    manifests = {str(each.path()): each for snapshot in table.snapshots() for each in snapshot.dataManifests(io)}
    for manifest in manifests.values():
        files = iceberg.ManifestFiles.read(manifest, io, table.specs())
        try:
            yield from (str(file.location()) for file in _items(files))
        finally:
            files.close()


def _items(iterable: Any) -> Iterator[Any]:
    """What an iterable of Java's gives that py4j does not know as one."""
    iterator = iterable.iterator()
    while iterator.hasNext():
        yield iterator.next()
