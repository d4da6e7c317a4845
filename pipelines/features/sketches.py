"""Profiles of the columns of Parquet files: tasks sketch row groups by Arrow and NumPy, and the sketches are merged."""

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
from pipelines.workers import forget_archives, numbers_of_task

TEXT_WORDS = 500_000  # words of texts are counted exactly up to so many distinct ones
HELD_VALUES = 1 << 20  # a task passes values on once it holds so many

GROUP, PART = "group", "part"
_MOMENTS = "present long, mean double, squares double, minimum double, maximum double"
_WORDS = "words array<string>, counts array<long>"
SKETCH = f"group string, key int, part int, at int, {_MOMENTS}, values binary, {_WORDS}"  # Spark copies an array one by one
MERGED = f"group string, key int, {_MOMENTS}, percentiles array<double>, levels binary, {_WORDS}"
_TYPES = {
    "string": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "binary": pa.binary(),
    "array<double>": pa.list_(pa.float64()), "array<string>": pa.list_(pa.string()), "array<long>": pa.list_(pa.int64()),
}  # fmt: skip
Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.intp]


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


def sketch_columns(
    batches: Iterable[pa.RecordBatch], parts: Sequence[Sequence[RowGroup]], profile_requests: Sequence[ProfileRequest], ids: str
) -> Iterator[pa.RecordBatch]:
    """Of each part whose number comes, a row for each group and measure (`SKETCH`), these numbered request after request."""
    for part in numbers_of_task(batches):
        yield from _sketch_part(part, parts[part], profile_requests, ids)


def merge_sketches(batches: Iterable[pa.RecordBatch], texts: Collection[int] = ()) -> Iterator[pa.RecordBatch]:
    """Of `SKETCH` rows in the order of group, key, part and at, one row for each group and key: `MERGED`."""
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
        numbers = {
            **moments._asdict(),
            "percentiles": percentiles_of(ordered, ordered=True),
            "levels": None if levels is None else levels.to_bytes(),
        }
        merged = {"group": group, "key": key, **numbers, "words": table["word"], "counts": table["count"]}
        yield _batch([merged], MERGED)


@dataclass
class _Sketch:
    """What is known of one measure of one group: enough to merge it with that of other rows."""

    moments: Moments = field(default_factory=Moments)
    values: list[Values] = field(default_factory=list)
    words: WordCounts = field(default_factory=WordCounts)

    def count(self, words: Words, of_group: _RowsOfGroup) -> None:
        """Count the words of a group's rows."""
        chosen = words.codes[of_group.rows if words.rows is None else of_group.mask[words.rows]]
        counts = np.bincount(chosen, minlength=len(words.dictionary) + 1)[: len(words.dictionary)]
        present = np.flatnonzero(counts)
        self.words.add(words.dictionary.take(pa.array(present)), pa.array(counts[present]))
        self.count_present(int(counts.sum()))

    def add_numbers(self, of_group: _RowsOfGroup, numbers: Values, finite: Mask) -> int:
        """Add a group's finite numbers to the moments, and keep the sampled ones; how many these are."""
        present = numbers[np.flatnonzero(of_group.mask & finite)]  # twice as fast as by the mask itself
        self.moments = merged_moments(self.moments, moments_of(present))
        some = of_group.sampled
        self.values.append(present if some is of_group.rows else numbers[some[finite[some]]])
        return len(self.values[-1])

    def count_present(self, present: int) -> None:
        self.moments = self.moments._replace(present=self.moments.present + present)


def _sketch_part(
    part: int, groups: Sequence[RowGroup], profile_requests: Sequence[ProfileRequest], ids: str
) -> Iterator[pa.RecordBatch]:
    sketches: defaultdict[tuple[str, int], _Sketch] = defaultdict(_Sketch)
    at = held = 0
    for rows in _read(groups, profile_requests, ids):
        values = _Values(rows)
        key = 0
        for profile_request in profile_requests:
            held += _add_rows(values, profile_request, ids, sketches, key)
            key += 1 + len(profile_request.requests)
        if held > HELD_VALUES:
            yield _values_batch(sketches, part, at)
            at, held = at + 1, 0
    yield _values_batch(sketches, part, at)
    last = []
    for (group, key), sketch in sketches.items():
        table = sketch.words.table()
        position = {"group": group, "key": key, "part": part, "at": at + 1}
        last.append({**position, **sketch.moments._asdict(), "words": table["word"], "counts": table["count"]})
    yield _batch(last, SKETCH)


