"""What Spark's Python workers do between tasks, and need not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from zipimport import zipimporter

if TYPE_CHECKING:
    import pyarrow as pa


def forget_archives() -> None:
    """Have the next Python task of this process start at once: a task calls this as it begins.

    Spark has Python look again, before every task, for modules that may have come. For an archive Python then reads the list of
    what is in it anew, for each package that was imported from there; pyspark is one, and each jar of `spark.jars.packages`:
    together a quarter of a second of processor a task. What is forgotten is looked up again where it is needed.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]


def numbers_of_task(batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    """The numbers in the one column of a task's rows, each of which names a piece of its work. Such a task begins by this."""
    forget_archives()
    for batch in batches:
        yield from batch.column(0).to_pylist()
