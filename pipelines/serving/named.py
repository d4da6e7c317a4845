"""Named raw values of JSON, as `POST /predict` takes them, read into rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import orjson

from pipelines.bundles.signature import InputField
from pipelines.serving.failures import RequestError, TooLargeError, ValuesError
from pipelines.serving.rows import MOST_EXACT, Floats, RequestRows, RowSchema, problem

NAN = float("nan")
NUMBER_TYPES: frozenset[type] = frozenset({float, int, type(None)})
Reader = Callable[[Any], Any]


def parse_json(body: bytes) -> Any:
    """Parse JSON; raises RequestError when it is none, as NaN is not."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no JSON: {error}. Expected UTF-8 JSON without NaN or Infinity.") from error


class NamedReader:
    """Reads one object, or a list of them, whose keys are the input schema's names; null is a missing value."""

    def __init__(self, schema: RowSchema, most_rows: int) -> None:
        self._schema, self._most_rows = schema, most_rows
        self._numbers = [(field, READERS.get(field.type, _number)) for field in schema.numbers]
        self._plain = [at for at, (_, reader) in enumerate(self._numbers) if reader is _number]
        self._others = [at for at, (_, reader) in enumerate(self._numbers) if reader is not _number]
        self._plain_names = [schema.numbers[at].name for at in self._plain]

    def read(self, content: Any) -> RequestRows:
        """Rows of parsed JSON; raises ValuesError, which names each field that is unknown, missing or wrong."""
        several = isinstance(content, list)
        rows = content if several else [content]
        if not rows:
            raise ValuesError("the list has no row; expected at least one.")
        if len(rows) > self._most_rows:
            raise TooLargeError(f"received {len(rows):,} rows; expected at most {self._most_rows:,}. Send them in parts.")
        for at, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise ValuesError(f"row {at} is {_kind(row)}; expected an object with a value for each input.")
            self._schema.check_names(row, at if several else None)
        problems: list[str] = []
        columns = self._rows(rows, problems, several=several)
        if problems:
            raise ValuesError("\n".join(problems[:10]))
        self._schema.check(columns, several=several)
        return columns

    def _rows(self, rows: list[dict[str, Any]], problems: list[str], *, several: bool) -> RequestRows:
        def each(field: InputField, reader: Reader) -> list[Any]:
            values = []
            for at, row in enumerate(rows):
                try:
                    values.append(reader(row[field.name]))
                except (TypeError, ValueError, OverflowError):
                    problems.append(problem(field, row[field.name], at if several else None))
                    values.append(NAN)
            return values

        plain = _exact_numbers(rows, self._plain_names)
        read = range(len(self._numbers)) if plain is None else self._others
        numbers = np.empty((len(self._numbers), len(rows)))
        if plain is not None:
            numbers[self._plain] = plain
        for at in read:
            numbers[at] = each(*self._numbers[at])
        words = {field.name: each(field, word_reader(field)) for field in self._schema.words}
        series = {field.name: each(field, series_reader(field.length or 0)) for field in self._schema.series}
        if problems:
            return RequestRows(numbers, {}, {})
        return RequestRows(numbers, words, {name: np.array(values, np.float64) for name, values in series.items()})


def _number(value: Any) -> float:
    if type(value) is float or (type(value) is int and -MOST_EXACT <= value <= MOST_EXACT):
        return value
    if value is None:
        return NAN
    raise TypeError


def _exact_numbers(rows: list[dict[str, Any]], names: list[str]) -> Floats | None:
    """Values of some fields (fields, rows), NaN for null, converted at once; None where one is no number, or not below 2^53."""
    values = [[row[name] for name in names] for row in rows]
    if not NUMBER_TYPES.issuperset(map(type, chain.from_iterable(values))):
        return None
    try:
        numbers = np.array(values, np.float64).T
    except OverflowError:
        return None
    # 2^53 itself may have been one more.
    return None if (np.abs(numbers) >= MOST_EXACT).any() else numbers


def _boolean(value: Any) -> float:
    if value is None:
        return NAN
    if type(value) is bool:
        return float(value)
    raise TypeError


def _moment(value: Any) -> float:
    """A time as seconds since 1970, in UTC."""
    if value is None:
        return NAN
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment.timestamp()


def word_reader(field: InputField) -> Reader:
    """Reads text. Models take an empty one for a missing one, which a caller writes as null where the contract limits texts."""
    limited = bool(field.allowed or field.pattern)

    def read(value: Any) -> str:
        if value is None:
            return ""
        if type(value) is not str or (not value and limited):
            raise TypeError
        return value

    return read


def series_reader(length: int) -> Reader:
    """Reads a list of `length` numbers; null is one in which all are missing."""

    def read(value: Any) -> list[float]:
        if value is None:
            return [NAN] * length
        if type(value) is not list or len(value) != length:
            raise TypeError
        return [_number(each) for each in value]

    return read


READERS: Mapping[str, Reader] = {"boolean": _boolean, "timestamp": _moment}


def _kind(value: object) -> str:
    names = {str: "text", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
