"""The files of a table (Java's) as its metadata have them, looked at by the driver; for tables of few files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any


def planned_tasks(scan: Any) -> Generator[Any, None, None]:
    """What a scan (Java's) reads: a data file each, with what is left to select in it, and its deletes."""
    return _items(scan.planFiles())


def planned_files(scan: Any) -> Iterator[Any]:
    """The data files (Java's) that a scan reads."""
    return (task.file() for task in planned_tasks(scan))


def surplus_files(table: Any, below: float) -> int:
    """How many files compaction would save: of each partition's files with fewer bytes than `below` all but one."""
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
        yield from (str(file.location()) for file in _items(iceberg.ManifestFiles.read(manifest, io, table.specs())))


def _items(iterable: Any) -> Generator[Any, None, None]:
    """What a closeable iterable of Java's gives, which py4j does not know as one; it is closed afterwards."""
    try:
        iterator = iterable.iterator()
        while iterator.hasNext():
            yield iterator.next()
    finally:
        iterable.close()
