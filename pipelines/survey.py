"""What is in the columns of Parquet files: tasks summarize row groups by Arrow and NumPy, and what they found is merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ExternalError
from pipelines.storage import list_files, locate
from pipelines.summaries import Moments, Values, Words, levels_of, merged_moments, moments_of, percentiles_of
from pipelines.workers import forget_archives

# What is asked of a column: moments and percentiles of a number, how often each word occurs, or whether there is a value.
NUMBER, WORD, THERE = "number", "word", "there"
PART_ROWS = 1 << 18  # a task reads so many rows or more, whatever the cluster: what is merged follows from the files alone
SLICE_ROWS = 1 << 16  # are looked at at once: of a column as much as lies close to the processor
HELD_VALUES = 1 << 20  # a task passes values on once it holds so many
FOOTERS_AT_ONCE = 16

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
Codes: TypeAlias = npt.NDArray[np.int32]


class RowGroup(NamedTuple):
    """One of a file's row groups."""

    uri: str
    place: int


class Files(NamedTuple):
    """The Parquet files of a folder: their columns, and their row groups, in parts that a task each reads."""

    columns: tuple[str, ...]
    parts: tuple[tuple[RowGroup, ...], ...]


class Measure(NamedTuple):
    """One thing that is asked of one column."""

    kind: str
    column: str


class Survey(NamedTuple):
    """What is asked of each group of rows, which the column `by` names; rows without a group are left out.

    Ids, which are hashes, thin the rows out: every `rows`-th of them is looked at, and percentiles are those of every
    `values`-th.
    """

    by: str
    measures: tuple[Measure, ...]
    rows: int = 1
    values: int = 1


def files_of(folder: str) -> Files:
    """Read the footers of a folder's Parquet files; raises ExternalError when none is there."""
    uris = [uri for uri in list_files(folder) if uri.endswith(".parquet")]
    if not uris:
        raise ExternalError(
            f"{folder}: no Parquet file is there; expected those that Spark has just written. Do Spark and pyarrow take this "
            f"path for the same place? Write lake.warehouse with its scheme."
        )
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(_footer, uris))
    parts: list[list[RowGroup]] = [[]]
    rows = 0
    for uri, footer in zip(uris, footers, strict=True):
        for index in range(footer.num_row_groups):
            if rows >= PART_ROWS:
                parts.append([])
                rows = 0
            parts[-1].append(RowGroup(uri, index))
            rows += footer.row_group(index).num_rows
    return Files(tuple(footers[0].schema.to_arrow_schema().names), tuple(tuple(part) for part in parts if part))


def summarize(
    batches: Iterable[pa.RecordBatch], parts: Sequence[Sequence[RowGroup]], surveys: Sequence[Survey], ids: str
) -> Iterator[pa.RecordBatch]:
    """Of each part whose number comes, a row for each group and measure (`SUMMARY`), these numbered survey after survey."""
    forget_archives()
    for batch in batches:
        for part in batch.column(0).to_pylist():
            yield from _of_part(part, parts[part], surveys, ids)


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of `SUMMARY` rows in the order of group, key, part and at, one row for each group and key: `MERGED`."""
    forget_archives()
    for (group, key), rows in groupby(_rows(batches), lambda row: (row["group"].as_py(), row["key"].as_py())):
        moments, words = Moments(), Words()
        values: list[Values] = [np.empty(0)]
        for row in rows:
            moments = merged_moments(moments, Moments(*(row[name].as_py() for name in Moments._fields)))
            if row["values"].is_valid:
                values.append(np.frombuffer(row["values"].as_buffer(), np.float64))
            if row["words"].is_valid:
                words.add(row["words"].values, row["counts"].values)
        table = words.table()
        ordered = np.sort(np.concatenate(values))
        levels = levels_of(ordered)
        found = {
            **moments._asdict(),
            "percentiles": percentiles_of(ordered),
            "levels": None if levels is None else levels.to_bytes(),
        }
        whole = {"group": group, "key": key, **found, "words": table["word"], "counts": table["count"]}
        yield _batch([whole], MERGED)


@dataclass
class _Summary:
    """What is known of one measure of one group."""

    moments: Moments = field(default_factory=Moments)
    values: list[Values] = field(default_factory=list)
    words: Words = field(default_factory=Words)

    def found(self, present: int) -> None:
        self.moments = self.moments._replace(present=self.moments.present + present)


class _Read:
    """Some rows: columns as they are asked for, each taken apart once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._numbers: dict[str, tuple[Values, Mask]] = {}
        self._words: dict[str, tuple[Codes, pa.Array]] = {}

    def numbers(self, name: str) -> tuple[Values, Mask]:
        """A column's numbers, and which of them are there and finite."""
        if name not in self._numbers:
            values = np.asarray(self._table[name].to_numpy(), np.float64)
            self._numbers[name] = values, np.isfinite(values)
        return self._numbers[name]

    def words(self, name: str) -> tuple[Codes, pa.Array]:
        """A column's words, by their places in a dictionary; what is missing has a place beyond it."""
        if name not in self._words:
            column = self._table[name].unify_dictionaries().combine_chunks()
            self._words[name] = column.indices.fill_null(len(column.dictionary)).to_numpy(), column.dictionary
        return self._words[name]

    def there(self, name: str) -> Mask:
        """Which rows have a value."""
        found: Mask = self._table[name].is_valid().to_numpy()
        return found

    def every(self, ids: str, number: int) -> Mask | None:
        """Which rows are a `number`-th by their ids; None: all."""
        if number == 1:
            return None
        found: Mask = self._table[ids].to_numpy() % number == 0
        return found

    def groups(self, by: str) -> Iterator[tuple[str, Mask]]:
        """The rows of each group."""
        codes, names = self.words(by)
        for code in np.unique(codes):
            if code < len(names):
                yield names[code].as_py(), codes == code


