"""Profiles of the columns of Parquet files: tasks summarize row groups by Arrow and NumPy, and their summaries are merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.features.arrays import ArrowRows
from pipelines.features.kinds.statistics import TRAIN, Request, Words
from pipelines.features.kinds.summaries import (
    TRACKED_WORDS,
    Moments,
    Values,
    WordCounts,
    levels_of,
    merged_moments,
    moments_of,
    percentiles_of,
)
from pipelines.io.row_groups import RowGroup, read_batches
from pipelines.workers import forget_archives

TEXT_WORDS = 500_000  # words of texts are counted exactly up to so many distinct ones
HELD_VALUES = 1 << 20  # a task passes values on once it holds so many

GROUP, PART = "group", "part"
_MOMENTS = "present long, mean double, squares double, minimum double, maximum double"
_WORDS = "words array<string>, counts array<long>"
SUMMARY = f"group string, key int, part int, at int, {_MOMENTS}, values binary, {_WORDS}"  # Spark copies an array one by one
MERGED = f"group string, key int, {_MOMENTS}, percentiles array<double>, levels binary, {_WORDS}"
_TYPES = {
    "string": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "binary": pa.binary(),
    "array<double>": pa.list_(pa.float64()), "array<string>": pa.list_(pa.string()), "array<long>": pa.list_(pa.int64()),
}  # fmt: skip
Mask: TypeAlias = npt.NDArray[np.bool_]


class ProfileRequest(NamedTuple):
    """The column profiles to compute for each group of rows; rows without a group are left out.

    `groups` tells the groups of rows that have `columns`. Ids, which are hashes, thin the rows out: every `rows`-th of them is
    looked at, and percentiles are those of every `values`-th.
    """

    requests: tuple[Request, ...]
    groups: Callable[[ArrowRows], Words]
    columns: tuple[str, ...]
    rows: int = 1
    values: int = 1


def summarize(
    batches: Iterable[pa.RecordBatch], parts: Sequence[Sequence[RowGroup]], surveys: Sequence[ProfileRequest], ids: str
) -> Iterator[pa.RecordBatch]:
    """Of each part whose number comes, a row for each group and measure (`SUMMARY`), these numbered survey after survey."""
    forget_archives()
    for batch in batches:
        for part in batch.column(0).to_pylist():
            yield from _of_part(part, parts[part], surveys, ids)


def merge(batches: Iterable[pa.RecordBatch], texts: Collection[int] = ()) -> Iterator[pa.RecordBatch]:
    """Of `SUMMARY` rows in the order of group, key, part and at, one row for each group and key: `MERGED`."""
    forget_archives()
    for (group, key), rows in groupby(_rows(batches), lambda row: (row["group"].as_py(), row["key"].as_py())):
        moments, words = Moments(), WordCounts(TEXT_WORDS if key in texts else TRACKED_WORDS)
        values: list[Values] = [np.empty(0)]
        for row in rows:
            moments = merged_moments(moments, Moments(*(row[name].as_py() for name in Moments._fields)))
            if row["values"].is_valid:
                values.append(np.frombuffer(row["values"].as_buffer(), np.float64))
            if row["words"].is_valid:
                words.add(row["words"].values, row["counts"].values)
        table = words.table()
        ordered = np.sort(np.concatenate(values))
        levels = levels_of(ordered, ordered=True)
        found = {
            **moments._asdict(),
            "percentiles": percentiles_of(ordered, ordered=True),
            "levels": None if levels is None else levels.to_bytes(),
        }
        whole = {"group": group, "key": key, **found, "words": table["word"], "counts": table["count"]}
        yield _batch([whole], MERGED)


@dataclass
class _Summary:
    """What is known of one measure of one group."""

    moments: Moments = field(default_factory=Moments)
    values: list[Values] = field(default_factory=list)
    words: WordCounts = field(default_factory=WordCounts)

    def count(self, words: Words, mask: Mask) -> None:
        """Count the words of the rows of a mask."""
        chosen = words.codes[mask if words.rows is None else mask[words.rows]]
        counts = np.bincount(chosen, minlength=len(words.dictionary) + 1)[: len(words.dictionary)]
        met = np.flatnonzero(counts)
        self.words.add(words.dictionary.take(pa.array(met)), pa.array(counts[met]))
        self.found(int(counts.sum()))

    def found(self, present: int) -> None:
        self.moments = self.moments._replace(present=self.moments.present + present)


def _of_part(part: int, groups: Sequence[RowGroup], surveys: Sequence[ProfileRequest], ids: str) -> Iterator[pa.RecordBatch]:
    summaries: defaultdict[tuple[str, int], _Summary] = defaultdict(_Summary)
    at = held = 0
    for rows in _read(groups, surveys, ids):
        values = _Values(rows)
        key = 0
        for survey in surveys:
            held += _take(values, survey, ids, summaries, key)
            key += 1 + len(survey.requests)
        if held > HELD_VALUES:
            yield _values(summaries, part, at)
            at, held = at + 1, 0
    yield _values(summaries, part, at)
    last = []
    for (group, key), summary in summaries.items():
        table = summary.words.table()
        position = {"group": group, "key": key, "part": part, "at": at + 1}
        last.append({**position, **summary.moments._asdict(), "words": table["word"], "counts": table["count"]})
    yield _batch(last, SUMMARY)


class _Values:
    """The values that requests take from some rows, each taken once."""

    def __init__(self, rows: ArrowRows) -> None:
        self.rows = rows
        self._taken: dict[int, Any] = {}  # by the function: two requests of one name may ask of other values

    def of(self, request: Request) -> Any:
        """The values of a request; of a number with those that are finite."""
        key = id(request.values)
        if key not in self._taken:
            with np.errstate(all="ignore"):  # a logarithm that there is none of is missing
                values = request.values(self.rows)
            self._taken[key] = (values, np.isfinite(values)) if request.kind == "number" else values
        return self._taken[key]

    def every(self, ids: str, number: int) -> Mask | None:
        """Which rows are a `number`-th by their ids; None: all."""
        if number == 1:
            return None
        mask: Mask = self.rows.table[ids].to_numpy() % number == 0
        return mask

    def groups(self, survey: ProfileRequest) -> Iterator[tuple[str, Mask]]:
        """The rows of each group."""
        words = survey.groups(self.rows)
        for code in np.unique(words.codes):
            if code < len(words.dictionary):
                yield words.dictionary[int(code)].as_py(), words.codes == code


def _take(
    values: _Values, survey: ProfileRequest, ids: str, summaries: MutableMapping[tuple[str, int], _Summary], first: int
) -> int:
    """Take rows in, those of each group under `first` and its requests after that; how many values are kept for percentiles."""
    looked_at, sampled, kept = values.every(ids, survey.rows), values.every(ids, survey.values), 0
    for group, of_group in values.groups(survey):
        mask = of_group if looked_at is None else of_group & looked_at
        count = int(np.count_nonzero(mask))
        if not count:
            continue
        summaries[group, first].found(count)
        some = mask if sampled is None else mask & sampled
        for key, request in enumerate(survey.requests, first + 1):
            if request.fits and group != TRAIN:
                continue
            if request.kind == "words" and (group, key) not in summaries:
                summaries[group, key] = _Summary(words=WordCounts(TEXT_WORDS))
            summary, taken = summaries[group, key], values.of(request)
            if request.kind == "number":
                numbers, finite = taken
                present = numbers[np.flatnonzero(mask & finite)]  # twice as fast as by the mask itself
                summary.moments = merged_moments(summary.moments, moments_of(present))
                summary.values.append(present if sampled is None else numbers[np.flatnonzero(some & finite)])
                kept += len(summary.values[-1])
            elif request.kind == "presence":
                summary.found(int(np.count_nonzero(mask & taken)))
            else:
                summary.count(taken, mask)
    return kept


def _read(groups: Sequence[RowGroup], surveys: Sequence[ProfileRequest], ids: str) -> Iterator[ArrowRows]:
    requests = [request for survey in surveys for request in survey.requests]
    words = {column for request in requests if request.kind == "word" for column in request.columns}
    thinned = {ids for survey in surveys if survey.rows > 1 or survey.values > 1}
    grouped = {column for survey in surveys for column in survey.columns}
    columns = {column for request in requests for column in request.columns} | thinned | grouped
    return (ArrowRows(batch) for batch in read_batches(groups, columns, words))


def _values(summaries: Mapping[tuple[str, int], _Summary], part: int, at: int) -> pa.RecordBatch:
    """The values that are held, which are let go."""
    rows = []
    for (group, key), summary in summaries.items():
        if summary.values:
            held = np.concatenate(summary.values).tobytes()
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
