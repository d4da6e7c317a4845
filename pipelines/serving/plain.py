"""Bodies of the usual shape, whose values stay Python's until the rows of many requests become arrays at once.

A NumPy call costs about as much for one value as for a thousand. Of a request of one row, that is most of the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from pipelines.bundles.signature import InputField
from pipelines.serving.failures import ValuesError
from pipelines.serving.named import NUMBER_TYPES, READERS, Reader, series_reader, word_reader
from pipelines.serving.rows import MOST_EXACT, RequestRows, RowSchema
from pipelines.serving.tensors import LEGAL

Values = tuple[Any, ...]
TENSOR_KEYS = 4  # name, datatype, shape, data
WORD_TYPES: frozenset[type] = frozenset({str, type(None)})


class PlainRows(NamedTuple):
    """Rows, each as its numbers (None where one is missing), its words and its series, in the order of the schema."""

    numbers: list[Values]
    words: list[Values]
    series: list[Values]

    @property
    def rows(self) -> int:
        """How many rows the body has; `numbers` has a list for each."""
        return len(self.numbers)


class PlainReader:
    """Reads parsed bodies without a check of their values. It never refuses: what it can't read has to be read by
    `NamedReader` or `TensorReader`, which name what is wrong.
    """

    def __init__(self, schema: RowSchema, most_rows: int) -> None:
        self._schema, self._most_rows = schema, most_rows
        fields = (schema.numbers, schema.words, schema.series)
        self._numbers, self._words, self._series = (_values_of([field.name for field in kind]) for kind in fields)
        self._number_readers = _readers(schema.numbers, lambda field: READERS.get(field.type))
        self._word_readers = _readers(schema.words, word_reader)
        self._series_readers = _readers(schema.series, lambda field: series_reader(field.length or 0))

    def named(self, content: Any) -> PlainRows | None:
        """Rows of one object of named values, or of a list of some."""
        rows = content if type(content) is list else [content]
        if not 0 < len(rows) <= self._most_rows:
            return None
        fields = len(self._schema.fields)
        if not all(type(row) is dict and len(row) == fields for row in rows):
            return None
        try:
            numbers = [_converted(self._numbers(row), self._number_readers) for row in rows]
            words = [_converted(self._words(row), self._word_readers) for row in rows]
            series = [_converted(self._series(row), self._series_readers) for row in rows]
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return PlainRows(numbers, words, series) if _all_of(NUMBER_TYPES, numbers) else None

    def tensors(self, content: Any) -> PlainRows | None:
        """Rows of a request of the Open Inference Protocol whose tensors are flat lists, and which wants all outputs."""
        if type(content) is not dict or not content.keys() <= {"inputs", "id"} or type(content.get("id", "")) is not str:
            return None
        columns = self._columns(content.get("inputs"))
        if columns is None:
            return None
        count, schema = len(next(iter(columns.values()))), self._schema
        numbers, words, series = (
            _rows_of([columns[field.name] for field in kind], count) for kind in (schema.numbers, schema.words, schema.series)
        )
        values = [*numbers, *chain.from_iterable(series)]
        if not _all_of(NUMBER_TYPES, values) or not _all_of(WORD_TYPES, words):
            return None
        words = [row if all(row) else tuple(word or "" for word in row) for row in words]
        return PlainRows(numbers, words, series)

    def _columns(self, tensors: Any) -> dict[str, list[Any]] | None:
        """The values of each field, all as many; none where a tensor is missing, unknown or of another shape."""
        fields, columns = self._schema.fields, {}
        if type(tensors) is not list or len(tensors) != len(fields):
            return None
        try:
            count = tensors[0]["shape"][0]
            if type(count) is not int or not 0 < count <= self._most_rows:
                return None
            for tensor in tensors:
                field = fields[tensor["name"]]
                values = _column(field, tensor, count)
                if values is None:
                    return None
                columns[field.name] = values
        except (IndexError, KeyError, TypeError, AttributeError):
            return None
        return columns if len(columns) == len(fields) else None

    def arrays(self, several: Sequence[PlainRows]) -> RequestRows:
        """The rows of some requests, one after the other, checked against the schema. Raises ValuesError when a value is
        outside the contract, or is so large that float64 may not hold it exactly.
        """
        numbers, words, series = (list(chain.from_iterable(kind)) for kind in zip(*several, strict=True))
        fields = self._schema
        try:
            table = np.array(numbers, np.float64).reshape(len(numbers), len(fields.numbers))
        except OverflowError as error:
            raise ValuesError("a number is too large.") from error
        rows = RequestRows(
            np.ascontiguousarray(table.T),
            {field.name: [row[at] for row in words] for at, field in enumerate(fields.words)},
            {field.name: np.array([row[at] for row in series], np.float64) for at, field in enumerate(fields.series)},
        )
        if any((np.abs(values) >= MOST_EXACT).any() for values in (rows.numbers, *rows.series.values())):
            raise ValuesError("a number may not be exact.")
        fields.check(rows)
        return rows


def _column(field: InputField, tensor: Mapping[str, Any], count: int) -> list[Any] | None:
    """The values of a tensor, a list each of a series; none where its shape or datatype may be wrong."""
    data, shape, datatype = tensor["data"], tensor["shape"], tensor["datatype"]
    if datatype not in LEGAL[field.datatype] or len(tensor) != TENSOR_KEYS or type(data) is not list:
        return None
    if field.length is None:
        return data if shape == [count] and type(shape[0]) is int and len(data) == count else None
    whole = shape == [count, field.length] and all(type(size) is int for size in shape)
    if not whole or len(data) != count * field.length:
        return None
    return [data[start : start + field.length] for start in range(0, len(data), field.length)]


def _readers(fields: Sequence[InputField], reader: Callable[[InputField], Reader | None]) -> list[tuple[int, Reader]]:
    """The positions of the fields whose values have to be converted, with what converts them."""
    return [(at, read) for at, field in enumerate(fields) if (read := reader(field))]


def _converted(values: Values, readers: list[tuple[int, Reader]]) -> Values:
    if not readers:
        return values
    changed = list(values)
    for at, reader in readers:
        changed[at] = reader(changed[at])
    return tuple(changed)


def _values_of(names: list[str]) -> Callable[[Mapping[str, Any]], Values]:
    """What takes the values of some keys, as a tuple; raises KeyError where one is missing."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)


def _rows_of(columns: list[list[Any]], count: int) -> list[Values]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _all_of(types: frozenset[type], rows: Sequence[Sequence[Any]]) -> bool:
    return types.issuperset(map(type, chain.from_iterable(rows)))