def _of_part(part: int, groups: Sequence[RowGroup], surveys: Sequence[Survey], ids: str) -> Iterator[pa.RecordBatch]:
    found: defaultdict[tuple[str, int], _Summary] = defaultdict(_Summary)
    at = held = 0
    for rows in _read(groups, surveys, ids):
        key = 0
        for survey in surveys:
            held += _take(rows, survey, ids, found, key)
            key += len(survey.measures)
        if held > HELD_VALUES:
            yield _values(found, part, at)
            at, held = at + 1, 0
    yield _values(found, part, at)
    last = []
    for (group, key), summary in found.items():
        table = summary.words.table()
        place = {"group": group, "key": key, "part": part, "at": at + 1}
        last.append({**place, **summary.moments._asdict(), "words": table["word"], "counts": table["count"]})
    yield _batch(last, SUMMARY)


def _take(rows: _Read, survey: Survey, ids: str, found: Mapping[tuple[str, int], _Summary], first: int) -> int:
    """Take rows in; gives how many values are kept for percentiles."""
    looked_at, sampled, kept = rows.every(ids, survey.rows), rows.every(ids, survey.values), 0
    for group, of_group in rows.groups(survey.by):
        mask = of_group if looked_at is None else of_group & looked_at
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            continue
        some = None if sampled is None else np.flatnonzero(mask & sampled)
        for key, measure in enumerate(survey.measures, first):
            summary = found[group, key]
            if measure.kind == NUMBER:
                values, fine = rows.numbers(measure.column)
                there = values[np.flatnonzero(mask & fine)]  # twice as fast as by the mask itself
                summary.moments = merged_moments(summary.moments, moments_of(there))
                summary.values.append(there if some is None else values[some][fine[some]])
                kept += len(summary.values[-1])
            elif measure.kind == WORD:
                codes, known = rows.words(measure.column)
                counts = np.bincount(codes[chosen], minlength=len(known) + 1)[: len(known)]
                met = np.flatnonzero(counts)
                summary.words.add(known.take(pa.array(met)), pa.array(counts[met]))
                summary.found(int(counts.sum()))
            else:
                summary.found(int(np.count_nonzero(mask & rows.there(measure.column))))
    return kept


def _read(groups: Sequence[RowGroup], surveys: Sequence[Survey], ids: str) -> Iterator[_Read]:
    words = {survey.by for survey in surveys} | {m.column for survey in surveys for m in survey.measures if m.kind == WORD}
    thinned = {ids for survey in surveys if survey.rows > 1 or survey.values > 1}
    columns = sorted({m.column for survey in surveys for m in survey.measures} | words | thinned)
    for uri, of_file in groupby(groups, lambda group: group.uri):
        filesystem, path = locate(uri)
        with filesystem.open_input_file(path) as opened:
            file = pq.ParquetFile(opened, read_dictionary=sorted(words), pre_buffer=True)
            for group in of_file:
                for batch in file.iter_batches(SLICE_ROWS, [group.place], columns, use_threads=False):
                    yield _Read(pa.table(batch))


def _footer(uri: str) -> pq.FileMetaData:
    filesystem, path = locate(uri)
    return pq.read_metadata(path, filesystem=filesystem)


def _values(found: Mapping[tuple[str, int], _Summary], part: int, at: int) -> pa.RecordBatch:
    """The values that are held, which are let go."""
    rows = []
    for (group, key), summary in found.items():
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
