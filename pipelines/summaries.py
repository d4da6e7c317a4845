"""Moments, quantiles and frequent words of Arrow columns: each task summarizes its rows, and what the tasks found is merged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.workers import forget_archives

# What is asked of a column: moments and percentiles of a number, how often each word occurs, or whether there is a value.
NUMBER, WORD, THERE = "number", "word", "there"
PERCENTILES = tuple(step / 200 for step in range(1, 200))
TRACKED_WORDS = 50_000  # a column's words are counted exactly up to so many distinct ones
HELD_VALUES = 1 << 20  # a task passes sampled values on once it holds so many

GROUP, PART, SAMPLED = "group", "part", "sampled"
_MOMENTS = "present long, mean double, squares double, minimum double, maximum double"
_WORDS = "words array<string>, counts array<long>"
SUMMARY = f"group string, key int, part int, at int, {_MOMENTS}, values array<double>, {_WORDS}"
MERGED = f"group string, key int, {_MOMENTS}, percentiles array<double>, {_WORDS}"
_TYPES = {
    "string": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64(),
    "array<double>": pa.list_(pa.float64()), "array<string>": pa.list_(pa.string()), "array<long>": pa.list_(pa.int64()),
}  # fmt: skip
Values: TypeAlias = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Of numbers: how many, their mean, the sum of squared deviations from it, the least and the greatest."""

    present: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf


def moments_of(values: Values) -> Moments:
    """The moments of finite numbers.

    The corrected two-pass algorithm of Chan, Golub and LeVeque: Algorithms for computing the sample variance (1983), eq. 1.7.
    """
    if not len(values):
        return Moments()
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large to be scaled is refused later, by name
        mean = values.mean()
        deviations = values - mean
        correction = deviations.mean()
        squares = deviations @ deviations - len(values) * correction * correction
    return Moments(len(values), float(mean + correction), float(squares), float(values.min()), float(values.max()))


def merged_moments(one: Moments, other: Moments) -> Moments:
    """The moments of both together.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979), eq. 2.1.
    """
    if not one.present or not other.present:
        return one if one.present else other
    both, shift = one.present + other.present, other.mean - one.mean
    return Moments(
        both,
        one.mean + shift * other.present / both,
        one.squares + other.squares + shift * shift * one.present * other.present / both,
        min(one.minimum, other.minimum),
        max(one.maximum, other.maximum),
    )


