"""What a contract's declarations may be: each field against its declared type, and against the type of its column.

Nothing here raises: problems are sentences, which the declaration that has them raises.
"""

from __future__ import annotations

import math
import re
import struct
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union
from zoneinfo import ZoneInfo

from schemas.formats import format_problem
from schemas.patterns import pattern_problem

if TYPE_CHECKING:
    from schemas.contract import Column

NUMBERS, FRACTIONS = ("int", "bigint", "float", "double"), ("float", "double")
TIMES = ("timestamp", "date")
BOOLEANS = ("t", "true", "y", "yes", "1", "f", "false", "n", "no", "0")
# The types of column that a field means something for; any other field has one for all.
FOR_TYPES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("minimum", "maximum", "decimal"), NUMBERS),
    **dict.fromkeys(("outliers", "received"), FRACTIONS),
    **dict.fromkeys(("case", "aliases"), ("string",)),
    **dict.fromkeys(("zone", "repeated_hour"), ("timestamp",)),
    "format": TIMES,
    "pattern": ("string", "int", "bigint", "date"),  # of another type the text is Spark's, not the received one
    "allowed": ("string", "boolean", *NUMBERS, *TIMES),
}
SHOWN_CHARACTERS = 60
ISO_DAY = len("2000-01-01")
OFFSET = re.compile(r"[+-](0\d|1[0-7]):[0-5]\d", re.ASCII)
# Names that some machines' time zone folders have, and no other engine.
NO_ZONES = re.compile(r"(posix|right)/|(localtime|posixrules|Factory)$")


class TypeCheck(NamedTuple):
    """Whether a value is of a declared type, and that type in words."""

    holds: Callable[[Any], bool]
    expected: str


def shown(value: object) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def misfits(declaration: Any, within: str = "") -> list[str]:
    """A sentence for each field whose value is not of the field's declared type, those of declarations within it included."""
    problems = []
    for name, fit in _fits(declaration.__class__).items():
        value = getattr(declaration, name)
        if not fit.holds(value):
            problems.append(f"{within}{name} {shown(value)}; expected {fit.expected}.")
        elif is_dataclass(value):
            problems += misfits(value, f"{within}{name}.")
    return problems


@cache
def _fits(declared: type) -> dict[str, TypeCheck]:
    return {name: _type_check(hint) for name, hint in typing.get_type_hints(declared).items()}


def _type_check(hint: Any) -> TypeCheck:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return TypeCheck(lambda value: isinstance(value, str) and value in arguments, f"one of {', '.join(arguments)}")
    if origin in (Union, UnionType):
        alternatives = [_type_check(argument) for argument in arguments]
        return TypeCheck(
            lambda value: any(fit.holds(value) for fit in alternatives), " or ".join(fit.expected for fit in alternatives)
        )
    if origin is tuple:
        item = _type_check(arguments[0])
        return TypeCheck(
            lambda value: isinstance(value, tuple | list) and all(map(item.holds, value)),
            f"a tuple of {item.expected}" if item.expected != "text" else "a tuple of texts, such as ('a', 'b')",
        )
    if origin in (dict, Mapping):
        key, item = map(_type_check, arguments)
        return TypeCheck(
            lambda value: isinstance(value, Mapping) and all(key.holds(k) and item.holds(v) for k, v in value.items()),
            f"a mapping of {key.expected} to {item.expected}",
        )
    plain = {
        NoneType: TypeCheck(lambda value: value is None, "None"),
        str: TypeCheck(lambda value: isinstance(value, str), "text"),
        bool: TypeCheck(lambda value: isinstance(value, bool), "True or False"),
        int: TypeCheck(lambda value: type(value) is int, "a whole number"),
        float: TypeCheck(_is_number, "a finite number"),
    }
    return plain.get(hint) or TypeCheck(lambda value: isinstance(value, hint), f"a {hint.__name__}(…)")


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and -(2**63) <= value < 2**63  # what Spark has a literal for


def column_problems(column: Column) -> list[str]:
    """What is wrong with a column's declaration, a sentence each."""
    if problems := misfits(column):
        return problems
    checks = (_wrong_type, _wrong_bounds, _wrong_outliers, _wrong_allowed, _wrong_aliases, _wrong_times, _wrong_pattern)
    return [f"{problem}." for check in checks for problem in check(column)]


def _given(column: Column, declared: Field[Any]) -> bool:
    default = declared.default if declared.default_factory is MISSING else declared.default_factory()
    return bool(getattr(column, declared.name) != default)


def _wrong_type(column: Column) -> list[str]:
    set_fields = [declared.name for declared in fields(column) if _given(column, declared)]
    misplaced = [name for name in set_fields if column.type not in FOR_TYPES.get(name, (column.type,))]
    if column.personal == "hash" and column.type != "string":
        misplaced.append("personal")
    if not misplaced:
        return []
    bounded = column.type in TIMES and set(misplaced) & {"minimum", "maximum"}
    rule = f", or write a rule such as {column.name} >= {column.type}'2000-01-01'" if bounded else ""
    types = " or ".join(dict.fromkeys(type_ for name in misplaced for type_ in FOR_TYPES.get(name, ("string",))))
    return [f"{', '.join(misplaced)} cannot be given for type {column.type}; expected {types}. Leave it out{rule}"]


