"""Rows of raw values as arrays, and how they are checked against the input schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.bundles.signature import InputField
from pipelines.serving.failures import ValuesError
from schemas.vocabulary import shown

MOST_EXACT = 2**53  # beyond it a float64 no longer tells whole numbers apart
SHOWN = 10
WHOLE = ("int", "bigint", "boolean")
SQL_RANGES = {"int": 2.0**31 - 1}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RequestRows:
    """Rows by kind of field: numbers (fields, n), words (n each), and series (n, length) by name."""

    numbers: Floats
    words: dict[str, list[str]]
    series: dict[str, Floats]

    @property
    def count(self) -> int:
        """How many rows the request has: the second dimension of `numbers`."""
        return int(self.numbers.shape[1])

    def part(self, start: int, end: int) -> RequestRows:
        """The rows from `start` up to `end`."""
        words = {name: values[start:end] for name, values in self.words.items()}
        return RequestRows(self.numbers[:, start:end], words, {name: values[start:end] for name, values in self.series.items()})

    @classmethod
    def joined(cls, several: Sequence[RequestRows]) -> RequestRows:
        """The rows of several requests, one after the other."""
        if len(several) == 1:
            return several[0]
        words = {name: [word for rows in several for word in rows.words[name]] for name in several[0].words}
        series = {name: np.concatenate([rows.series[name] for rows in several]) for name in several[0].series}
        return cls(np.concatenate([rows.numbers for rows in several], axis=1), words, series)


class Bounds(NamedTuple):
    """What numbers may be, a value a field, each shape (fields, 1)."""

    low: Floats
    high: Floats
    nullable: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, fields: Sequence[InputField]) -> Bounds:
        """The bounds of some fields: the contract's, else those within which numbers are exact."""
        spans = [span(field) for field in fields]
        return cls(
            low=_column([low for low, _ in spans], np.float64),
            high=_column([high for _, high in spans], np.float64),
            nullable=_column([field.nullable for field in fields], np.bool_),
            whole=_column([_element(field) in WHOLE for field in fields], np.bool_),
        )

    def broken(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Which values break them; a NaN is a missing value."""
        missing = np.isnan(values)
        wrong = (values < self.low) | (values > self.high) | (self.whole & (values != np.floor(values)))
        broken: npt.NDArray[np.bool_] = (wrong & ~missing) | (missing & ~self.nullable)
        return broken


class RowSchema:
    """The input schema, prepared for checking many requests."""

    def __init__(self, fields: Sequence[InputField]) -> None:
        self.fields = {field.name: field for field in fields}
        self.numbers = [field for field in fields if field.datatype == "FP64" and field.length is None]
        self.words = [field for field in fields if field.datatype == "BYTES"]
        self.series = [field for field in fields if field.datatype == "FP64" and field.length is not None]
        self._bounds = Bounds.of(self.numbers)
        self._series_bounds = {field.name: Bounds.of([field]) for field in self.series}
        self._legal = {field.name: _legal(field) for field in self.words}

    def inputs(self, rows: RequestRows) -> dict[str, npt.NDArray[Any]]:
        """The arrays that a model takes, by name."""
        numbers = {field.name: rows.numbers[at] for at, field in enumerate(self.numbers)}
        return {**numbers, **rows.series, **{name: np.array(words, object) for name, words in rows.words.items()}}

    def check_names(self, names: Mapping[str, object], row: int | None = None) -> None:
        """Raise ValuesError for unknown and missing names."""
        if names.keys() == self.fields.keys():
            return
        unknown = [name for name in names if name not in self.fields]
        missing = [field for field in self.fields.values() if field.name not in names]
        where = "" if row is None else f"row {row}: "
        problems = [f"{shown(name)[1:-1]}: {where}unknown; expected one of {', '.join(self.fields)}." for name in unknown]
        problems += [f"{field.name}: {where}missing; expected {expected(field)}." for field in missing]
        raise ValuesError("\n".join(problems[:SHOWN]))

    def check(self, rows: RequestRows, *, several: bool = True) -> None:
        """Raise ValuesError when values are outside the contract, a line a value."""
        problems: list[tuple[InputField, int, object]] = []
        broken = self._bounds.broken(rows.numbers)
        if broken.any():
            problems += [(self.numbers[at], row, float(rows.numbers[at, row])) for at, row in np.argwhere(broken)[:SHOWN]]
        for field in self.series:
            values = rows.series[field.name]
            wrong = self._series_bounds[field.name].broken(values)
            problems += [(field, row, float(values[row, at])) for row, at in np.argwhere(wrong)[:SHOWN]]
        for field in self.words:
            legal = self._legal[field.name]
            if legal:
                problems += [(field, row, word) for row, word in enumerate(rows.words[field.name]) if not legal(word)][:SHOWN]
        if problems:
            lines = (problem(field, value, row if several else None) for field, row, value in problems[:SHOWN])
            raise ValuesError("\n".join(lines))


def _column(values: Sequence[float], kind: type) -> npt.NDArray[Any]:
    return np.array(values, kind).reshape(-1, 1)


def problem(field: InputField, value: object, row: int | None = None) -> str:
    """One line on a value that is wrong."""
    missing = value is None or value == "" or (isinstance(value, float) and np.isnan(value))
    if isinstance(value, float) and value.is_integer() and abs(value) <= MOST_EXACT:
        value = int(value)  # as a caller writes it
    received = "it is missing" if missing else f"received {shown(value)}"
    return f"{field.name}: {'' if row is None else f'row {row}: '}{received}; expected {expected(field)}."


def expected(field: InputField) -> str:
    """What a field's values have to be, in words."""
    words = {"string": "text", "boolean": "true or false", "timestamp": "a date and time with its offset"}
    what = words.get(_element(field), "a whole number" if _element(field) in ("int", "bigint") else "a number")
    if field.allowed:
        what = f"one of {', '.join(field.allowed)}"
    elif field.pattern:
        what = f"text like {field.pattern}"
    elif what.endswith("number"):
        low, high = (f"{bound:g}" if abs(bound) != MOST_EXACT else f"{'-' * (bound < 0)}2^53" for bound in span(field))
        what += f" from {low} to {high}{f' {field.unit}' if field.unit else ''}"
    if field.length is not None:
        what = f"{field.length} values, each {what}"
    return f"{what}{', or null' if field.nullable else ''}"


def _element(field: InputField) -> str:
    return field.type.removeprefix("array<").removesuffix(">")


def span(field: InputField) -> tuple[float, float]:
    """The least and the greatest value of a field of numbers: the contract's, else those within which numbers are exact."""
    most = SQL_RANGES.get(_element(field), float(MOST_EXACT))
    if _element(field) == "boolean":
        return 0.0, 1.0
    return -most if field.minimum is None else field.minimum, most if field.maximum is None else field.maximum


def _legal(field: InputField) -> Callable[[str], bool] | None:
    """Whether a word is one of the contract's; none where every word is. A pattern that Python can't read is not checked."""
    allowed = frozenset(field.allowed)
    try:
        pattern = re.compile(field.pattern) if field.pattern else None
    except re.error:
        pattern = None
    if field.nullable and not allowed and not pattern:
        return None

    def legal(word: str) -> bool:
        if not word:
            return field.nullable
        return (not allowed or word in allowed) and (pattern is None or bool(pattern.search(word)))

    return legal
