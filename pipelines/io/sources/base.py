"""What every kind of source promises: rows as text, as they were received."""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, MapType, StructField, StructType, TimestampType

from pipelines.config import Interval, Model
from pipelines.errors import ConfigError, DataError, RingmillError
from pipelines.expressions import col
from schemas.contract import Column as Declared
from schemas.contract import Table

Drift = Literal["fail", "ignore", "add"]
EXTRA = "map<string,string>"
NO_UTF8 = "line: expected UTF-8 text, received bytes that are not UTF-8, kept here as hexadecimal digits"
NO_NUL = "line: expected text, received a NUL byte"
INSTANT = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
# Spark's own have three digits of a second's six.
NESTED_TIMES = {"timestampFormat": INSTANT, "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"}
BYTE_ORDER_MARK = "\ufeff"


class Source(Model):
    """One entry of `sources`: its settings, and how it is read."""

    kind: str
    """Names the kind of source."""
    drift: Drift = "fail"
    """What becomes of fields that the contract does not know: they `fail` the run, are ignored, or land in the column `extra`.
    With `fail`, fields that the source lacks fail it too; otherwise those that may be missing are null.
    """
    rename: dict[str, str] = {}
    """By received field, the contract's name for it."""

    fields_by_row: ClassVar[bool] = False
    """Whether each row brings its own field names, so that fields which the contract does not know show in rows alone."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the rows come from, as messages name it, without secrets."""

    @property
    def sliced(self) -> bool:
        """Whether a run is given its interval's rows alone, so that rows of other intervals among them are late ones."""
        return False

    def check(self, contract: Table, interval: Interval) -> None:
        """Raise ConfigError, naming the key, for what is wrong with the settings or the environment and known without Spark."""

    @abstractmethod
    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's rows, each received once, in the columns that `received` makes.

        Raises ExternalError when the source does not answer, DataError when its fields are not the contract's.
        """

    @contextmanager
    def reading(self, spark: SparkSession, contract: Table, interval: Interval) -> Iterator[DataFrame]:
        """The rows that `read` gives, to be used within the context: what a source holds open for them is closed at its end."""
        yield self.read(spark, contract, interval)

    @property
    def reads_many(self) -> bool:
        """Whether it gives the rows of many intervals at once (`read_many`)."""
        return False

    def read_many(self, spark: SparkSession, contract: Table, intervals: Sequence[Interval]) -> DataFrame:
        """The rows that `read` gives for each of several intervals, with the bounds of theirs (`interval_from`,
        `interval_to`).

        Raises what `read` does.
        """
        raise NotImplementedError

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """The error to raise when rows of this source failed a job of Spark's; None when they did not."""
        return None

    @abstractmethod
    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """A text that changes whenever the interval's rows may have changed; computed without reading them all."""

    def absent(self, spark: SparkSession, contract: Table, interval: Interval) -> list[str]:
        """What there is nothing of, such as files of some of the interval's periods, where that is to be reported."""
        return []

    def keeping(self, folder: str) -> Source:
        """The same source with a folder of its own, for what it fetches before it reads it; most kinds need none."""
        return self

    def forget(self, contract: Table, interval: Interval) -> None:
        """Remove what was kept of an interval, since it has landed, or is not to be used again."""

    def check_fields(self, name: str, fields: list[str], contract: Table) -> None:
        """Hold received field names, after renaming, against the contract's; raises DataError as `drift` has it."""
        missing = [column for column in contract.columns if column.name not in fields]
        unknown = [field for field in fields if field not in contract.column_names]
        repeated = sorted({field for field in fields if fields.count(field) > 1})
        if self.drift != "fail":
            missing, unknown = [column for column in missing if not column.nullable], []
        if missing or unknown or repeated:
            raise DataError(
                f"source {contract.name}: the fields of {name} do not fit the contract: missing "
                f"{_listed([column.name for column in missing])}, unknown {_listed(unknown)}, repeated {_listed(repeated)}; "
                f"expected {', '.join(contract.column_names)}. Fix the source or the contract's columns, or set "
                f"sources.{contract.name}.rename{_alike(unknown, missing)}, or .drift to ignore or add."
            )

    def renamed(self, fields: list[str], contract: Table) -> list[str]:
        """Received field names under the contract's names; raises ConfigError when `rename` gives one it does not have."""
        unknown = sorted(set(self.rename.values()) - set(contract.column_names))
        if unknown:
            raise ConfigError(
                f"sources.{contract.name}.rename: unknown column {', '.join(unknown)}; expected one of "
                f"{', '.join(contract.column_names)}."
            )
        return [self.rename.get(field, field) for field in fields]


def received(
    frame: DataFrame,
    contract: Table,
    fields: dict[str, Column],
    *,
    extra: Column | None = None,
    location: Column | None = None,
    block: Column | None = None,
    row: Column | None = None,
    broken: Column | None = None,
    why: Column | None = None,
) -> DataFrame:
    """A frame in the columns that every source lands.

    `fields` are the contract's columns as text, null where they are not given; `extra` maps other names to text; `location`
    names the file, table or address; `row` counts on within each `block` of it; a row that is no row at all is kept whole in
    `broken`, with the reason.
    """
    text = F.lit(None).cast("string")
    number = F.lit(None).cast("bigint")
    return frame.select(
        *(fields.get(name, text).alias(name) for name in contract.column_names),
        (F.lit(None).cast(EXTRA) if extra is None else extra).alias("extra"),
        (text if location is None else location).alias("source_file"),
        (number if block is None else block.cast("bigint")).alias("source_block"),
        (number if row is None else row.cast("bigint")).alias("source_row"),
        (text if broken is None else broken).alias("broken_line"),
        (text if why is None else why).alias("broken_why"),
    )


def as_digits(column: str) -> Column:
    """A column's bytes as hexadecimal digits, the way PostgreSQL shows them."""
    return F.concat(F.lit("\\x"), F.hex(F.col(column).cast("binary")))


def without_mark(text: Column) -> Column:
    """Text without byte-order marks at its beginning, as the first line has of each of several files that were joined.

    Two are taken off, and Spark takes one off the first line of a file: a file that was saved twice may begin with two.
    """
    return _without_one_mark(_without_one_mark(text))


def _without_one_mark(text: Column) -> Column:
    rest = F.substring(text.cast("binary"), 1 + len(BYTE_ORDER_MARK.encode()), (1 << 31) - 1).cast("string")
    return F.when(F.startswith(text, F.lit(BYTE_ORDER_MARK)), rest).otherwise(text)


def as_text(field: StructField) -> Column:
    """A typed column as text: instants in ISO form with UTC's Z, bytes as hexadecimal digits, what is nested as JSON."""
    value = col(field.name)
    match field.dataType:
        case TimestampType():
            return F.date_format(value, INSTANT)
        case BinaryType():
            return F.concat(F.lit("\\x"), F.hex(value))
        case StructType() | ArrayType() | MapType():
            return F.to_json(value, NESTED_TIMES)
        case _:
            return value.cast("string")


def _alike(unknown: list[str], missing: list[Declared]) -> str:
    """A `rename` of fields that differ from missing columns in capitals, in spaces or in Unicode's form alone."""
    columns = {_folded(column.name): column.name for column in missing}
    pairs = {field: columns[_folded(field)] for field in unknown if _folded(field) in columns}
    return f" to {{{', '.join(f'{field}: {name}' for field, name in pairs.items())}}}" if pairs else ""


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).casefold().strip())


def _listed(names: list[str]) -> str:
    return ", ".join(name or "a column without a name" for name in names) or "none"