def _wrong_bounds(column: Column) -> list[str]:
    low, high = column.minimum, column.maximum
    if low is not None and high is not None and low > high:
        return [f"minimum {low:g} is above maximum {high:g}; expected at most that"]
    return []


def _wrong_outliers(column: Column) -> list[str]:
    problems = []
    if column.outliers and not 0 <= column.outliers.low < column.outliers.high <= 1:
        low, high = column.outliers.low, column.outliers.high
        problems.append(f"outliers between quantiles {low:g} and {high:g}; expected 0 <= low < high <= 1")
    if column.outliers and column.outliers.reach < 0:
        problems.append(f"outliers.reach {column.outliers.reach:g}; expected 0 or more")
    if column.received and column.received.factor == 0:
        problems.append("received.factor 0, which makes all values one; expected another number")
    return problems


def _wrong_allowed(column: Column) -> list[str]:
    if mistyped := [value for value in column.allowed if not _is_of_type(value, column.type)]:
        return [f"allowed {', '.join(map(shown, mistyped))} is no value of type {column.type}; expected such values, as text"]
    aliased = set(column.aliases.values())
    if never := [value for value in column.allowed if value not in (*aliased, _cased(value, column))]:
        return [f"allowed {', '.join(map(shown, never))} cannot occur, since case is {column.case}; expected it in that case"]
    return []


def _cased(text: str, column: Column) -> str:
    return {"upper": text.upper, "lower": text.lower}.get(str(column.case), lambda: text)()


def _is_of_type(text: str, type_: str) -> bool:
    try:
        return READS[type_](text) if type_ in READS else True
    except (ValueError, OverflowError):
        return False


def _is_whole(text: str, bits: int) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]{1,19}", text)) and -(2**bits) <= int(text) < 2**bits


def _is_fraction(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9eE.+-]+", text)) and math.isfinite(float(text))


def _is_float(text: str) -> bool:
    # Of any other number a float's value differs, so that no value would ever be the allowed one.
    return _is_fraction(text) and struct.unpack("f", struct.pack("f", float(text)))[0] == float(text)


READS: Mapping[str, Callable[[str], bool]] = {
    "int": lambda text: _is_whole(text, 31),
    "bigint": lambda text: _is_whole(text, 63),
    "float": _is_float,
    "double": _is_fraction,
    "boolean": lambda text: text.strip().lower() in BOOLEANS,
    "date": lambda text: len(text) == ISO_DAY and text[4] == "-" and bool(date.fromisoformat(text)),
    "timestamp": lambda text: text[4:5] == text[7:8] == "-" and bool(datetime.fromisoformat(text)),
}
"""Whether a text is a value of a type, as SQL reads it."""


def _wrong_aliases(column: Column) -> list[str]:
    problems = []
    if never := [key for key in column.aliases if key != _cased(key, column)]:
        cased = ", ".join(shown(_cased(key, column)) for key in never)
        problems.append(f"aliases {', '.join(map(shown, never))}: case is {column.case}; expected the keys as {cased}")
    if column.spaces != "keep" and (never := [key for key in column.aliases if key != key.strip(" ")]):
        problems.append(f"aliases {', '.join(map(shown, never))}: spaces are trimmed; expected keys without, or spaces='keep'")
    return problems


def _wrong_times(column: Column) -> list[str]:
    problems = []
    if column.zone is not None and not is_zone(column.zone):
        problems.append(f"zone {shown(column.zone)} is no time zone; expected an IANA name such as America/New_York")
    if column.repeated_hour != "earlier" and column.zone is None:
        problems.append("repeated_hour means nothing without a zone; expected zone='America/New_York' or the like")
    if column.format is not None and (problem := format_problem(column.format)):
        problems.append(f"format {shown(column.format)} {problem}")
    return problems


def _wrong_pattern(column: Column) -> list[str]:
    problem = pattern_problem(column.pattern) if column.pattern is not None else None
    return [f"pattern {shown(column.pattern)} {problem}"] if problem else []


def is_zone(name: str) -> bool:
    """Whether Python and Spark both know a time zone, by its IANA name or as an offset such as +02:00."""
    if OFFSET.fullmatch(name):
        return True
    try:
        return not NO_ZONES.match(name) and bool(ZoneInfo(name).key)
    except (ValueError, OSError, LookupError):  # a name of a folder, too long, or with signs that no file has
        return False


def zone_named(name: str) -> tzinfo:
    """The time zone of a name for which `is_zone` holds: an IANA name, or an offset such as +02:00."""
    if not OFFSET.fullmatch(name):
        return ZoneInfo(name)
    hours, minutes = name[1:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if name[0] == "-" else offset)
