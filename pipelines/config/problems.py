"""What is wrong with a configuration, in words: each key, what was expected there and what was received."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MOST_SHOWN = 5  # problems in one message
SHOWN_CHARACTERS = 80
Part = int | str
# What was expected, by Pydantic's name of the problem; `{…}` is filled from what Pydantic says of it.
EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a valid integer"),
    "int_parsing_size": "an integer of fewer digits",
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "string_unicode", "string_sub_type"), "text"),
    "string_pattern_mismatch": "text like {pattern}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "literal_error": "{expected}",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number greater than or equal to {ge:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number less than or equal to {le:g}",
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "iterable_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "a section of keys and values"),
    "union_tag_not_found": "a section with the key {discriminator}",
    "recursion_loop": "a section that does not hold itself",
}
NAMES = {
    str: "text", int: "an integer", float: "a number", bool: "true or false", date: "a date", datetime: "a date or time",
    dict: "a section of keys and values", tuple: "a list",
}  # fmt: skip
DATES = re.compile(r"(date|datetime|timezone)_")
SPANS = re.compile(r"time_delta_")
SECRET = re.compile(r"//[^/@\s]*@")


class _Problem(NamedTuple):
    """One problem: the keys that lead to it, the type there, and if it lies in one of several types, where and in which."""

    path: tuple[Part, ...]
    within: Any
    union: tuple[int, str] | None
    is_key: bool
    detail: ErrorDetails


def explain(error: ValidationError, model: type[BaseModel], section: str = "") -> list[str]:
    """One sentence a problem: its key, what was expected there and what was received."""
    problems = _of_likely_types([_located(detail, model) for detail in error.errors(include_url=False)])
    return [_sentence(together, section) for together in problems]


def shortened(sentences: Sequence[str]) -> str:
    """Sentences in one line, the first few of many."""
    more = len(sentences) - MOST_SHOWN
    return " ".join([*sentences[:MOST_SHOWN], *([f"And {more} problems more."] if more > 0 else [])])


def one_line(text: object) -> str:
    """Whatever says itself in several lines, in one."""
    return " ".join(str(text).split())


def _located(detail: ErrorDetails, model: type[BaseModel]) -> _Problem:
    path: list[Part] = []
    within: Any = model
    union, is_key = None, False
    for part in detail["loc"]:
        within = _bare(within)
        if part == "[key]":
            is_key = True
        elif get_origin(within) in (Union, UnionType):
            union = union or (len(path), str(part))
            within = _within(within, part)
        else:
            path.append(part)
            within = _within(within, part)
    return _Problem(tuple(path), _bare(within), union, is_key, detail)


def _of_likely_types(problems: Sequence[_Problem]) -> list[list[_Problem]]:
    """The problems, those that are one together: of what may be of several types, the ones of the type that was meant."""
    together: dict[tuple[Part, ...], list[_Problem]] = {}
    for number, problem in enumerate(problems):
        key = problem.path[: problem.union[0]] if problem.union else ("", number)
        together.setdefault(key, []).append(problem)
    grouped: list[list[_Problem]] = []
    for several in together.values():
        types: dict[str, list[_Problem]] = {}
        for problem in several:
            types.setdefault(problem.union[1] if problem.union else "", []).append(problem)
        meant = [of_type for of_type in types.values() if any(map(_lies_within, of_type))]
        if meant or len(types) == 1:
            grouped += [[problem] for problem in min(meant or list(types.values()), key=len)]
        else:
            grouped.append(several)
    return grouped


def _lies_within(problem: _Problem) -> bool:
    """Whether a problem is one of a value that has the form of its type."""
    return problem.detail["type"] == "value_error" or bool(problem.union and len(problem.path) > problem.union[0])


def _sentence(problems: Sequence[_Problem], section: str) -> str:
    first = problems[0]
    where = ".".join(str(part) for part in (section, *first.path) if part != "") or "(the whole file)"
    kind, value = first.detail["type"], first.detail["input"]
    if kind == "extra_forbidden":
        known = ", ".join(_keys(first.within))
        return f"{where}: unknown key{f'; expected one of {known}' if known else ''}. Remove it, or fix its spelling."
    if kind == "missing":
        return f"{where}: the key is missing; expected {_described(first.within)}. Add it."
    if kind == "value_error":
        received = "" if isinstance(value, dict | BaseModel) else f"; received {_shown(value)}"
        message = one_line(first.detail["msg"].removeprefix("Value error, "))
        return f"{f'{where}: ' if first.path or section else ''}{message}{received}."
    if first.is_key or kind == "invalid_key":
        return f"{where}: expected text as a key; received {_shown(value)}. Put the key in quotes."
    if kind == "union_tag_invalid":
        key = _tag_key(first)
        tags = first.detail["ctx"]["expected_tags"]
        return f"{where}: expected {key} to be one of {tags}; received {_shown(_of(value, key))}."
    expected = " or ".join(dict.fromkeys(_expected(problem) for problem in problems))
    quotes = " Put it in quotes." if expected == "text" and not isinstance(value, dict | list | None) else ""
    return f"{where}: expected {expected}; received {_shown(value)}.{quotes}"


def _expected(problem: _Problem) -> str:
    kind = problem.detail["type"]
    if _is_model(problem.within) and kind.startswith(("model", "dict")):
        return _described(problem.within)
    if kind in EXPECTED:
        text = EXPECTED[kind].format(**problem.detail.get("ctx", {}))
        return text.replace("at least 1 items", "at least 1 item")
    if DATES.match(kind):
        return "a date or time that exists, such as 2013-01-31 or 2013-01-31T06:00"
    if SPANS.match(kind):
        return "a span of time such as 90m, 2h or 1d"
    return one_line(problem.detail["msg"]).removeprefix("Input should be ").removeprefix("Assertion failed, ")


def _tag_key(problem: _Problem) -> str:
    """The key whose value says which of several sections one is; a function that finds it ends in its name."""
    return str(problem.detail["ctx"]["discriminator"]).strip("'").removesuffix("()").rpartition("_")[2]


def _of(section: object, key: str) -> object:
    return section.get(key) if isinstance(section, Mapping) else section


def _described(within: Any) -> str:
    if _is_model(within):
        return f"a section with the keys {', '.join(_keys(within))}"
    if get_origin(within) in (Union, UnionType):
        descriptions = (_described(_bare(argument)) for argument in get_args(within) if argument is not type(None))
        return " or ".join(dict.fromkeys(descriptions))
    return NAMES.get(get_origin(within) or within, "a value")


def _shown(value: object) -> str:
    """What was received, in a few words, without what a URL has of a user and a password."""
    if isinstance(value, Mapping):
        return f"a section with the keys {_cut(', '.join(map(str, value)))}" if value else "an empty section"
    if value is None:
        return "nothing"
    return _cut(SECRET.sub("//***@", repr(value)))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _keys(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if _is_model(model) else []


def _within(annotation: Any, part: Part) -> Any:
    """The type at one part of a path, which is a key, a position, or which of several types was taken."""
    arguments = get_args(annotation)
    if _is_model(annotation):
        known = next((f.annotation for name, f in annotation.model_fields.items() if part in (name, f.alias)), None)
        return known or annotation
    if get_origin(annotation) is dict:
        return arguments[1]
    if get_origin(annotation) in (Union, UnionType):
        models = [model for model in map(_bare, arguments) if _is_model(model)]
        return next((model for model in models if _is_called(model, part)), None)
    return arguments[0] if arguments else None


def _bare(annotation: Any) -> Any:
    """A type without what is said of it, and without None."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Annotated or (get_origin(annotation) in (Union, UnionType) and len(arguments) == 1):
        return _bare(arguments[0])
    return annotation


def _is_called(model: type[BaseModel], part: Part) -> bool:
    """Whether a part of a path names a model among others: by its name, or a value that only it has."""
    # Pydantic's name of a model with validators has the model's within it.
    values = (get_args(field.annotation) for field in model.model_fields.values())
    return model.__name__ in re.findall(r"\w+", str(part)) or any(part in known for known in values)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
