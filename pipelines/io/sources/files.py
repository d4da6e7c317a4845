"""What file sources share: which files there are of which period, and whether they have changed."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from py4j.protocol import Py4JJavaError
from pydantic import AfterValidator, Field, model_validator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.config.lengths import begins_period, check_period
from pipelines.errors import ConfigError, DataError, ExternalError, RingmillError
from pipelines.io.java_errors import java_reason, unreadable
from pipelines.io.missing_clients import missing_client
from pipelines.io.periods import FILE, PERIOD, by_file, frame_of
from pipelines.io.sources.base import Source, received
from pipelines.io.sources.file_names import File, is_hidden, list_files, qualified, reader
from schemas.contract import Table

PLACEHOLDER = re.compile(r"\{(from|to)(?::([^}]*))?\}")


Period = Annotated[str, AfterValidator(check_period), Field(description="period such as day, 6 hours or 3 months")]


class FileSource(Source):
    """A source that lies in files, on any file system that Spark reads."""

    path: Annotated[str, Field(min_length=1)]
    """File, folder or pattern, on any file system that Spark reads. With `{from:%Y-%m-%d}` or `{to:…}`, the bounds of a period
    by strftime, a run reads the files of its interval's periods, else all.
    """
    every: Period | None = None
    """Length of the period of a file, by the calendar. A path with `{from}` and `{to}` may do without: its period is the
    interval.
    """
    missing: Literal["fail", "report"] = "fail"
    """Whether a period without a file fails the run (exit 5), or is reported and lands nothing."""

    @model_validator(mode="after")
    def _period_declared(self) -> FileSource:
        bounds = {match[1] for match in PLACEHOLDER.finditer(self.path)}
        if bounds and self.every is None and bounds != {"from", "to"}:
            raise ValueError(
                f"path {self.path} has a period, but not how long it is; expected every, such as `every: day` or `every: month`"
            )
        if not bounds and (self.every or self.missing == "report"):
            raise ValueError(
                f"every and missing are of a period in the path, and {self.path} has none; expected one, such as {{from:%Y-%m}}"
            )
        return self

    @property
    def location(self) -> str:
        """The path as it is configured."""
        return self.path

    @property
    def sliced(self) -> bool:
        """Whether the path depends on the interval."""
        return PLACEHOLDER.search(self.path) is not None

    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """Each file's name, size and time of change; empty when there is no file.

        Raises ConfigError when the interval is no whole number of the path's periods.
        """
        files = [file for period_files in self._by_path(spark, contract, interval).values() for file in period_files]
        return ";".join(f"{file.path}:{file.size}:{file.changed}" for file in files)

    def absent(self, spark: SparkSession, contract: Table, interval: Interval) -> list[str]:
        """The paths of periods without a file, where these are to be reported."""
        if self.missing == "fail":
            return []
        return [qualified(spark, path) for path, files in self._by_path(spark, contract, interval).items() if not files]

    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's files' rows, as `Source.read` says; of several periods each row with its own (`PERIOD`)."""
        files = self._filled(spark, contract, interval)
        rows = self._of_files(spark, contract, [file for file, _ in files])
        periods = {start for _, start in files}
        return rows if len(periods) < 2 else by_file(rows, [{FILE: file, PERIOD: start} for file, start in dict(files).items()])

    @property
    def reads_many(self) -> bool:
        """A file's path says to which intervals its rows belong."""
        return True

    def read_many(self, spark: SparkSession, contract: Table, intervals: Sequence[Interval]) -> DataFrame:
        """The rows of several intervals, as `Source.read_many` says."""
        bounds = [{"interval_from": interval.start, "interval_to": interval.end} for interval in intervals]
        if not self.sliced:
            return self.read(spark, contract, intervals[0]).crossJoin(F.broadcast(frame_of(spark, bounds)))
        values = [
            {FILE: file, PERIOD: start, **interval_columns}
            for interval, interval_columns in zip(intervals, bounds, strict=True)
            for file, start in self._filled(spark, contract, interval)
        ]
        return by_file(self._of_files(spark, contract, list(dict.fromkeys(str(value[FILE]) for value in values))), values)

    def _of_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        return self.read_files(spark, contract, files) if files else received(spark.range(0), contract, {})

    def _filled(self, spark: SparkSession, contract: Table, interval: Interval) -> list[tuple[str, datetime]]:
        """The interval's files that hold something, each with the start of its period."""
        by_path = self._by_path(spark, contract, interval)
        without = [path for path, files in by_path.items() if not files]
        if without and self.missing == "fail":
            more = f" (nor those of {len(without) - 1:,} other periods)" if len(without) > 1 else ""
            raise ExternalError(
                f"source {contract.name}: no file at {qualified(spark, without[0])}{more}. Fix sources.{contract.name}.path "
                f"(a relative one counts from the folder in which the job was started), or put the file there (`make data` "
                f"extracts the example's)."
            )
        starts = {self.path_for(period): period.start for period in self.periods(contract, interval)}
        files = [(file, starts[path]) for path, files in by_path.items() for file in files]
        filled = [(file.path, start) for file, start in files if file.size]
        if files and not filled:
            raise DataError(f"source {contract.name}: {qualified(spark, next(iter(by_path)))} is empty; expected rows.")
        return filled

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """The error of a file that Spark can't read."""
        reason = unreadable(error)
        return DataError(f"source {contract.name}: {reason}. Fix or remove the file. No table was changed.") if reason else None

    def path_for(self, interval: Interval) -> str:
        """The path or pattern of a period's files."""
        bounds = {"from": interval.start, "to": interval.end}
        return PLACEHOLDER.sub(lambda match: bounds[match[1]].strftime(match[2] or "%Y-%m-%d"), self.path)

    def periods(self, contract: Table, interval: Interval) -> list[Interval]:
        """The interval in the periods of the path; raises ConfigError when it is no whole number of them."""
        if self.every is None:
            return [interval]
        ends = (interval.start, interval.end)
        if not all(begins_period(bound, self.every) for bound in ends):
            start, end = (f"{bound:%Y-%m-%d %H:%M}" for bound in ends)
            raise ConfigError(
                f"sources.{contract.name}.every: the interval {start} to {end} is no whole number of periods of the calendar "
                f"({self.every}), of each of which the path {self.path} names a file; expected bounds at which periods begin. "
                f"Give --from and --to that do."
            )
        return interval.cut(self.every)

    def _by_path(self, spark: SparkSession, contract: Table, interval: Interval) -> dict[str, list[File]]:
        paths = dict.fromkeys(self.path_for(period) for period in self.periods(contract, interval))
        return {path: self._list(spark, path, contract) for path in paths}

    def _list(self, spark: SparkSession, path: str, contract: Table) -> list[File]:
        try:
            files = list_files(spark, path)
        except Py4JJavaError as error:
            reason = java_reason(error)
            if "PatternSyntax" in str(error.java_exception.getClass().getName()):
                raise ConfigError(
                    f"sources.{contract.name}.path: '{path}' is no pattern: {reason}. Write \\ before a bracket "
                    f"or brace that is part of a name."
                ) from error
            if missing := missing_client(error, f"sources.{contract.name}.path"):
                raise missing from error
            raise ExternalError(
                f"source {contract.name}: the file system does not list {path}: {reason}. Check sources.{contract.name}.path, "
                f"that its file system is configured and answers, and that this user may read it."
            ) from error
        if hidden := [file.path for file in files if is_hidden(file.path)]:
            raise DataError(
                f"source {contract.name}: Spark passes over {', '.join(hidden[:3])}, since a name that begins with '_' or '.' "
                f"is that of a hidden file. Rename it."
            )
        return files

    @abstractmethod
    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The rows of files that are there and hold something, in the columns of `received`."""


def read_text(spark: SparkSession, files: list[str], *, line_end: str | None = None) -> DataFrame:
    """The files' lines as Spark reads text, bytes that are not UTF-8 included: one column `value`.

    Lines end with LF, CR LF or CR, or with `line_end` alone.
    """
    return reader(spark, files).text(files, lineSep=line_end)
