"""Pages through Spark's Python data sources: tasks fetch them to a spool, then others read the spool's records as rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from pipelines.errors import DataError, ExternalError, RingmillError
from pipelines.io.sources.http_client import Client, RefusedError
from pipelines.io.sources.http_pages import Api, PageReceipt, read_numbered, walk
from pipelines.io.sources.page_spool import Spool

RECEIPTS = "number bigint, records bigint, total bigint, digest string, error string, message string"
ROWS = "line string, address string, page bigint, row bigint"
ERRORS: dict[str, type[RingmillError]] = {error.__name__: error for error in (DataError, ExternalError, RefusedError)}


@dataclass(frozen=True)
class FetchJob:
    """What the tasks that fetch need. It is pickled with the data source's class, so its token is in no option and no plan."""

    api: Api
    spool: Spool


class Fetch:
    """One source's pages, fetched and read by Spark's tasks."""

    def __init__(self, spark: SparkSession, job: FetchJob) -> None:
        self.job = job
        self._spark = spark
        self._format = f"ringmill_{self.source}_{uuid.uuid4().hex[:8]}"
        spark.dataSource.register(type(self._format, (_Pages,), {"job": job}))

    @property
    def spool(self) -> Spool:
        """Where the pages are kept."""
        return self.job.spool

    @property
    def source(self) -> str:
        """The name of the source that the pages come from."""
        return self.job.api.access.source

    def pages(self, start: int = 1, last: int = 0, tasks: int = 1) -> list[PageReceipt]:
        """Fetch the pages from `start` to `last`, or to wherever paging ends when that is 0; return their receipts in order.

        Raises the error of the first task that had one: tasks hand errors over as rows, since Spark would repeat a task that
        fails, with all its requests.
        """
        rows = self._load("fetch", start, last, tasks).collect()
        for row in rows:
            if row.error:
                raise ERRORS[row.error](row.message)
        return sorted(PageReceipt(row.number, row.records, row.total, row.digest) for row in rows)

    def rows(self, pages: int) -> DataFrame:
        """The records of so many pages in the spool, each as JSON text, with its page's address and number, and its place."""
        return self._load("rows", 1, pages, min(pages, self._spark.sparkContext.defaultParallelism))

    def _load(self, mode: str, start: int, last: int, tasks: int) -> DataFrame:
        return self._spark.read.format(self._format).options(what=mode, start=start, last=last, tasks=tasks).load()


@dataclass(frozen=True)
class _Share(InputPartition):
    """One task's pages; `last` 0 is wherever paging ends."""

    start: int
    last: int
    step: int

    @property
    def numbers(self) -> range:
        return range(self.start, self.last + 1, self.step)


class _Pages(DataSource):
    job: ClassVar[FetchJob]

    def schema(self) -> str:
        return RECEIPTS if self.options["what"] == "fetch" else ROWS

    def reader(self, schema: StructType) -> DataSourceReader:
        start, last, tasks = (int(self.options[name]) for name in ("start", "last", "tasks"))
        shares = [_Share(start + task, last, tasks) for task in range(tasks)]
        return (_Fetcher if self.options["what"] == "fetch" else _SpoolReader)(self.job, shares)


class _PageReader(DataSourceReader):
    def __init__(self, job: FetchJob, shares: list[_Share]) -> None:
        self.job = job
        self.shares = shares

    def partitions(self) -> Sequence[InputPartition]:
        return self.shares


class _Fetcher(_PageReader):
    def read(self, partition: _Share) -> Iterator[tuple[object, ...]]:  # type: ignore[override]
        api, spool = self.job.api, self.job.spool
        client = Client(api.access, len(self.shares), self.shares.index(partition))
        try:
            numbered = read_numbered(api, spool, client, partition.numbers)
            for receipt in numbered if partition.last else walk(api, spool, client):
                yield (*receipt, None, None)
        except RingmillError as error:
            yield (None, None, None, None, type(error).__name__, str(error))


class _SpoolReader(_PageReader):
    def read(self, partition: _Share) -> Iterator[tuple[object, ...]]:  # type: ignore[override]
        for number in partition.numbers:
            page = self.job.spool.read(number)
            if page is None:
                raise ExternalError(
                    f"source {self.job.api.access.source}: page {number} is no longer in {self.job.spool.folder}, from which "
                    f"another run of the same interval has removed it. Run again."
                )
            for row, record in enumerate(page.records):
                yield record, page.address, page.number, row