class _RowsOfGroup(NamedTuple):
    """Some rows' group: a mask of its rows, shape (rows,), their positions, and positions of those that percentiles are of."""

    name: str
    mask: Mask
    rows: Positions
    sampled: Positions


class _Values:
    """The values that requests take from some rows, each taken once."""

    def __init__(self, rows: ArrowRows) -> None:
        self.rows = rows
        self._cached: dict[int, Any] = {}  # by the function: two requests of one name may ask of other values

    def of(self, request: Request) -> Any:
        """The values of a request; of a number with those that are finite."""
        key = id(request.values)
        if key not in self._cached:
            with np.errstate(all="ignore"):  # a logarithm that there is none of is missing
                values = request.values(self.rows)
            self._cached[key] = (values, np.isfinite(values)) if request.kind == "number" else values
        return self._cached[key]

    def every(self, ids: str, number: int) -> Mask | None:
        """Which rows are a `number`-th by their ids; None: all."""
        if number == 1:
            return None
        mask: Mask = self.rows.table[ids].to_numpy() % number == 0
        return mask

    def groups(self, profile_request: ProfileRequest, ids: str) -> Iterator[_RowsOfGroup]:
        """Each group of a request that has rows, thinned out as the request says."""
        words = profile_request.groups(self.rows)
        thinned, sampled = self.every(ids, profile_request.rows), self.every(ids, profile_request.values)
        for code in np.unique(words.codes):
            if code == len(words.dictionary):
                continue
            mask = words.codes == code if thinned is None else (words.codes == code) & thinned
            if len(rows := np.flatnonzero(mask)):
                some = rows if sampled is None else np.flatnonzero(mask & sampled)
                yield _RowsOfGroup(words.dictionary[int(code)].as_py(), mask, rows, some)


def _add_rows(
    values: _Values, profile_request: ProfileRequest, ids: str, sketches: MutableMapping[tuple[str, int], _Sketch], first: int
) -> int:
    """Take rows in, those of each group under `first` and its requests after that; how many values are kept for percentiles."""
    held = 0
    groups = list(values.groups(profile_request, ids))
    for group in groups:
        sketches[group.name, first].count_present(len(group.rows))
    # A column's values are worked on group after group while they lie close to the processor.
    for key, request in enumerate(profile_request.requests, first + 1):
        for group in groups:
            if request.fits and group.name != TRAIN:
                continue
            if request.kind == "words" and (group.name, key) not in sketches:
                sketches[group.name, key] = _Sketch(words=WordCounts(TEXT_WORDS))
            sketch, values_of_request = sketches[group.name, key], values.of(request)
            if request.kind == "number":
                held += sketch.add_numbers(group, *values_of_request)
            elif request.kind == "presence":
                sketch.count_present(int(np.count_nonzero(group.mask & values_of_request)))
            else:
                sketch.count(values_of_request, group)
    return held


def _read(groups: Sequence[RowGroup], profile_requests: Sequence[ProfileRequest], ids: str) -> Iterator[ArrowRows]:
    requests = [request for profile_request in profile_requests for request in profile_request.requests]
    words = {column for request in requests if request.kind == "word" for column in request.columns}
    thinned = {ids for profile_request in profile_requests if profile_request.rows > 1 or profile_request.values > 1}
    grouped = {column for profile_request in profile_requests for column in profile_request.columns}
    columns = {column for request in requests for column in request.columns} | thinned | grouped
    return (ArrowRows(batch) for batch in read_batches(groups, columns, words))


def _values_batch(sketches: Mapping[tuple[str, int], _Sketch], part: int, at: int) -> pa.RecordBatch:
    """The values that are held, which are let go."""
    rows = []
    for (group, key), sketch in sketches.items():
        if sketch.values:
            held = np.concatenate(sketch.values).tobytes()
            rows.append({"group": group, "key": key, "part": part, "at": at, **Moments()._asdict(), "values": held})
            sketch.values = []
    return _batch(rows, SKETCH)


def _batch(rows: list[dict[str, Any]], columns: str) -> pa.RecordBatch:
    types = dict(column.split() for column in columns.split(", "))
    arrays = [_array([row.get(name) for row in rows], _TYPES[kind]) for name, kind in types.items()]
    return pa.RecordBatch.from_arrays(arrays, list(types))


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values, or lists of them that are arrays already: a text that is no UTF-8 is left as it is, for Java to fix."""
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
