"""What every step is given: configuration, interval, session and tables, with the columns that select an interval's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from pipelines.cleaning.accounting import Account
from pipelines.config import Interval, Pipeline
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Bound
from pipelines.io.filesystem import warehouse_uri
from pipelines.io.lake import Lake
from pipelines.io.scopes import scope_of
from pipelines.io.sources.base import Source
from pipelines.io.sources.kinds import make_source
from pipelines.io.tables import same_interval, within_interval
from pipelines.runtime.activity import Activity
from pipelines.runtime.beside import Beside, work_beside
from pipelines.runtime.lineage_transport import ApplicationLineage
from pipelines.runtime.runs import RunLog, new_run_id
from pipelines.runtime.times import as_arguments, shown_span
from schemas import tables

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """One application's run: its configuration, interval or window (with time zones), session, tables and terminal.

    `analysed` names the sources whose promises Spark has analysed; all steps and intervals of an application share it.
    `config_path` is where the configuration lies; `allow_gaps` lets a window be read of which parts are not cleaned.
    """

    config: Pipeline
    interval: Interval
    spark: SparkSession
    lake: Lake
    runs: RunLog
    console: Console
    analysed: set[str] = field(default_factory=set)
    activity: Activity = field(default_factory=Activity)
    lineage: ApplicationLineage = field(default_factory=ApplicationLineage)
    config_path: str = ""
    allow_gaps: bool = False

    def over(self, interval: Interval) -> Context:
        """The same run at work on another interval."""
        return replace(self, interval=interval, runs=RunLog(self.lake, interval))

    def again(self, interval: Interval) -> Context:
        """Another run, at work on an interval that this one may have done before: what was made of that is stale by its id."""
        lake = Lake(self.spark, self.lake.namespace, new_run_id())
        return replace(self, interval=interval, lake=lake, runs=RunLog(lake, interval))

    @property
    def run_id(self) -> str:
        """The run that everything written now is stamped with."""
        return self.lake.run_id

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Start (included) and end (excluded) of the interval."""
        return self.interval.start, self.interval.end

    @property
    def zone(self) -> ZoneInfo:
        """The pipeline's time zone."""
        return ZoneInfo(self.config.timezone)

    def shown(self, start: datetime, end: datetime) -> str:
        """A span of time for a message, in the pipeline's time zone."""
        return shown_span(start, end, self.zone)

    def arguments(self, start: datetime, end: datetime) -> str:
        """A span of time as the arguments of a job."""
        return as_arguments(start, end, self.zone)

    @property
    def in_interval(self) -> Column:
        """Selects the interval's rows in any table."""
        return same_interval(*self.bounds)

    @property
    def replaced(self) -> Column:
        """Selects the rows that ingest and clean replace: the interval's, and those of all intervals within it."""
        return within_interval(*self.bounds)

    @property
    def whose_replaced(self) -> dict[str, object]:
        """The same for tables of few rows."""
        return {"interval_from": Bound(">=", self.interval.start), "interval_to": Bound("<=", self.interval.end)}

    @property
    def whose_interval(self) -> dict[str, object]:
        """The same for tables of few rows, which the driver reads and writes itself."""
        return {"interval_from": self.interval.start, "interval_to": self.interval.end}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The configured sources by name."""
        spool = f"{warehouse_uri(self.config.lake)}/_spool/{self.config.pipeline}"
        return {name: make_source(name, section).keeping(f"{spool}/{name}") for name, section in self.config.sources.items()}

    def raw(self, name: str, rows: int | None = None) -> DataFrame:
        """A source's landed rows of all intervals; `rows` says how many are read of them, where that is known."""
        return self.lake.read(tables.raw(self.config.contract(name)).name, rows=rows)

    def clean(self, name: str, rows: int | None = None) -> DataFrame:
        """A source's clean rows of all intervals; `rows` as of `raw`."""
        return self.lake.read(tables.clean(self.config.contract(name)).name, rows=rows)

    def stamped(self, frame: DataFrame) -> DataFrame:
        """The frame with the run and the interval beside each row."""
        start, end = self.bounds
        return frame.withColumns({"run_id": F.lit(self.run_id), "interval_from": F.lit(start), "interval_to": F.lit(end)})

    def scope(self, step: str) -> str:
        """What a step replaces: the rows that it wrote for this interval. Steps share tables, never a scope."""
        start, end = (bound.astimezone(UTC) for bound in self.bounds)
        return scope_of(step, [(start, end)])

    def audit(self, step: str) -> Audit:
        """Start a step's writes, which are checked before any of them is seen."""
        return Audit(self.lake, self.scope(step), f"{step} {self.shown(*self.bounds)}")

    @property
    def all_artifacts(self) -> str:
        """Where all runs of the pipeline keep what is not a table."""
        return f"{warehouse_uri(self.config.lake)}/_artifacts/{self.config.pipeline}"

    def artifacts(self, kind: str) -> str:
        """Where this run keeps what is not a table."""
        return f"{self.all_artifacts}/{kind}/{self.run_id}"

    def each(self, work: Callable[[str], T]) -> dict[str, T]:
        """Do a piece of work for every source, several at once: the driver plans and commits one while another runs."""
        sources = self.config.sources
        return dict(zip(sources, self.at_once(*(partial(self._of_source, work, name) for name in sources)), strict=True))

    def _of_source(self, work: Callable[[str], T], name: str) -> T:
        with self.activity.source(self.spark.sparkContext, name):
            return work(name)

    def at_once(self, *works: Callable[[], T]) -> list[T]:
        """Do pieces of work, several at once; their results, in order. After an error what has not begun does not begin."""
        with self.beside() as beside:
            begun = [beside.start(work) for work in works]
            return [one.result() for one in begun]

    def beside(self) -> AbstractContextManager[Beside]:
        """Within it work can be started beside the caller's own; see `work_beside`."""
        return work_beside(self.spark)

    def write_ledger(self, audit: Audit, step: str, accounts: Iterable[Account], replaced: Sequence[str] | None = None) -> None:
        """Write a step's accounts to row_ledger, in the place of the interval's former ones.

        Where `replaced` is given, also in the place of those of intervals within it, which it names.
        """
        where = self.whose_interval if replaced is None else self.whose_replaced
        audit.write_rows(tables.ROW_LEDGER, self.ledger_rows(step, accounts, replaced), {**where, "step": step})

    def ledger_rows(self, step: str, accounts: Iterable[Account], replaced: Sequence[str] | None) -> list[dict[str, object]]:
        """A step's accounts of the interval as rows of row_ledger."""
        start, end = self.bounds
        return [
            {
                "run_id": self.run_id, "step": step, "source": a.source, "interval_from": start, "interval_to": end,
                "rows_in": a.rows_in, "rows_out": a.rows_out, "quarantined": a.quarantined,
                "duplicates": a.duplicates, "repeated": a.repeated, "filtered": a.filtered, "replaced": replaced or None,
            }
            for a in accounts
        ]  # fmt: skip