def percentiles_of(values: Values) -> Values | None:
    """The values at `PERCENTILES`: of each share the least value that this share of all is at or below. None of no values."""
    if not len(values):
        return None
    steps = np.arange(1, len(PERCENTILES) + 1, dtype=np.int64)
    ranks = -(-steps * len(values) // (len(PERCENTILES) + 1)) - 1
    found: Values = np.sort(values)[ranks]
    return found


class Words:
    """How often each word occurs, exact up to `tracked` distinct ones.

    Of more, the rarest are dropped, and the others counted too low by as much as the most frequent of these: by at most one row
    in `tracked` in all (Agarwal et al.: Mergeable Summaries, 2012, section 2).
    """

    def __init__(self, tracked: int = TRACKED_WORDS) -> None:
        self._tracked = tracked
        self._tables: list[pa.Table] = []
        self._held = 0

    def add(self, words: pa.Array, counts: pa.Array) -> None:
        """Count words in; one may come several times."""
        self._tables.append(pa.table({"word": words.cast(pa.string()), "count": counts.cast(pa.int64())}))
        self._held += len(words)
        if self._held > 4 * self._tracked:
            self._tables = [self.table()]
            self._held = self._tables[0].num_rows

    def table(self) -> pa.Table:
        """Columns word and count, the most frequent word first, those as frequent by name."""
        if not self._tables:
            return pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        summed = pa.concat_tables(self._tables).group_by("word", use_threads=False).aggregate([("count", "sum")])
        whole = summed.rename_columns({"count_sum": "count"}).select(["word", "count"])
        ordered = whole.sort_by([("count", "descending"), ("word", "ascending")])
        if ordered.num_rows <= self._tracked:
            return ordered
        kept, dropped = ordered.slice(0, self._tracked), ordered["count"][self._tracked]
        less = kept.set_column(1, "count", pc.subtract(kept["count"], dropped))
        return less.filter(pc.greater(less["count"], 0))


@dataclass
class Summary:
    """What is known of one column in one group of rows."""

    moments: Moments = field(default_factory=Moments)
    values: list[Values] = field(default_factory=list)
    words: Words = field(default_factory=Words)

    def add(self, kind: str, column: pa.Array, sampled: pa.Array) -> int:
        """Take a column's values in; gives how many of them are kept."""
        there = column.drop_null()
        if kind == NUMBER:
            self.moments = merged_moments(self.moments, moments_of(_numbers(there)))
            self.values.append(_numbers(column.filter(sampled).drop_null()))
            return len(self.values[-1])
        self.moments = self.moments._replace(present=self.moments.present + len(there))
        if kind == WORD:
            counted = pc.value_counts(there)
            self.words.add(counted.field("values"), counted.field("counts"))
        return 0


def summarize(batches: Iterable[pa.RecordBatch], kinds: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Of a task's rows, a row for each group and column: `SUMMARY`.

    Batches have the columns group, part (the task's number) and sampled, and then one for each of `kinds`.
    """
    forget_archives()
    found: defaultdict[tuple[str, int], Summary] = defaultdict(Summary)
    part = at = held = 0
    for batch in batches:
        for group, rows in _groups(batch):
            part, sampled = rows.column(PART)[0].as_py(), rows.column(SAMPLED)
            for key, kind in enumerate(kinds):
                held += found[group, key].add(kind, rows.column(key + 3), sampled)
        if held > HELD_VALUES:
            yield _values(found, part, at)
            at, held = at + 1, 0
    yield _values(found, part, at)
    rows = []
    for (group, key), summary in found.items():
        table = summary.words.table()
        place = {"group": group, "key": key, "part": part, "at": at + 1}
        rows.append({**place, **summary.moments._asdict(), "words": table["word"], "counts": table["count"]})
    yield _batch(rows, SUMMARY)


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of `SUMMARY` rows in the order of group, key, part and at, one row for each group and key: `MERGED`."""
    forget_archives()
    for (group, key), rows in groupby(_rows(batches), lambda row: (row["group"].as_py(), row["key"].as_py())):
        moments, words = Moments(), Words()
        values: list[Values] = [np.empty(0)]
        for row in rows:
            moments = merged_moments(moments, Moments(*(row[name].as_py() for name in Moments._fields)))
            if row["values"].is_valid:
                values.append(_numbers(row["values"].values))
            if row["words"].is_valid:
                words.add(row["words"].values, row["counts"].values)
        table = words.table()
        found = {**moments._asdict(), "percentiles": percentiles_of(np.concatenate(values))}
        whole = {"group": group, "key": key, **found, "words": table["word"], "counts": table["count"]}
        yield _batch([whole], MERGED)


def _values(found: dict[tuple[str, int], Summary], part: int, at: int) -> pa.RecordBatch:
    """The values that are held, which are let go."""
    rows = []
    for (group, key), summary in found.items():
        if summary.values:
            held = np.concatenate(summary.values)
            rows.append({"group": group, "key": key, "part": part, "at": at, **Moments()._asdict(), "values": held})
            summary.values = []
    return _batch(rows, SUMMARY)


def _batch(rows: list[dict[str, Any]], columns: str) -> pa.RecordBatch:
    types = dict(column.split() for column in columns.split(", "))
    arrays = [_array([row.get(name) for row in rows], _TYPES[kind]) for name, kind in types.items()]
    return pa.RecordBatch.from_arrays(arrays, list(types))


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values, or lists of them that are arrays already: a text that is no UTF-8 is left as it is, for Java to mend."""
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    parts = [_whole(each, kind.value_type) for each in values if each is not None]
    ends = iter(np.cumsum([len(part) for part in parts]).tolist())
    offsets = [0]
    for each in values:
        offsets.append(offsets[-1] if each is None else next(ends))
    missing = pa.array([each is None for each in values], pa.bool_())
    whole = pa.concat_arrays(parts) if parts else pa.array([], kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), whole, mask=missing)


def _whole(values: Any, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind) if isinstance(values, np.ndarray) else values.combine_chunks()


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, pa.Scalar]]:
    for batch in batches:
        for at in range(batch.num_rows):
            yield {name: column[at] for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def _groups(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    column = batch.column(GROUP)
    names = pc.unique(column).to_pylist()
    for name in names:
        yield name, batch if len(names) == 1 else batch.filter(pc.equal(column, name))


def _numbers(column: pa.Array) -> Values:
    found: Values = column.to_numpy(zero_copy_only=False)
    return found
