"""Types of configuration keys in plain words: `whole number, at least 1`, `one of mean, median or number`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PLAIN = {
    str: "text", int: "whole number", float: "number", bool: "true or false", date: "day", datetime: "time", Any: "any value",
}  # fmt: skip
MANY = {"text": "texts", "whole number": "whole numbers", "number": "numbers", "section": "sections"}
FROM_POWERS = 1 << 20  # from here on powers of two are written as such
CHARACTER = {"min_length": 1, "max_length": 1}


class MissingWordsError(LookupError):
    """Raised for a type that plain words don't describe; give its alias a description."""


class TypeWords(NamedTuple):
    """A type in words, and what limits its values."""

    name: str
    limits: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {self.limits}" if self.limits else self.name


def in_words(hint: Any) -> str:
    """A type annotation in words, with its limits; None among several types goes without saying."""
    return str(_words(hint))


def choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal; nothing for any other type."""
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def written(value: Any) -> str:
    """A value as YAML has it in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True)
    return '""' if value == "" else text.strip().removesuffix("...").strip()


def _words(hint: Any) -> TypeWords:
    bounds: dict[str, Any] = {}
    if typing.get_origin(hint) is Annotated:
        infos = [each for each in hint.__metadata__ if isinstance(each, FieldInfo)]
        for description in (info.description for info in infos if info.description):
            return TypeWords(description)
        bounds = {name: getattr(limit, name) for info in infos for limit in info.metadata for name in vars_of(limit)}
        hint = hint.__origin__
    words = _bare_words(hint)
    if hint is str and bounds == CHARACTER:
        return TypeWords("one character")
    return TypeWords(words.name, ", ".join(part for part in (words.limits, _limits(bounds, is_text=hint is str)) if part))


def vars_of(limit: Any) -> list[str]:
    """The names of the limits that a piece of Pydantic's metadata sets."""
    known = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
    return [name for name in known if getattr(limit, name, None) is not None]


def _bare_words(hint: Any) -> TypeWords:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        shown = [f"`{written(value) if not isinstance(value, str) else value}`" for value in arguments]
        return TypeWords(f"one of {', '.join(shown)}" if len(shown) > 1 else shown[0])
    if origin in (Union, UnionType):
        return TypeWords(_either([each for each in arguments if each is not NoneType]))
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return TypeWords(f"list of {count}{_many(_words(arguments[0]))}")
    if origin in (dict, Mapping):
        key = "name" if (words := _words(arguments[0])).name == "text" else words.name
        return TypeWords(f"by {key}, {_with_article(_words(arguments[1]))}")
    if hint not in PLAIN and not issubclass(hint, BaseModel) and not is_dataclass(hint):
        raise MissingWordsError(
            f"type {hint.__name__} has no words; expected an alias: Annotated[{hint.__name__}, Field(description='…')]. Say "
            f"there what is written in YAML."
        )
    return TypeWords(PLAIN.get(hint) or ("section" if issubclass(hint, BaseModel) else f"`{hint.__name__}`"))


def _either(hints: list[Any]) -> str:
    numbers = [each for each in hints if each is not int] if float in hints else hints
    return " or ".join(dict.fromkeys(in_words(each) for each in numbers))


def _many(words: TypeWords) -> str:
    """Several values of a type, as in `list of …`."""
    if words.name.startswith("list "):
        return words.name.replace("list", "lists", 1)
    name = MANY.get(words.name) or (words.name if words.name.startswith("`") else f"items, each {_with_article(words)}")
    return f"{name}, each {words.limits}" if words.limits and words.name in MANY else name


def _with_article(words: TypeWords) -> str:
    first = str(words).split(" ", maxsplit=1)[0]
    if first in ("text", "text,", "by", "one", "true", "any") or first.startswith("`"):
        return str(words)
    return f"{'an' if first[0] in 'aeio' else 'a'} {words}"


def _limits(bounds: Mapping[str, Any], *, is_text: bool) -> str:
    low, high = bounds.get("ge"), bounds.get("le")
    parts = [f"{_number(low)} to {_number(high)}"] if low is not None and high is not None else []
    if not parts:
        comparisons = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        parts = [" and ".join(f"{words} {_number(bounds[name])}" for name, words in comparisons.items() if name in bounds)]
    if "pattern" in bounds:
        parts.append(f"like `{bounds['pattern']}`")
    if is_text and bounds.get("min_length"):
        parts.append("not empty")
    elif "min_length" in bounds:
        parts.append(f"at least {bounds['min_length']} of them")
    if "max_length" in bounds:
        parts.append(f"at most {_number(bounds['max_length'])}")
    return ", ".join(part for part in parts if part)


def _number(value: float) -> str:
    size = abs(int(value))
    if size >= FROM_POWERS and size & (size - 1) == 0:
        return f"{'-' if value < 0 else ''}2^{size.bit_length() - 1}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
